"""Evaluation of games and runs: values, how often, what is kept, and the commands."""

import contextlib
import io
import json
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

import jaxgan
from jaxgan import Evaluation, data, evaluation, evaluator, features, metrics, weights
from jaxgan.errors import MetricError
from jaxgan.evaluation.outputs import outputs_of
from jaxgan.runs.load import load_run
from jaxgan.runs.session import callbacks, samples
from jaxgan.training import TrainState
from tests.support import command, refused, train_mnist


def gaussian_game() -> jaxgan.Game:
    """Its samples are N(mean, 1), whatever is learned."""

    def sample(params, model_state, batch, key):
        keys = jaxgan.parallel.axis.example_keys(key, batch["image"].shape[0])
        noise = jax.vmap(lambda key: jax.random.normal(key, (2,)))(keys)
        return params["generator"][None] + noise + batch.get("label", jnp.zeros(1))[:, None]

    return jaxgan.Game(lambda key, batch: ({}, {}), {}, sample)


def state_of(mean: float, average: float | None = None) -> TrainState:
    params, ema = {"generator": jnp.full((2,), mean)}, {}
    if average is not None:
        ema = {"generator": jnp.full((2,), average)}
    return TrainState(jnp.array(0), params, {}, {}, ema, {})


def normal(seed: int, n: int = 700) -> dict[str, np.ndarray]:
    return {"image": np.random.default_rng(seed).normal(size=(n, 2)).astype("f4")}


FRECHET = {"fid": metrics.frechet_distance()}


def test_samples_are_compared_with_the_examples():
    evaluate = evaluator(gaussian_game(), Evaluation(FRECHET, normal(0)), num_samples=5000)
    for mean in (0.0, 2.0):
        record = evaluate(state_of(mean))["fid_pixels"]
        assert record.value == pytest.approx(2 * mean**2, abs=0.03 + 0.05 * mean**2)
        assert (record.num_generated, record.num_real) == (5000, 700)
        assert (record.split, record.seed, record.floor) == ("test", 0, None)


def test_averages_are_evaluated_by_default():
    evaluated, state = Evaluation(FRECHET, normal(0)), state_of(0.0, average=2.0)
    average, last = (
        evaluator(gaussian_game(), evaluated, average=average)(state)["fid_pixels"].value
        for average in (True, False)
    )
    assert average == pytest.approx(8.0, rel=0.05)
    assert last < 0.05


def test_grids_show_the_averages():
    """What a run draws is what it is evaluated by."""
    experiment = SimpleNamespace(
        game=gaussian_game(), sample_batch=lambda n: {"image": np.zeros((n, 2), np.float32)}
    )
    drawn = samples.sampler(experiment, 2000, seed=0)(state_of(0.0, average=2.0))
    assert drawn.mean() == pytest.approx(2.0, abs=0.1)


def test_a_limit_takes_pictures_in_random_order():
    """Names often begin with a class: of 200 ascending greys, the first 60 are dark."""
    gray = lambda i: np.full((4, 4, 1), i, np.uint8)
    pictures = data.ImageFiles(tuple(f"{i:03}" for i in range(200)), 1, gray, "")
    mean = lambda _, rows: {"mean": metrics.MetricRecord("mean", float(rows.mean()))}
    metric = metrics.collecting(mean, features=metrics.RAW, min_real=0)
    records = evaluation.of_image_files([metric], real=pictures, generated=pictures, limit=60)
    assert records["mean"].value == pytest.approx(99.5 / 127.5 - 1.0, abs=0.2)  # -0.77 in order


def test_memorization_compares_images_in_one_range():
    """Bytes of training images with samples in [-1, 1]."""
    training = np.random.default_rng(0).integers(0, 256, (120, 12, 12, 1), np.uint8)
    spec = evaluation.of_images({"image": training[:110]}, {"image": training})
    metric, rows = spec.more["memorization"](), data.as_float(training).reshape(120, -1)
    acc = metric.update(metric.init(), real=rows, generated=rows)
    assert metric.compute(acc)["memorization_pixels"].details["exact_copies"] == 120


def test_the_floor_is_the_score_of_other_real_examples():
    evaluated = Evaluation(FRECHET, normal(0), others=normal(1, 5000))
    record = evaluator(gaussian_game(), evaluated, num_samples=300)(state_of(1.0))["fid_pixels"]
    rows = np.asarray(data.shuffled(np.arange(300), n=5000, seed=0, epoch=0))
    metric = FRECHET["fid"]
    acc = metric.update(metric.init(), real=normal(0)["image"])
    acc = metric.update(acc, generated=normal(1, 5000)["image"][rows])
    assert record.floor == pytest.approx(metric.compute(acc)["fid_pixels"].value, rel=1e-6)
    assert str(record).endswith(f"(perfect {record.floor:.4g})")
    few = Evaluation(FRECHET, normal(0), others=normal(1, 100))
    record = evaluator(gaussian_game(), few, num_samples=300)(state_of(1.0))["fid_pixels"]
    assert (record.num_generated, record.details["floor_of"]) == (300, 100)
    assert str(record).endswith(f"(perfect {record.floor:.4g} of 100)")


def test_the_seed_determines_the_value():
    evaluated = Evaluation(FRECHET, normal(0))
    evaluate = lambda seed: evaluator(gaussian_game(), evaluated, seed=seed)(state_of(0.0))
    assert evaluate(1) == evaluate(1) != evaluate(2)


def unique_rows() -> metrics.Metric:
    """The number of different generated rows."""
    count = lambda _, rows: {"n": metrics.MetricRecord("n", float(len(np.unique(rows, axis=0))))}
    return metrics.collecting(count, features=metrics.RAW, min_real=0)


def test_samples_of_an_evaluation_are_independent():
    """Those of different batches too: more than one batch of 500."""
    evaluate = evaluator(
        gaussian_game(), Evaluation({"n": unique_rows()}, normal(0)), num_samples=1300
    )
    assert evaluate(state_of(0.0))["n"].value == 1300


def test_the_seed_is_that_of_the_order_of_examples():
    """Of a game that returns the batch: nine of 700 rows, others by another seed."""
    game = jaxgan.Game(lambda *_: ({}, {}), {}, lambda p, m, batch, key: batch["image"])
    mean = lambda _, rows: {"mean": metrics.MetricRecord("mean", float(rows.mean()))}
    metric = metrics.collecting(mean, features=metrics.RAW, min_real=0)
    evaluated = Evaluation({"mean": metric}, normal(0))
    of = lambda seed: evaluator(game, evaluated, num_samples=9, seed=seed)(state_of(0.0))["mean"]
    assert of(0).value == of(0).value != of(1).value


def test_the_split_is_recorded():
    evaluated = Evaluation(FRECHET, normal(0), split="validation")
    assert evaluator(gaussian_game(), evaluated)(state_of(0.0))["fid_pixels"].split == "validation"


def test_a_floor_that_is_known_is_not_measured():
    """A hundredth of samples are below the threshold of memorisation, copies of them or not."""
    copies = metrics.memorization(normal(3)["image"])
    evaluated = Evaluation({"m": copies}, normal(0), others=normal(3))
    record = evaluator(gaussian_game(), evaluated)(state_of(0.0))["memorization_pixels"]
    assert record.floor == 0.01


def test_samples_get_the_conditions_of_the_examples():
    """The label is added to the mean, and half of the labels are 4."""
    examples = normal(0, 400) | {"label": np.repeat([0, 4], 200).astype(np.int32)}
    mean = metrics.collecting(
        lambda _, generated: {"mean": metrics.MetricRecord("mean", float(generated.mean()))},
        features=metrics.RAW,
        min_real=0,
    )
    record = evaluator(gaussian_game(), Evaluation({"mean": mean}, examples), num_samples=1200)
    assert record(state_of(0.0))["mean"].value == pytest.approx(2.0, abs=0.1)


def test_pairs_have_no_floor():
    """Other examples are not outputs for these inputs."""
    images = {"image": np.random.default_rng(0).uniform(-1, 1, (30, 12, 12, 1)).astype("f4")}
    game = jaxgan.Game(lambda *_: ({}, {}), {}, lambda p, m, batch, key: batch["image"])
    evaluated = Evaluation({"pairs": metrics.reconstruction()}, images, others=images)
    assert evaluator(game, evaluated)(state_of(0.0))["l1"].floor is None


def test_pairs_stay_pairs():
    """A game that returns its input has no error; there are never more pairs than examples."""
    game = jaxgan.Game(lambda key, batch: ({}, {}), {}, lambda p, m, batch, key: batch["source"])
    images = np.random.default_rng(0).integers(0, 256, (700, 12, 12, 1), np.uint8)
    evaluated = Evaluation(
        {"pairs": metrics.reconstruction()}, {"source": images, "target": images}, target="target"
    )
    records = evaluator(game, evaluated)(state_of(0.0))
    assert records["l1"].value == 0.0
    assert records["l1"].num_generated == 700
    records = evaluator(game, evaluated, num_samples=1000)(state_of(0.0))
    assert records["l1"].num_generated == 700


def test_what_cannot_be_evaluated():
    with pytest.raises(ValueError, match="num_samples is 0, expected at least 1"):
        evaluator(gaussian_game(), Evaluation(FRECHET, normal(0)), num_samples=0)
    with pytest.raises(ValueError, match="the examples have image and no target"):
        evaluator(gaussian_game(), Evaluation(FRECHET, normal(0), target="target"))
    few = Evaluation({"memorization": metrics.memorization(np.zeros((5, 2)))}, normal(0, n=13))
    with pytest.raises(ValueError, match="13 real examples, and memorization needs at least 100"):
        evaluator(gaussian_game(), few)
    with pytest.raises(ValueError, match="no sample"):
        evaluator(gaussian_game()._replace(sample=None), Evaluation(FRECHET, normal(0)))
    with pytest.raises(MetricError, match="500 of 500 generated rows are not finite"):
        evaluator(gaussian_game(), Evaluation(FRECHET, normal(0)))(state_of(np.nan))


def test_two_features_of_one_name_are_refused():
    """Their records would have one name, too."""
    of = lambda factor: metrics.Features("mine", lambda x: {"features": factor * x})
    measures = {
        "a": metrics.frechet_distance(of(1.0)),
        "b": metrics.sliced_wasserstein(of(2.0)),
    }
    with pytest.raises(ValueError, match="two features have the name mine; share one"):
        evaluator(gaussian_game(), Evaluation(measures, normal(0)))(state_of(0.0))
    random = features.random_convolutions
    images = {"image": np.random.default_rng(0).uniform(-1, 1, (8, 8, 8, 1)).astype("f4")}
    copies = jaxgan.Game(lambda *_: ({}, {}), {}, lambda p, m, batch, key: batch["image"])
    twice = {"a": metrics.frechet_distance(random()), "b": metrics.sliced_wasserstein(random())}
    records = evaluator(copies, Evaluation(twice, images))(state_of(0.0))
    assert records["fid_random_convolutions"].value == pytest.approx(0.0, abs=1e-3)


def test_parts_of_parts_are_evaluated():
    def mean(name):
        record = lambda _, generated: {name: metrics.MetricRecord(name, float(generated.mean()))}
        return {name: metrics.collecting(record, features=metrics.RAW, min_real=0)}

    inner = Evaluation(mean("c"), normal(0))
    middle = Evaluation({}, normal(0), parts={"q": inner})
    evaluated = Evaluation(mean("a"), normal(0), parts={"p": middle})
    assert set(evaluator(gaussian_game(), evaluated)(state_of(0.0))) == {"a", "p/q/c"}


def test_networks_are_computed_once_for_all_metrics():
    """Three metrics share a network, one of which reads its logits: XLA merges the passes."""
    weight = jnp.ones((3, 100, 100))

    def network(x):
        for w in weight:
            x = jnp.sin(x @ w)
        return {"features": x, "logits": x[:, :2]}

    shared = metrics.Features("toy", network)
    several = (
        metrics.frechet_distance(shared),
        metrics.kernel_distance(shared),
        metrics.classifier_score(shared),
    )
    flops_of_one, flops_of_several = (
        jax.jit(f).lower(jnp.zeros((4, 100))).compile().cost_analysis()["flops"]
        for f in (network, lambda x: outputs_of(several, x))
    )
    assert flops_of_several < 1.1 * flops_of_one


def test_of_images_follows_the_features():
    images = {"image": np.zeros((6, 28, 28, 1), np.uint8)}
    over = lambda chosen: evaluation.of_images(images, features=chosen)
    assert evaluation.of_images(images).best == "swd_pixels"  # nothing is inferred from the shape
    assert over(features.mnist_classifier()).best == "fid_mnist_classifier"
    assert "inception_score" in over(features.mnist_classifier()).metrics
    unlabeled = over(features.random_convolutions())
    assert unlabeled.best == "fid_random_convolutions"
    assert set(unlabeled.metrics) | set(unlabeled.more) == set(evaluation.MEASURES) - {
        "inception_score"  # there are no logits
    }
    few = {"image": images["image"][:5]}  # no more than the neighbours of precision and recall
    of_few = evaluation.of_images(few, features=features.random_convolutions())
    assert set(unlabeled.metrics) - set(of_few.metrics) == {"prdc"}
    assert "prdc" not in of_few.more


def test_features_belong_to_a_data_set():
    name = lambda **kwargs: features.by_name("auto", **kwargs).name
    assert name(data="mnist") == name(data="digits") == "mnist_classifier"
    assert name(data="fashion_mnist") == name() == "random_convolutions"
    assert features.by_name("pixels", data="mnist") is metrics.PIXELS
    with pytest.raises(MetricError, match="features named digit; choose auto, digits, random"):
        features.by_name("digit")


def write_images(folder, arrays):
    folder.mkdir()
    for i, array in enumerate(arrays):
        Image.fromarray(array).save(folder / f"{i:03}.png")


@pytest.mark.slow
def test_folders_that_cannot_be_compared(tmp_path, capsys):
    rng = np.random.default_rng(0)
    pictures = lambda n, *size: [rng.integers(0, 256, (*size, 3), np.uint8) for _ in range(n)]
    write_images(tmp_path / "real", pictures(8, 12, 12))
    write_images(tmp_path / "thin", [*pictures(7, 12, 12), *pictures(1, 3, 40)])
    write_images(tmp_path / "few", pictures(3, 12, 12))
    folders = lambda name: ("evaluate", tmp_path / name, tmp_path / "real")
    text = refused(command, *folders("thin"), metrics="fid")
    assert "007 of the generated images: an image has 3 x 40 pixels, expected at least" in text
    assert "few has 3 images, and prdc needs at least 6; choose" in refused(
        command, *folders("few"), metrics="prdc"
    )
    capsys.readouterr()
    write_images(tmp_path / "larger", pictures(8, 12, 16))
    command(*folders("larger"), metrics="fid")
    assert "WARNING: the images have different sizes, such as 12 x 12 and 12 x 16 pixels" in (
        capsys.readouterr().out
    )
    (tmp_path / "larger" / "bad.png").write_bytes(b"no image")
    command(*folders("larger"), "--skip-bad", metrics="fid", size=12)
    text = capsys.readouterr().out
    assert "WARNING" not in text
    assert "bad.png" in text


@pytest.mark.slow
def test_two_folders_of_pictures(tmp_path, capsys):
    """The records are those of the metrics, of files read in several batches and of two sizes."""
    rng = np.random.default_rng(0)
    sides = [8] * 70 + [10] * 10
    real, generated = (
        [rng.integers(0, high, (s, s, 3), np.uint8) for s in sides] for high in (256, 200)
    )
    write_images(tmp_path / "real", real)
    write_images(tmp_path / "generated", generated)
    out, both = tmp_path / "scores.json", (tmp_path / "generated", tmp_path / "real")
    command("evaluate", *both, metrics=("fid",), out=out)
    assert "80 samples and 80 real" in capsys.readouterr().out
    apply = features.random_convolutions().apply
    rows = lambda arrays: np.concatenate(
        [apply(data.as_float(a)[None])["features"] for a in arrays]
    )
    metric = metrics.frechet_distance(features.random_convolutions())
    acc = metric.update(metric.init(), real=rows(real), generated=rows(generated))
    expected = metric.compute(acc)["fid_random_convolutions"].value
    (entry,) = json.loads(out.read_text(encoding="utf-8"))["evaluations"]
    assert entry["records"][0]["value"] == pytest.approx(expected, rel=1e-3)
    same = (tmp_path / "real", tmp_path / "real")
    command("evaluate", *same, metrics=("fid", "prdc"), out=out)
    records = json.loads(out.read_text(encoding="utf-8"))["evaluations"][0]["records"]
    values = {record["name"].split("_")[0]: record["value"] for record in records}
    assert values["fid"] == pytest.approx(0.0, abs=1e-3 * expected)
    assert (values["precision"], values["coverage"]) == (1.0, 1.0)
    message = refused(command, "evaluate", *same, metrics=("fidd",))
    assert "--metrics has fidd, expected some of fid" in message
    message = refused(command, "evaluate", *same, metrics=("inception_score",))
    assert "--metrics has inception_score, expected some of fid" in message  # there are no logits
    assert "--num-samples is 0" in refused(command, "evaluate", *same, num_samples=0)
    message = refused(command, "evaluate", *same, features="pixels")
    assert "features have widths 192 and 300" in message


def test_over_other_features():
    """Of two parts, one of pairs and one of samples, the latter is measured by the network."""
    network = metrics.Features("toy", lambda x: {"features": x[:, :1], "logits": x})
    pairs = Evaluation({"pairs": metrics.reconstruction()}, normal(0))
    samples = Evaluation(FRECHET, normal(0))
    evaluated = Evaluation({}, normal(0), parts={"cycle": pairs, "x2y": samples})
    records = evaluator(gaussian_game(), evaluation.over(evaluated, network))(state_of(3.0))
    assert "x2y/fid_toy" in records
    assert not any(name.startswith("cycle") for name in records)
    assert records["x2y/fid_toy"].value == pytest.approx(9.0, rel=0.1)
    assert records["x2y/fid_toy"].details["width"] == 1


def test_over_other_features_checkpoints_are_compared_by_the_fid():
    """The lower the better, whatever they were compared by; pairs alone have no FID."""
    network = metrics.Features("toy", lambda x: {"features": x[:, :1]})
    images = {"image": np.zeros((10, 16, 16, 1), np.float32)}
    sharp = Evaluation({"s": metrics.sharpness()}, images, best="sharpness", mode="max")
    found = evaluation.over(sharp, network)
    assert (found.best, found.mode) == ("fid_toy", "min")
    pairs = Evaluation({"pairs": metrics.reconstruction()}, images, best="psnr", mode="max")
    assert evaluation.over(pairs, network).best is None


# ---- runs


SMALL = {"network": "mlp", "evaluate_samples": 40}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run that was evaluated at steps 4, 8 and 10."""
    directory = tmp_path_factory.mktemp("evaluated") / "run"
    with (
        pytest.MonkeyPatch.context() as monkeypatch,
        contextlib.redirect_stdout(io.StringIO()) as out,
    ):
        flags = {"num_steps": 10, "evaluate_every": 4, "checkpoint_every": 100, "ema": 0}
        assert train_mnist(monkeypatch, directory, **SMALL, **flags) == 0
    directory.with_name("out").write_text(out.getvalue())
    return directory


@pytest.mark.slow
def test_a_run_says_what_takes_long_and_how_much_scores_say(finished):
    lines = finished.with_name("out").read_text(encoding="utf-8").splitlines()
    starts = ("scores compare with 297 held-out", "compiling", "evaluating step 4", "evaluation at")
    found = [i for start in starts for i, line in enumerate(lines) if line.startswith(start)]
    assert len(found) == 6
    assert found[:4] == sorted(found[:4])
    assert " (perfect " in lines[found[3]]


@pytest.mark.slow
def test_a_finished_run_has_its_evaluations(finished):
    content = json.loads((finished / "evaluation.json").read_text(encoding="utf-8"))
    assert [entry["step"] for entry in content["evaluations"]] == [4, 8, 10]
    assert content["best_by"] == "fid_mnist_classifier"
    values = {
        entry["step"]: record["value"]
        for entry in content["evaluations"]
        for record in entry["records"]
        if record["name"] == content["best_by"]
    }
    assert content["best_step"] == min(values, key=values.get)
    (record,) = [r for r in content["evaluations"][0]["records"] if r["name"] == content["best_by"]]
    assert (record["num_generated"], record["num_real"], record["split"]) == (40, 297, "test")
    assert len(record["features_sha256"]) == 64
    real = data.load("digits")
    metric = metrics.frechet_distance(features.mnist_classifier())
    outputs = lambda x: metric.features.apply(data.as_float(x))["features"]
    rows = np.asarray(data.shuffled(np.arange(40), n=1500, seed=0, epoch=0))
    acc = metric.update(metric.init(), real=outputs(real.test["image"]))
    acc = metric.update(acc, generated=outputs(real.train["image"][rows]))
    assert record["floor"] == pytest.approx(metric.compute(acc)[record["name"]].value, rel=1e-3)


@pytest.mark.slow
def test_the_best_checkpoint_stays(finished, monkeypatch):
    best = json.loads((finished / "evaluation.json").read_text(encoding="utf-8"))["best_step"]
    assert int(load_run(finished, step="best").state.step) == best
    assert int(load_run(finished).step) == 10
    kept = {int(path.name) for path in (finished / "checkpoints").glob("[0-9]*")}
    assert kept == {8, 10, best}

    flags = {"num_steps": 13, "evaluate_every": 0, "checkpoint_every": 1, "ema": 0}
    assert train_mnist(monkeypatch, finished, **SMALL, **flags) == 0
    kept = {int(path.name) for path in (finished / "checkpoints").glob("[0-9]*")}
    assert kept == {12, 13, best}


@pytest.mark.slow
def test_the_command_computes_the_values_of_the_run(finished, tmp_path, capsys):
    content = json.loads((finished / "evaluation.json").read_text(encoding="utf-8"))
    expected = next(e for e in content["evaluations"] if e["step"] == content["best_step"])
    out = tmp_path / "e.json"
    command("evaluate", finished, num_samples=40, step="best", parameters="both", out=out)
    text = capsys.readouterr().out
    assert f"{finished} at step {content['best_step']}, average parameters" in text
    assert "last parameters" in text
    found = json.loads(out.read_text(encoding="utf-8"))["evaluations"]
    assert found[0]["records"] == found[1]["records"]  # there is no average in this run
    for ours, theirs in zip(found[0]["records"], expected["records"], strict=True):
        assert ours == theirs


@pytest.mark.slow
def test_metrics_are_chosen_by_name(finished, capsys):
    command("evaluate", finished, metrics=("memorization", "ms_ssim"), num_samples=20)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["memorization_pixels", "ms_ssim"]
    for flags, message in (
        ({"metrics": ("fidd",)}, "--metrics has fidd, expected some of fid, kid, prdc"),
        ({"num_samples": 1}, "num_samples is 1, and fid needs at least 2"),
        ({"features": "nowhere.pth"}, "there are no features named nowhere.pth; choose auto"),
    ):
        assert message in refused(command, "evaluate", finished, **flags)


@pytest.mark.slow
def test_evaluations_of_steps_that_were_lost_are_made_again(tmp_path, monkeypatch):
    """As after a crash: what the file holds of steps after the newest checkpoint is dropped."""
    flags = SMALL | {"evaluate_every": 4}
    assert train_mnist(monkeypatch, tmp_path / "run", num_steps=4, **flags) == 0
    path = tmp_path / "run" / "evaluation.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    lost = content["evaluations"][0] | {"step": 6, "records": []}
    path.write_text(json.dumps(content | {"evaluations": [*content["evaluations"], lost]}))
    assert train_mnist(monkeypatch, tmp_path / "run", num_steps=8, **flags) == 0
    steps = [entry["step"] for entry in json.loads(path.read_text(encoding="utf-8"))["evaluations"]]
    assert steps == [4, 8]


@pytest.mark.slow
def test_an_evaluation_that_fails_costs_no_training(tmp_path, monkeypatch, capsys):
    def fail(self, step, state):
        raise MetricError("these samples cannot be measured")

    monkeypatch.setattr(callbacks.Evaluations, "__call__", fail)
    flags = SMALL | {"num_steps": 4, "evaluate_every": 4}
    assert train_mnist(monkeypatch, tmp_path / "run", **flags) == 2
    assert "these samples cannot be measured" in capsys.readouterr().err
    assert int(load_run(tmp_path / "run").step) == 4
    assert train_mnist(monkeypatch, tmp_path / "run", **flags) == 0
    assert "is complete at step 4" in capsys.readouterr().out


@pytest.mark.slow
def test_export_and_load(finished, tmp_path):
    command("export", finished, out=tmp_path / "g.safetensors", step="best")
    params, _ = weights.load(tmp_path / "g.safetensors")
    state = load_run(finished, step="best").state
    jax.tree.map(np.testing.assert_array_equal, params, jax.device_get(state.params["generator"]))
    record = weights.record(tmp_path / "g.safetensors")
    assert record["step"] == int(state.step)
    assert record["evaluation"][0]["name"] == "fid_mnist_classifier"
    assert str(finished) not in json.dumps(record)
    text = refused(command, "export", finished, out=tmp_path / "g.safetensors", player="critic")
    assert "--player is critic, expected one of discriminator, generator" in text


@pytest.mark.slow
def test_neighbours_are_training_images(finished, tmp_path, capsys):
    """Every row of the grid: a sample, then images of the training set."""
    command("neighbors", finished, num=3, k=2, out=tmp_path / "n.png")
    assert "each followed by its 2 nearest training images" in capsys.readouterr().out
    page = np.asarray(Image.open(tmp_path / "n.png"))
    assert page.shape == (3 * 30 + 2, 3 * 30 + 2)
    training = {image.tobytes() for image in data.load("digits").train["image"][..., 0]}
    for row in range(3):
        cells = [page[row * 30 + 2 : row * 30 + 30, i * 30 + 2 : i * 30 + 30] for i in range(3)]
        assert [cell.tobytes() in training for cell in cells] == [False, True, True]


def test_evaluations_that_do_not_agree():
    rows = normal(0, 20)["image"]
    game, state = gaussian_game(), state_of(0.0)
    uneven = Evaluation(FRECHET, {"label": np.zeros(10, int), "image": rows})
    with pytest.raises(ValueError, match=r"'label': 10, 'image': 20}, expected one length"):
        evaluator(game, uneven)
    with pytest.raises(ValueError, match="mode is 'maximum', expected min or max"):
        evaluator(game, Evaluation(FRECHET, {"image": rows}, mode="maximum"))
    twice = {"a": metrics.sliced_wasserstein(), "b": metrics.sliced_wasserstein(num_projections=9)}
    with pytest.raises(ValueError, match="two metrics have a record swd_pixels"):
        evaluator(game, Evaluation(twice, {"image": rows}))(state)
    with pytest.raises(ValueError, match="best is fidd, expected one of the records: fid_pixels"):
        evaluator(game, Evaluation(FRECHET, {"image": rows}, best="fidd"))(state)
