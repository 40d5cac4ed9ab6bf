"""Several seeds at once, sweeps, and the spectrum of a run, on the command line."""

import json
import math
import os
import shutil
import signal

import jax
import numpy as np
import pytest
from rich.console import Console

import jaxgan
from experiments import mixture
from jaxgan import checkpoint, dynamics
from jaxgan.__main__ import main
from jaxgan.errors import NonFiniteError
from jaxgan.runs import cli, sweep
from jaxgan.runs.command_line import arguments
from jaxgan.runs.population import members, tables
from tests.support import command, exit_status, read_lines, refused, size_of

SMALL = {
    "features": 4,
    "batch_size": 8,
    "scan_steps": 2,
    "log_every": 2,
    "checkpoint_every": 2,
    "num_steps": 4,
    "evaluate_samples": 100,
    "decay_steps": 10,
}


def words(run_dir, **flags):
    pairs = {**SMALL, "run_dir": run_dir, **flags}.items()
    return [word for name, value in pairs for word in (f"--{name.replace('_', '-')}", str(value))]


def train(run_dir, **flags):
    return exit_status(cli.main, mixture.Config, mixture.make, argv=words(run_dir, **flags))


def state_of(directory):
    return checkpoint.restore_plain(directory / "checkpoints")


@pytest.fixture(scope="module")
def seeds(tmp_path_factory):
    """The runs of seeds 5 and 6, trained at once."""
    directory = tmp_path_factory.mktemp("runs") / "seeds"
    assert train(directory, seed=5, seeds=2) == 0
    return directory


@pytest.mark.slow
def test_every_seed_is_a_run_of_its_own(seeds, tmp_path):
    """Equal to that of the same seed alone; with logs, an evaluation and samples."""
    assert train(tmp_path / "alone", seed=6, evaluate_every=0) == 0
    one, alone = (checkpoint.by_path(state_of(d)) for d in (seeds / "seed_6", tmp_path / "alone"))
    assert one.keys() == alone.keys()
    for name, value in alone.items():
        np.testing.assert_allclose(one[name], value, rtol=0, atol=1e-5, err_msg=name)
    run = jaxgan.load_run(seeds / "seed_6")
    assert (run.config.seed, run.config.seeds, run.step) == (6, 1, 4)
    for folder in (seeds / "seed_5", seeds / "seed_6"):
        assert [line["step"] for line in read_lines(folder / "metrics.jsonl")] == [2, 4]
        (events,) = (folder / "tensorboard").iterdir()
        assert b"generator/loss" in events.read_bytes()
        (entry,) = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))[
            "evaluations"
        ]
        assert entry["step"] == 4
    first, second = (read_lines(seeds / f"seed_{seed}" / "metrics.jsonl")[-1] for seed in (5, 6))
    assert first["discriminator/loss"] != second["discriminator/loss"]
    width, height = size_of(seeds / "seed_5" / "samples" / "step_0000004.png")
    assert size_of(seeds / "samples.png") == (2 * width, height)


@pytest.mark.slow
def test_seeds_resume_with_the_same_bits_and_go_on_alone(seeds, tmp_path, capsys):
    directory = tmp_path / "stopped"
    assert train(directory, seed=5, seeds=2, num_steps=2) == 0
    assert train(directory, seed=5, seeds=2) == 0
    assert "2 members resume from step 2" in capsys.readouterr().out
    for name in ("seed_5", "seed_6"):
        digests = [checkpoint.digest(state_of(d / name)) for d in (seeds, directory)]
        assert digests[0] == digests[1]
    assert train(directory / "seed_5", seed=5, num_steps=6) == 0
    assert int(state_of(directory / "seed_5")["step"]) == 6


@pytest.mark.slow
def test_a_group_goes_on_only_together(seeds, tmp_path, capsys):
    """A new member is refused before a file is touched; one that is ahead, or whose checkpoint is
    damaged, goes on with the others from their newest common step, with the same bits."""
    directory = tmp_path / "group"
    shutil.copytree(seeds, directory)
    logs = [(directory / f"seed_{seed}" / "metrics.jsonl").read_bytes() for seed in (5, 6)]
    argv = words(directory, seed=5, seeds=3)
    text = refused(cli.main, mixture.Config, mixture.make, argv=argv)
    assert "seed_7 is new, and others of these runs are at step 4; train it alone, --seed 7" in text
    assert logs == [(directory / f"seed_{n}" / "metrics.jsonl").read_bytes() for n in (5, 6)]

    damaged = directory / "seed_6" / "checkpoints" / "4"
    for file in damaged.rglob("*"):
        if file.is_file():
            file.write_bytes(file.read_bytes()[:-1])
    capsys.readouterr()
    with pytest.warns(UserWarning, match="checkpoint of step 4 in .* is damaged"):
        assert train(directory, seed=5, seeds=2) == 0
    out = capsys.readouterr().out
    assert "2 members resume from step 2" in out
    assert "after step 2, of which not all members have one, are set aside" in out
    for name in ("seed_5", "seed_6"):
        digests = [checkpoint.digest(state_of(d / name)) for d in (seeds, directory)]
        assert digests[0] == digests[1]

        # Evaluated again, since it was trained again.
        assert np.isfinite(checkpoint.read_record(directory / name / "checkpoints", 4)["score"])

    shutil.rmtree(directory / "seed_5" / "checkpoints" / "2")
    shutil.rmtree(directory / "seed_6" / "checkpoints" / "4")
    logs = [(directory / name / "metrics.jsonl").read_bytes() for name in ("seed_5", "seed_6")]
    argv = words(directory, seed=5, seeds=2, num_steps=6)
    text = refused(cli.main, mixture.Config, mixture.make, argv=argv)
    assert "no step has checkpoints of all members, whose newest are" in text
    assert logs == [(directory / n / "metrics.jsonl").read_bytes() for n in ("seed_5", "seed_6")]


@pytest.mark.slow
def test_an_evaluation_that_fails_or_is_ended_costs_no_state(tmp_path, monkeypatch, capsys):
    """The next start makes up for it: nothing is trained again."""

    def fails(*args):
        raise MemoryError

    def killed(*args):
        os.kill(os.getpid(), signal.SIGTERM)

    flags = {"seed": 5, "seeds": 2}
    for evaluate, status in ((fails, 2), (killed, 128 + signal.SIGTERM)):
        with monkeypatch.context() as context:
            context.setattr(members.session, "evaluator_of", lambda *args, e=evaluate: e)
            assert train(tmp_path / "seeds", **flags) == status
        for name in ("seed_5", "seed_6"):
            assert int(state_of(tmp_path / "seeds" / name)["step"]) == 4
        assert not list(tmp_path.glob("seeds/*/evaluation.json"))
    capsys.readouterr()
    assert train(tmp_path / "seeds", **flags) == 0
    assert "resume" not in capsys.readouterr().out
    for path in tmp_path.glob("seeds/*/evaluation.json"):
        (entry,) = json.loads(path.read_text(encoding="utf-8"))["evaluations"]
        assert entry["step"] == 4
        folder = path.parent / "checkpoints"
        assert np.isfinite(checkpoint.read_record(folder, 4)["score"])


@pytest.mark.slow
@pytest.mark.parametrize("number", [1, 2])
def test_a_mistyped_other_run_is_not_recorded(seeds, tmp_path, number):
    """The corrected command uses the same directory."""
    directory, flags = tmp_path / "new", {"seeds": number, "evaluate_every": 0, "num_steps": 2}
    argv = words(directory, init_from=tmp_path / "typo", **flags)
    text = refused(cli.main, mixture.Config, mixture.make, argv=argv)
    assert "typo holds no run" in text
    assert train(directory, init_from=seeds / "seed_5", **flags) == 0


@pytest.mark.slow
def test_a_seed_that_diverges_is_left_out(tmp_path, monkeypatch, capsys):
    """Its key is that of seed 6, at which the mixture's minibatches are made infinite."""
    make = mixture.make

    def infinite(config, data):
        experiment = make(config, data)
        if config.seed != 6:
            return experiment
        scaled = lambda *args: {"image": np.inf * experiment.minibatches(*args)["image"]}
        return experiment._replace(minibatches=scaled)

    monkeypatch.setattr("jaxgan.runs.config.find.name_of", lambda make: "mixture")
    argv = words(tmp_path / "seeds", seed=5, seeds=2)
    assert exit_status(cli.main, mixture.Config, infinite, argv=argv) == 1
    assert "1 of 2" in capsys.readouterr().out
    assert json.loads(
        (tmp_path / "seeds" / "seed_6" / "diverged.json").read_text(encoding="utf-8")
    ) == {"step": 2}
    assert int(state_of(tmp_path / "seeds" / "seed_5")["step"]) == 4


@pytest.fixture
def swept(tmp_path):
    """A sweep over two weights of R1, with two seeds each."""

    def run(folder, *more):
        grid = ["--grid", "r1", "0", "1", "--seeds", "2"]
        main(["sweep", "mixture", *grid, *words(tmp_path / folder), *more])
        return json.loads((tmp_path / folder / "sweep.json").read_text(encoding="utf-8"))

    return run


def test_scores_of_nan_are_null_in_json():
    """JSON has neither NaN nor infinities, and other readers refuse them."""
    results = {"r1=0": [{"fid": math.nan, "kid": 0.5}, None], "r1=1": [{"fid": -math.inf}]}
    expected = {"r1=0": [{"fid": None, "kid": 0.5}, None], "r1=1": [{"fid": None}]}
    text = json.dumps(sweep._without_nan(results), allow_nan=False)
    assert json.loads(text) == expected


@pytest.mark.slow
def test_a_sweep_that_was_killed_ends_the_same(swept, tmp_path, monkeypatch, capsys):
    whole = swept("whole")
    assert list(whole["points"]) == ["r1=0", "r1=1"] == whole["finished"]
    assert size_of(tmp_path / "whole" / "sweep.png")[1] == 440
    table = capsys.readouterr().out
    assert "partition_kl" in table
    assert "2 of 2" in table
    trained = members.train

    def killed_at_the_second_point(group, *args, **options):
        if "r1=1" in str(group[0].directory):
            raise KeyboardInterrupt
        return trained(group, *args, **options)

    with monkeypatch.context() as context:
        context.setattr(members, "train", killed_at_the_second_point)
        with pytest.raises(SystemExit):
            swept("killed")
    assert not (tmp_path / "killed" / "sweep.json").exists()
    assert swept("killed") == whole


@pytest.mark.slow
def test_successive_halving(swept, tmp_path):
    """After half of the steps the better of two points goes on, from where it is."""
    found = swept("halved", "--halvings", "1")
    (winner,) = found["finished"]
    loser = "r1=0" if winner == "r1=1" else "r1=1"
    for label, step in ((winner, 4), (loser, 2)):
        assert int(state_of(tmp_path / "halved" / label / "seed_0")["step"]) == step
    # Started again, the winner is past its first rung, whose evaluations decide as they did.
    files = lambda: {p: p.read_bytes() for p in (tmp_path / "halved").rglob("samples/*.png")}
    before = files()
    assert swept("halved", "--halvings", "1") == found
    assert files() == before


@pytest.fixture
def untrained(monkeypatch):
    """Members that were to be trained in a sweep, whose values are all 1."""
    groups = []

    def train(group, *_, **__):
        groups.extend(group)
        return [{"partition_kl": 1.0} for _ in group]

    monkeypatch.setattr(members, "train", train)
    return groups


def test_every_point_of_a_sweep_has_its_data(untrained, tmp_path):
    """Which a flag of the grid may choose."""
    main(["sweep", "mixture", "--grid", "data", "ring", "grid", *words(tmp_path / "data")])
    assert [one.experiment.data["name"] for one in untrained] == ["ring", "grid"]
    assert [one.config.data for one in untrained] == ["ring", "grid"]


def test_points_without_a_common_metric_are_not_halved(untrained, tmp_path):
    argv = ["--grid", "data", "ring", "swiss_roll", "--halvings", "1", *words(tmp_path / "s")]
    assert "data=swiss_roll has swd_pixels; leave it out" in refused(
        main, ["sweep", "mixture", *argv]
    )


def test_switches_in_a_grid():
    args = arguments.Sweep(experiment="mixture", grid=(("health", "True", "False"),))
    points = sweep._points(mixture, args, [])
    assert {label: config.health for label, config in points.items()} == {
        "health=True": True,
        "health=False": False,
    }


def test_a_path_in_a_grid_makes_no_folders_in_folders():
    args = arguments.Sweep(experiment="mixture", grid=(("init_from", "runs/a", "../b"),))
    points = sweep._points(mixture, args, [])
    assert {label: str(config.init_from) for label, config in points.items()} == {
        "init_from=runs_a": "runs/a",
        "init_from=.._b": "../b",
    }


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--grid", "r1", "1", "1"], "--grid has two points of the name r1=1; leave out one"),
        (["--grid", "health", "yes"], "--grid health: yes is not a value of a switch, expected Tr"),
        (["--grid", "r1", "1", "--grid", "r1", "2"], "--grid r1 is given twice; give all its"),
        (["--grid", "b1", "0", "--grid", "r1", "1", "--r1=2"], "--grid r1 and --r1 are both given"),
        (
            ["--grid", "lr_decay", "none", "--lr-decay", "none"],
            "--grid lr_decay and --lr-decay are",
        ),
        (["--grid", "run_dir", "a", "b"], "--grid run_dir: every point has its own folder in"),
        (["--grid", "seeds", "1"], "--grid seeds: the number of seeds of every point is --seeds"),
        (
            ["--grid", "evaluate_every", "9", "0", "--halvings", "1"],
            "--halvings compares evaluations; leave out --evaluate-every 0",
        ),
    ],
)
def test_grids_that_are_refused(untrained, tmp_path, monkeypatch, argv, message):
    monkeypatch.chdir(tmp_path)  # a grid that were taken would begin in runs/
    assert message in refused(main, ["sweep", "mixture", *argv])


def test_the_better_half():
    """By the mean of the metric; runs that diverged come last."""
    score = sweep._Score("partition_kl", "min")
    values = lambda *numbers: [None if n is None else {"partition_kl": n} for n in numbers]
    results = {
        "bad": values(3.0, 5.0),
        "good": values(1.0, 2.0),
        "diverged": values(0.1, None),
        "all diverged": values(None, None),
        "fair": values(2.0, 2.0),
        "no number": values(math.nan, 0.5),
    }
    assert sweep._better_half(results, score) == ["good", "fair", "bad"]
    evaluated = {"not evaluated": [{}], "bad": values(3.0)}  # such as where an evaluation failed
    assert sweep._better_half(evaluated, score) == ["bad"]


def test_the_better_half_of_a_metric_that_is_maximised():
    """As AUCs and Inception scores are."""
    results = {"low": [{"score": 1.0}], "high": [{"score": 2.0}]}
    assert sweep._better_half(results, sweep._Score("score", "max")) == ["high"]


def test_all_members_of_a_point_diverged(monkeypatch):
    def diverging(*_, **__):
        raise NonFiniteError("all members diverged before step 2")

    monkeypatch.setattr(members, "train", diverging)
    assert sweep._trained([None, None], "mixture", Console(quiet=True)) == [None, None]


def test_means_and_standard_errors():
    mean, error = tables.mean_and_error([1.0, 2.0, 6.0])
    assert (mean, error) == (3.0, pytest.approx(math.sqrt(7.0) / math.sqrt(3.0)))
    assert math.isnan(tables.mean_and_error([2.0])[1])
    console = Console(record=True, width=80)
    tables.print_table(console, {"a": [{"m": 1.0}, {"m": 3.0}, None], "b": [{"m": 5.0}]})
    text = console.export_text()
    assert "2 of 3" in text
    assert "2 ± 1" in text


@pytest.mark.slow
def test_command_lines_that_are_refused(seeds, tmp_path):
    grid = ["--grid", "r1", "0.1"]
    for argv, message in (
        (["sweep", "mixture", "--grid", "r1"], "--grid needs a flag and its values"),
        (["sweep", "mixture", *grid, "--seeds", "0"], "--seeds is 0 and --halvings is 0"),
        (["sweep", "nothing", *grid], "the experiment nothing cannot be imported"),
        (
            ["sweep", "mixture", *grid, "--run-dir", f"{tmp_path}/s", "--from-step", "1"],
            "--from-step is for single runs",
        ),
    ):
        assert message in refused(main, argv)
    assert exit_status(main, ["sweep", "mixture", "--grid", "no_such_flag", "1"]) == 2
    single = cli.main, mixture.Config, mixture.make
    message = refused(*single, argv=words(seeds / "seed_5", seed=5, seeds=2))
    assert "holds a single run; choose another --run-dir for --seeds" in message
    message = refused(*single, argv=words(seeds, seed=5))
    assert "is not empty and holds no run" in message
    message = refused(*single, argv=words(tmp_path / "new", seeds=2, log_to="wandb"))
    assert "--log-to wandb is for single runs; several seeds log to tensorboard" in message


@pytest.mark.slow
def test_spectrum_of_a_run(seeds, tmp_path, capsys):
    """That of the dense matrix, on the same minibatch."""
    out = tmp_path / "spectrum.png"
    command("spectrum", seeds / "seed_5", num=4, out=out)
    assert "4 eigenvalues" in capsys.readouterr().out
    assert size_of(out) == (550, 495)
    with np.load(out.with_suffix(".npz")) as saved:
        found, residuals = saved["values"], saved["residuals"]
    assert residuals.max() < 1e-3
    run = jaxgan.load_run(seeds / "seed_5", with_data=True)
    batch = jax.tree.map(lambda x: x[0], run.experiment.minibatches(0, 1))
    field = dynamics.vector_field(
        run.game, run.state.model_state, batch, jax.random.key(5), run.state.step
    )
    every = dynamics.spectrum(field, run.state.params).values
    np.testing.assert_allclose(abs(found), abs(every[:4]), rtol=1e-3)
    message = refused(command, "spectrum", seeds / "seed_5", num=10_000, out=out)
    assert "--num: num is 10000, expected 1 to" in message


@pytest.mark.slow
def test_a_signal_saves_all_members(tmp_path, monkeypatch, capsys):
    """At the step in which it comes, whatever the interval; the next start goes on from there."""

    def interrupted(*args, **kwargs):
        algorithm = compiled(*args, **kwargs)

        def update(state, batches, key):
            os.kill(os.getpid(), signal.SIGTERM)
            return algorithm.update(state, batches, key)

        return algorithm._replace(update=update)

    compiled = members._compiled
    flags = {"seed": 5, "seeds": 2, "checkpoint_every": 4}
    with monkeypatch.context() as context:
        context.setattr(members, "_compiled", interrupted)
        assert train(tmp_path / "seeds", **flags) == 128 + signal.SIGTERM
    assert int(state_of(tmp_path / "seeds" / "seed_6")["step"]) == 2
    assert train(tmp_path / "seeds", **flags) == 0
    assert "2 members resume from step 2" in capsys.readouterr().out
