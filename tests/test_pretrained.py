"""Runs that are files: what `export` wrote is the model of the run; what comes with the package."""

import json
import math
import shutil

import jax
import numpy as np
import pytest

import jaxgan
from jaxgan import evaluator, load_run, weights
from jaxgan.errors import RunError, WeightsError
from jaxgan.runs.directory import exported
from tests.conftest import DATA_DIR
from tests.support import command, refused, train_mnist


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A conditional run on scikit-learn's digits."""
    directory = tmp_path_factory.mktemp("pretrained") / "run"
    flags = {"num_steps": 2, "evaluate_every": 2, "evaluate_features": "pixels"}
    with pytest.MonkeyPatch.context() as monkeypatch:
        flags |= {"evaluate_samples": 50}
        assert train_mnist(monkeypatch, directory, "--conditional", **flags) == 0
    return directory


@pytest.fixture(scope="module")
def file(run, tmp_path_factory):
    """Its generator as a file."""
    folder = tmp_path_factory.mktemp("pretrained") / "model"
    command("export", run, out=folder, format="safetensors", license="apache-2.0")
    return folder / "generator.safetensors"


@pytest.mark.slow
def test_a_file_is_the_model_of_its_run(run, file, tmp_path):
    """Bit for bit: parameters, samples, and what commands write; its export is the same file."""
    live, loaded = load_run(run), load_run(file)
    assert (loaded.step, list(loaded.params)) == (2, ["generator"])
    equal = lambda a, b: jax.tree.map(np.testing.assert_array_equal, a, b)
    equal(loaded.params["generator"], live.params["generator"])
    equal(loaded.model_state["generator"], live.model_state["generator"])
    np.testing.assert_array_equal(
        loaded.sample(3, seed=5, label=7, truncation=1.0),
        live.sample(3, seed=5, label=7, truncation=1.0),
    )
    command("sample", run, num=4, out=tmp_path / "live.png")
    command("sample", file, num=4, out=tmp_path / "loaded.png")
    assert (tmp_path / "live.png").read_bytes() == (tmp_path / "loaded.png").read_bytes()
    command("export", file, out=tmp_path / "again", format="safetensors", license="apache-2.0")
    for name in ("generator.safetensors", "README.md"):
        assert (tmp_path / "again" / name).read_bytes() == (file.parent / name).read_bytes()


@pytest.mark.slow
def test_a_file_is_readable_by_whom_others_are(file):
    other = file.with_name("other")
    other.touch()
    assert file.stat().st_mode == other.stat().st_mode


@pytest.mark.slow
def test_a_run_is_printed_in_a_line(file):
    assert (
        repr(load_run(file))
        == f"Run({str(file)!r}, experiment='mnist', step={load_run(file).step})"
    )


@pytest.mark.slow
def test_the_record_of_a_file(run, file):
    record, origin = (
        load_run(file).record,
        json.loads((run / "config.json").read_text(encoding="utf-8")),
    )
    assert record["license"] == "apache-2.0"
    assert record["averaged"] is True
    assert record["data"] == origin["data"] | {"source": str(file)}
    (evaluation,) = json.loads((run / "evaluation.json").read_text(encoding="utf-8"))["evaluations"]
    assert record["evaluation"] == evaluation["records"]
    text = json.dumps(weights.record(file))
    assert str(run.parent) not in text
    assert origin["data"]["source"] not in text


@pytest.mark.slow
def test_a_file_is_evaluated_with_the_data_of_its_run(run, file):
    loaded = load_run(file, with_data=True)
    records = evaluator(loaded.game, loaded.experiment.evaluation, num_samples=50)(loaded.state)
    recorded = {record["name"]: record["value"] for record in loaded.record["evaluation"]}
    assert {name: record.value for name, record in records.items()} == pytest.approx(recorded)


def damaged(file, folder, change):
    """A copy of a file with other arrays or another record."""
    arrays, record = weights.load_arrays(file), weights.record(file)
    change(arrays, record)
    path = folder / "damaged.safetensors"
    params = {k.removeprefix("params/"): v for k, v in arrays.items() if k.startswith("params/")}
    state = {k.partition("/")[2]: v for k, v in arrays.items() if k.startswith("model_state/")}
    weights.save(path, params, state, record=record)
    return path


CHANGES = {
    "its step is None": lambda arrays, record: record.pop("step"),
    "its step is 4294967296": lambda arrays, record: record.update(step=2**32),
    "versions": lambda arrays, record: record.pop("versions"),
    "its data is list": lambda arrays, record: record.update(data=[]),
    "other arrays than the generator": lambda arrays, record: arrays.pop(sorted(arrays)[-1]),
    "other arrays than the critic": lambda arrays, record: record.update(player="critic"),
    "which jaxgan does not have": lambda arrays, record: record.update(experiment="os.path"),
    "configuration of .*damaged.safetensors is refused: the decay": lambda arrays, record: record[
        "config"
    ].update(ema=2.0),
    "damaged.safetensors is damaged": lambda arrays, record: record["config"].update(features="x"),
}


@pytest.mark.parametrize("message", CHANGES)
@pytest.mark.slow
def test_a_file_that_is_no_model(message, file, tmp_path):
    path = damaged(file, tmp_path, CHANGES[message])
    with pytest.raises((RunError, WeightsError), match=message):
        load_run(path)


@pytest.mark.slow
def test_other_files_and_names(run, file, tmp_path):
    (tmp_path / "text").write_text("not a model")
    assert "cannot be read as safetensors" in refused(command, "sample", tmp_path / "text")
    command("export", run, out=tmp_path / "d", format="safetensors", player="discriminator")
    with pytest.raises(RunError, match="has the weights of the discriminator alone"):
        load_run(tmp_path / "d" / "discriminator.safetensors")
    with pytest.raises(RunError, match=r"no pretrained mnist-huge, expected one of .*mixture-ring"):
        jaxgan.pretrained("mnist-huge")
    assert "holds no run" in refused(command, "report", file)


# ---- what comes with the package


def test_pretrained_generators_are_small_and_have_a_card():
    files = [exported.path_of(name) for name in exported.names()]
    assert sum(file.stat().st_size for file in files) < 3e6
    for file in files:
        card = (file.parent / "README.md").read_text(encoding="utf-8")
        assert card.startswith("---\nlicense: apache-2.0\n")
        assert f"{weights.record(file)['step']:,} steps" in card
        for record in weights.record(file)["evaluation"]:
            assert f"| {record['name']} | {record['value']:.4g}" in card


def test_a_pretrained_name_is_a_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command("sample", "mixture-ring", num=5, out=tmp_path / "points.npz")
    found = np.load(tmp_path / "points.npz")["samples"]
    np.testing.assert_array_equal(found, jaxgan.pretrained("mixture-ring").sample(5))
    shutil.copytree(exported.path_of("mixture-ring").parent, tmp_path / "mixture-ring")
    assert "holds no run" in refused(command, "sample", "mixture-ring")  # the folder comes first


@pytest.mark.parametrize("name", ["ring", "grid"])
def test_mixtures_have_all_modes(name):
    """And most samples within 3 sigma of one."""
    run, mixture = jaxgan.pretrained(f"mixture-{name}"), getattr(jaxgan.data, name)()
    centers = np.asarray(mixture.centers)
    distances = np.linalg.norm(run.sample(2500)[:, None] - centers, axis=-1)
    near = distances.argmin(axis=1)[distances.min(axis=1) < 3 * mixture.std]
    assert len(near) > 0.9 * 2500
    counts = np.bincount(near, minlength=len(centers))
    assert counts.min() > 0.5 * 2500 / len(centers)


@pytest.mark.parametrize("name", [n for n in exported.names() if n.startswith("mnist")])
def test_digits_are_confident_and_of_all_classes(name):
    """As the classifier reads them; those of a conditional generator are what was asked for."""
    run, classify = jaxgan.pretrained(name), jaxgan.features.mnist_classifier().apply
    samples = run.sample(500)
    logits = classify(samples)["logits"]
    read = np.argmax(logits, axis=1)
    assert np.median(np.max(jax.nn.softmax(logits), axis=1)) > 0.99
    assert np.bincount(read, minlength=10).min() > 15
    if run.record["config"]["conditional"]:
        assert np.mean(read == np.arange(500) % 10) > 0.95


@pytest.mark.slow
@pytest.mark.parametrize("name", exported.names())
def test_the_scores_of_the_cards_are_measured_again(name, request):
    """By their protocol: as many samples, the same seed, split and features."""
    if weights.record(exported.path_of(name))["data"]["name"] == "mnist":
        request.getfixturevalue("mnist_folder")
    run = jaxgan.pretrained(name, with_data=True, data_dir=DATA_DIR)
    recorded = {record["name"]: record for record in run.record["evaluation"]}
    num = {record["num_generated"] for record in recorded.values()}
    assert len(num) == 1
    evaluate = evaluator(run.game, run.experiment.evaluation, num_samples=num.pop())
    for name, record in evaluate(run.state).items():
        expected = recorded[name]
        assert (record.split, record.seed) == (expected["split"], expected["seed"])
        assert record.features_sha256 == expected["features_sha256"]
        assert math.isclose(record.value, expected["value"], rel_tol=1e-3, abs_tol=1e-4), name
