"""Health of a run: divergence is caught before it is saved, and warning signs are reported once."""

import json
import os
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from rich.console import Console

from benchmarks.faults import small
from jaxgan import checkpoint, images
from jaxgan.errors import NonFiniteError
from jaxgan.runs.launch import launch
from jaxgan.runs.session.attempt import Attempt
from jaxgan.runs.session.divergence import Divergence, check_state
from jaxgan.runs.session.health import LOGS, Health, with_norms
from jaxgan.training import TrainState

ADAM = optax.adam(1e-3)


def state(step=1, **params) -> TrainState:
    params = {name: {"w": jnp.asarray(value, jnp.float32)} for name, value in params.items()}
    opt_state = {name: ADAM.init(own) for name, own in params.items()}
    return TrainState(jnp.int32(step), params, {}, opt_state, params, {})


# ---- divergence


def test_the_first_step_that_is_not_finite_is_named():
    """A loss that is finite again when it is looked at is noticed all the same."""
    divergence = Divergence()
    for step in range(1, 9):
        bad = jnp.nan if step == 5 else 1.0
        divergence(step, None, {"d": {"loss": 1.0}, "g": {"loss": bad, "a": bad}})
        if step == 4:
            divergence.check()
    with pytest.raises(NonFiniteError, match=r"^g/loss is not finite at step 5$"):
        divergence.check()


@pytest.mark.parametrize("value", [jnp.nan, jnp.inf, -jnp.inf])
def test_a_state_that_is_not_finite_is_named(value):
    check_state(state(a=1.0, b=[1.0, 2.0]))
    with pytest.raises(NonFiniteError, match=r"^params/b/w is not finite at step 3$"):
        check_state(state(3, a=1.0, b=[1.0, value]))


def test_infinite_statistics_of_an_optimizer_are_allowed():
    good = state(a=1.0)
    check_state(good._replace(opt_state={"a": {"best_loss": jnp.array(jnp.inf)}}))
    with pytest.raises(NonFiniteError, match="opt_state/a/best_loss"):
        check_state(good._replace(opt_state={"a": {"best_loss": jnp.array(jnp.nan)}}))


def test_a_rollback_has_random_numbers_of_its_own():
    """By the run's seed and the number of rollbacks; without one the key is that of the run."""
    config = SimpleNamespace(seed=3)
    keys = [
        Attempt(None, config, None, None, None, 0, 1, rollbacks).key() for rollbacks in range(3)
    ]
    assert keys[0] == jax.random.key(3)
    assert len({tuple(jax.random.key_data(key).tolist()) for key in keys}) == 3


def test_the_animation_of_a_run_that_trained_is_new_whatever_the_clock_says(tmp_path):
    (tmp_path / "samples").mkdir()
    for step in (1, 2):
        images.save_grid(tmp_path / "samples" / f"step_{step:07d}.png", np.zeros((1, 4, 4, 1)))
    gif, stop = tmp_path / "samples.gif", SimpleNamespace(received=None)
    gif.write_bytes(b"of step 1")
    os.utime(gif, (2**32, 2**32))  # before the clock was set back
    attempt = lambda start: Attempt(tmp_path, None, None, Console(quiet=True), stop, start, 2, 0)
    assert attempt(2).finish(2) == 0
    assert gif.read_bytes() == b"of step 1"
    assert attempt(1).finish(2) == 0
    assert gif.read_bytes() != b"of step 1"


# ---- signs


@pytest.fixture
def health(tmp_path):
    return Health(tmp_path / "health.json", Console(quiet=True))


def signs(health) -> list[str]:
    return [note["sign"] for note in health.notes]


def log(health, steps, **values):
    for step in steps:
        health.logged(step, None, {"d": values})


@pytest.mark.parametrize(
    ("real", "fake", "sign"), [(0.999, 0.001, "certain: d"), (0.001, 0.999, "wrong: d")]
)
def test_a_discriminator_that_is_certain_for_long(health, real, fake, sign):
    log(health, range(LOGS - 1), real_output=real, fake_output=fake)
    log(health, [99], real_output=0.5, fake_output=0.5)
    assert signs(health) == []
    log(health, range(100, 100 + 2 * LOGS), real_output=real, fake_output=fake)
    assert signs(health) == [sign]
    assert health.notes[0]["step"] == 100 + LOGS - 1


def test_losses_without_probabilities_have_no_such_sign(health):
    """A hinge or Wasserstein critic is not certain at 1.2 and -1.1."""
    log(health, range(2 * LOGS), loss=1.0)
    log(health, range(50, 50 + 2 * LOGS), real_output=1.2, fake_output=-1.1)
    log(health, range(100, 100 + 2 * LOGS), real_output=-3.0, fake_output=4.0)
    assert signs(health) == []


@pytest.mark.parametrize(
    ("name", "sign"), [("gradient_norm", "exploding: d"), ("parameter_norm", "growing: d")]
)
def test_norms_far_beyond_the_usual(health, name, sign):
    log(health, range(LOGS), **{name: 2.0})
    log(health, [50], **{name: 199.0})
    assert signs(health) == []
    log(health, [60, 70], **{name: 201.0})
    assert signs(health) == [sign]


def test_a_step_of_a_long_run_takes_no_longer_than_the_first(health):
    """Comparisons of norms grow with the logarithm of the number of steps, and not with it."""
    compared = []

    class Norm(float):
        def __lt__(self, other):
            compared.append(other)
            return float(self) < float(other)

    for step in range(1000):
        health._grown(step, "exploding", "d", Norm(step * 7919 % 1000))
    assert len(compared) < 20 * 1000


def test_a_gradient_of_zero(health):
    log(health, range(LOGS), gradient_norm=0.0)
    assert signs(health) == ["no gradient: d"]


def test_a_collapse_is_seen_in_the_samples(health):
    rng = np.random.default_rng(0)
    samples = rng.normal(size=(64, 4, 4, 1))
    health.sampled(1, 0.01 * samples)  # before the training
    health.sampled(2, samples)
    health.sampled(3, 0.3 * samples)
    assert signs(health) == []
    health.sampled(4, 0.1 * samples)
    assert signs(health) == ["collapse"]
    assert "10%" in health.notes[0]["text"]


def test_evaluations_far_from_the_best(health):
    health.evaluated(3, "fid", {1: 10.0, 2: 5.0, 3: 9.0}, mode="min")
    health.evaluated(3, "accuracy", {1: 0.9, 3: 0.5}, mode="max")
    health.evaluated(3, "bound", {1: -1.0, 3: -90.0}, mode="max")  # of no scale
    assert signs(health) == []
    health.evaluated(3, "fid", {1: 10.0, 2: 5.0, 3: 11.0}, mode="min")
    health.evaluated(3, "accuracy", {1: 0.9, 3: 0.4}, mode="max")
    assert signs(health) == ["worse: fid", "worse: accuracy"]


def test_norms_are_those_of_parameters_and_of_adams_average():
    before = state(a=[3.0, 4.0])
    gradient = {"w": jnp.array([0.0, 2.0])}
    _, opt_state = ADAM.update(gradient, before.opt_state["a"])
    metrics = with_norms(before._replace(opt_state={"a": opt_state}), {"a": {"loss": 1.0}})
    expected = {"loss": 1.0, "parameter_norm": 5.0, "gradient_norm": (1 - 0.9) * 2.0}
    assert metrics["a"] == pytest.approx(expected)
    sgd = before._replace(opt_state={"a": optax.sgd(1.0).init(None)})
    assert "gradient_norm" not in with_norms(sgd, {"a": {"loss": 1.0}})["a"]


def test_notes_are_kept_and_those_of_later_steps_made_again(health, tmp_path):
    for step in (1, 5):
        health.note(step, "no gradient", who=str(step))
    health.rolled_back(3, "nan at step 4")
    again = Health(tmp_path / "health.json", Console(quiet=True), step=3, rollbacks=1)
    assert signs(again) == ["no gradient: 1"]
    assert again.rollbacks == [{"to": 3, "why": "nan at step 4"}]
    assert Health(tmp_path / "health.json", Console(quiet=True), step=3).rollbacks == []
    (tmp_path / "health.json").write_bytes(b"\xff")
    assert Health(tmp_path / "health.json", Console(quiet=True), step=9).notes == []
    assert (tmp_path / "health.json.damaged").exists()


# ---- in a run


def run(directory, **fields) -> int:
    flags = {"num_steps": 60, "checkpoint_every": 20, "log_every": 20, "sample_every": 20}
    flags |= {"evaluate_every": 0, "log_to": (), "compilation_cache": False}
    config = small.Config(run_dir=str(directory), **(flags | fields))
    return launch(config, small.make, name="small")


def digest(directory) -> str:
    return checkpoint.digest(checkpoint.restore_plain(directory / "checkpoints"))


SLOW = pytest.mark.slow


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "step"),
    [
        ("gradient", 60),
        pytest.param("gradient", 33, marks=SLOW),
        pytest.param("loss", 33, marks=SLOW),
        pytest.param("loss", 60, marks=SLOW),
    ],
)
def test_what_diverges_is_not_saved_and_a_rollback_brings_it_to_its_end(tmp_path, what, step):
    directory, rigged = tmp_path / "run", {"diverge": what, "diverge_at": step}
    with pytest.raises(NonFiniteError, match=r"training diverged: .* is not finite at step"):
        run(directory, **rigged)
    steps = {int(path.name) for path in (directory / "checkpoints").iterdir()}
    assert max(steps) == 20 * ((step - 1) // 20)
    assert run(directory, **rigged, on_divergence="rollback") == 0
    record = json.loads((directory / "health.json").read_text(encoding="utf-8"))
    assert [back["to"] for back in record["rollbacks"]] == [max(steps)]
    state = checkpoint.restore_plain(directory / "checkpoints")
    assert int(state["step"]) == 60
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state["params"]))


@SLOW
def test_a_run_with_a_rollback_resumes_exactly(tmp_path):
    rigged = {"diverge_at": 30, "on_divergence": "rollback"}
    for name, stops in (("a", [100]), ("b", [20, 40, 60, 100])):
        for num_steps in stops:
            assert run(tmp_path / name, num_steps=num_steps, **rigged) == 0
    assert digest(tmp_path / "a") == digest(tmp_path / "b")
    assert run(tmp_path / "c", num_steps=100) == 0
    assert digest(tmp_path / "c") != digest(tmp_path / "a")
    record = checkpoint.read_record(tmp_path / "b" / "checkpoints", 100)
    assert record["rollbacks"] == 1


@SLOW
def test_rollbacks_have_an_end(tmp_path, capsys):
    with pytest.raises(NonFiniteError, match="diverged after 2 rollbacks"):
        run(tmp_path / "run", learning_rate=1e38, on_divergence="rollback", max_rollbacks=2)
    assert "rollback 2 of 2" in capsys.readouterr().out


def test_a_collapse_is_reported_within_two_grids(tmp_path):
    directory = tmp_path / "run"
    flags = {"num_steps": 200, "sample_every": 50, "checkpoint_every": 100, "learning_rate": 0.1}
    assert run(directory, collapse_at=100, **flags) == 0
    (note,) = json.loads((directory / "health.json").read_text(encoding="utf-8"))["notes"]
    assert (note["sign"], note["step"]) == ("collapse", 150)


@SLOW
def test_watching_does_not_change_the_training(tmp_path):
    digests = set()
    for health in (True, False):
        assert run(tmp_path / str(health), health=health) == 0
        digests.add(digest(tmp_path / str(health)))
    assert len(digests) == 1
