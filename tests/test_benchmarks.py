"""What is timed side by side is the same game."""

import itertools
import json

import chex
import jax
import numpy as np
import pytest

import jaxgan
from benchmarks.step import Config, interleaved
from benchmarks.workloads import (
    LATENT,
    OURS,
    PLAIN,
    WORKLOADS,
    Translation,
    Workload,
    make_networks,
    make_step,
)
from jaxgan import networks
from tests.conftest import ROOT
from tests.support import refused

SMALL = Workload(
    image=(8, 8, 3),
    batch=4,
    base=(2, 2, 8),
    generator=((8, 5, 1), (4, 5, 2), (3, 4, 2)),
    discriminator=((4, 5, 2), (8, 4, 2)),
    batch_norm=True,
)


@pytest.mark.slow
@pytest.mark.parametrize("penalty", ["r1", None, "gp"])
def test_our_layers_and_flaxs_own_train_alike(penalty):
    workload = SMALL._replace(penalty=penalty, batch_norm=penalty is None)
    (ours, _), (plain, _) = make_step(workload, OURS), make_step(workload, PLAIN)
    for _ in range(3):
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4), ours(), plain()
        )


def test_pytorchs_networks_have_as_many_parameters():
    pytest.importorskip("torch", reason="the comparison needs PyTorch")
    from benchmarks import torch_workloads

    count = lambda module, x: sum(
        leaf.size
        for leaf in jax.tree.leaves(
            jax.eval_shape(jaxgan.from_linen(module).init, jax.random.key(0), x)[0]
        )
    )
    for workload in WORKLOADS.values():
        if isinstance(workload, Translation):
            continue
        theirs = [
            sum(p.numel() for p in module.parameters())
            for module in torch_workloads._networks(workload)
        ]
        generator, discriminator = make_networks(workload, OURS)
        image = np.zeros((2, *workload.image), np.float32)
        z = np.zeros((2, LATENT), np.float32)
        assert theirs == [count(generator, z), count(discriminator, image)]


def test_pytorchs_translation_networks_are_ours():
    """With PyTorch's weights, ours compute what PyTorch's do."""
    torch = pytest.importorskip("torch", reason="the comparison needs PyTorch")
    from benchmarks import torch_workloads

    torch.manual_seed(0)
    x = np.random.default_rng(0).uniform(-1, 1, (2, 32, 32, 3)).astype(np.float32)
    for theirs, ours in (
        (torch_workloads._resnet(4, 2), networks.ResNetGenerator(3, 4, 2)),
        (torch_workloads._patch_discriminator(4), networks.PatchDiscriminator(4, norm="instance")),
    ):
        network = jaxgan.from_linen(ours)
        params, _ = network.init(jax.random.key(0), x)
        layers = [m for m in theirs.modules() if isinstance(m, torch.nn.modules.conv._ConvNd)]
        weights = {}
        numbers = {"Conv": itertools.count(), "ConvTranspose": itertools.count()}
        for layer in layers:
            kernel = layer.weight.detach().numpy()
            if isinstance(layer, torch.nn.ConvTranspose2d):  # the gradient of a convolution there
                kind, kernel = "ConvTranspose", kernel.transpose(2, 3, 0, 1)[::-1, ::-1]
            else:
                kind, kernel = "Conv", kernel.transpose(2, 3, 1, 0)
            of_layer = {"kernel": kernel, "bias": layer.bias.detach().numpy()}
            weights[f"{kind}_{next(numbers[kind])}"] = of_layer
        chex.assert_trees_all_equal_shapes(weights, params)
        found, _ = network.apply(weights, {}, x, train=True)
        with torch.no_grad():
            expected = theirs(torch.from_numpy(x.transpose(0, 3, 1, 2))).numpy()
        expected = expected.transpose(0, 2, 3, 1).reshape(found.shape)
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_forms_take_turns():
    order = []
    steps = {name: lambda name=name: order.append(name) for name in ("a", "b")}
    times = interleaved(steps, Config(repeats=3, seconds=0.0))
    assert order == ["a", "a", "b", "b", *3 * ["a", "b"]]
    assert [len(values) for values in times.values()] == [3, 3]


# ---- published numbers


def test_published_keeps_results_that_it_does_not_compute_again(tmp_path):
    """The exact rates of the Dirac-GAN, beside a result that was there before."""
    from benchmarks import published

    old = {"about": "As it was.", "machine": "elsewhere", "minutes": 1.0, "rows": []}
    config = published.Config(("dirac",), tmp_path / "r.json", tmp_path / "r.md")
    config.json.write_text(json.dumps({"tpu": {"programs": {}}, "grid": old}))
    published.main(config)
    results = json.loads(config.json.read_text(encoding="utf-8"))
    assert results["grid"] == old
    assert results["tpu"] == {"programs": {}}
    for row in results["dirac"]["rows"]:
        assert float(row["value"]) == pytest.approx(float(row["published"]), abs=2e-5)
    page = config.page.read_text(encoding="utf-8")
    assert page.index("## Dirac-GAN") < page.index("## 25 Gaussians on a grid")
    assert "tpu" not in page.split("## Dirac-GAN")[1]
    assert "[25 Gaussians on a grid](#25-gaussians-on-a-grid) | `grid` | each other |" in page
    assert "| alternating, no penalty: 1 | 1.000000 | 1.000000 |" in page

    text = refused(published.main, published.Config(("fid",), config.json, config.page))
    assert "no protocol fid; there are dirac, gaussian, ring" in text


def test_the_page_of_results_is_made_from_its_records():
    from benchmarks import published

    results = json.loads((ROOT / "docs" / "results.json").read_text(encoding="utf-8"))
    page = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    assert page == published.page(results)
    assert page.count("\n## ") == page.count("](#")  # every section is listed


def test_the_table_of_presets(tmp_path):
    """Medians over seeds after equal steps, at the best and at the end; all values at the end."""
    from benchmarks import zoo

    file, page = tmp_path / "results.json", tmp_path / "results.md"
    file.write_text("{}")
    page.touch()
    scores = {0: (9.0, 2.0, 4.0), 1: (8.0, 3.0, 3.5), 2: (7.0, 5.0, 1.0)}
    records = [
        {
            "preset": "dcgan",
            "seed": seed,
            "steps": 300,
            "cpu_seconds": 60,
            "scores": {
                step: {"mnist_classifier": value, "lenet5": 10 * value}
                for step, value in zip((100, 200, 300), values, strict=True)
            },
        }
        for seed, values in scores.items()
    ]
    zoo.write(
        file, {"records": records[::-1], "milliseconds": {"dcgan": 3.0}, "machine": "two cores"}
    )
    (row,) = zoo.read(file)["rows"]
    assert row["what"] == "`dcgan`, 300 steps of 3 ms"
    assert row["value"] == "8, 2, 3.5 (4, 3.5, 1)"  # the best of the third seed is its last
    assert row["published"] == "80, 20, 35 (40, 35, 10)"
    assert row["seeds"] == "0, 1, 2"
    assert f"| {row['what']} | {row['published']} | {row['value']} | 0, 1, 2 |" in page.read_text(
        encoding="utf-8"
    )
    assert zoo.read(file)["records"][0]["seed"] == 2  # as they came


def test_times_of_presets_that_are_added_later():
    """Scaled by the defaults' time, then and now: this machine is half as fast today."""
    from benchmarks import zoo

    today = {"defaults": 20.0, "dcgan": 8.0, "r3gan": 500.0}
    measure = lambda names: {name: today[name] for name in names}
    assert zoo.completed({}, ["dcgan", "r3gan"], measure) == {"dcgan": 8.0, "r3gan": 500.0}
    known = {"defaults": 10.0, "dcgan": 5.0}
    assert zoo.completed(known, ["r3gan"], measure) == known | {"r3gan": 250.0}


@pytest.mark.slow
def test_memory_of_metrics_does_not_grow_with_the_square(capfd):
    """Of 16 000 rows all distances at once would take 1 GB, the rows themselves 2 MB."""
    from benchmarks import metrics

    metrics.main(metrics.Config(rows=16_000, width=16))
    rows = [line.split("|")[1:-1] for line in capfd.readouterr().out.splitlines()[2:]]
    assert [row[0].strip() for row in rows] == list(metrics.METRICS)
    *ours, yardstick = rows
    assert all(float(row[-1]) < 1.0 for row in ours)
    assert "scikit_learn" in yardstick[0]


def test_the_yardstick_computes_the_same():
    from benchmarks import metrics

    rng, values = np.random.default_rng(0), []
    real, generated = rng.normal(size=(2, 300, 4)).astype("f4")
    ours = jaxgan.metrics.precision_recall_density_coverage(k_precision=5, k_density=5)
    for metric in (ours, metrics.by_scikit_learn()):
        acc = metric.update(metric.init(), real=real, generated=generated + 0.3)
        records = metric.compute(acc)
        values.append({name.split("_")[0]: record.value for name, record in records.items()})
    assert values[0] == pytest.approx(values[1], abs=1e-9)


@pytest.mark.slow
def test_device_benchmark(capsys):
    from benchmarks import device

    device.main(device.Config(("mnist",), ("float32",), repeats=1, seconds=0.01, batch_size=2))
    row = [cell.strip() for cell in capsys.readouterr().out.splitlines()[-1].split("|")[1:-1]]
    assert row[:3] == ["mnist", "float32", "2"]
    assert float(row[4]) == pytest.approx(2 * float(row[3]), rel=0.1)  # images in all, at a batch
