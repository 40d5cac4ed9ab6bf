"""The page that runs a generator: what is in it, and its images in a browser."""

import base64
import gzip
import json
import os
from pathlib import Path

import numpy as np
import pytest

from jaxgan import images, latent_space, load_run
from jaxgan.runs.commands import demo, generator
from jaxgan.runs.directory import exported
from jaxgan.runs.export import onnx
from tests.conftest import ROOT
from tests.support import command, decoded, refused, train_mnist

RUNTIME = Path(os.environ.get("JAXGAN_ONNXRUNTIME_WEB", ROOT))  # where npm installed it
SIZES = [(390, "dark"), (1400, "light")]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """By name: a generator that has learned something, and a conditional one."""
    directory = tmp_path_factory.mktemp("demo") / "run"
    with pytest.MonkeyPatch.context() as monkeypatch:
        assert train_mnist(monkeypatch, directory, "--conditional", num_steps=2) == 0
    return {"plain": exported.path_of("mnist-dcgan"), "conditional": directory}


@pytest.fixture
def pretended(monkeypatch, tmp_path):
    """Folder with files in the place of onnxruntime-web; the model is bytes."""
    monkeypatch.setattr(onnx, "to_onnx", lambda program: b"model")
    folder = tmp_path / "node_modules" / "onnxruntime-web" / "dist"
    folder.mkdir(parents=True)
    for name in (demo.SCRIPT, *demo.BINARIES):
        (folder / name).write_text(f"{name} </script><b>")
    (folder.parent / "package.json").write_text('{"version": "1.2.3"}')
    return tmp_path


def part(page, name):
    """The text of the script with an id."""
    return page.partition(f'id="{name}">')[2].partition("</script>")[0]


def unpacked(page, name):
    return gzip.decompress(base64.b64decode(part(page, name)))


@pytest.mark.parametrize(("name", "classes"), [("plain", 0), ("conditional", 10)])
@pytest.mark.slow
def test_the_page_holds_runtime_model_and_directions(name, classes, runs, pretended, tmp_path):
    path = tmp_path / "demo.html"
    command("demo", runs[name], out=path, runtime=pretended, num=2, seed=3)
    page, run = path.read_text(encoding="utf-8"), load_run(runs[name])
    assert unpacked(page, "model") == b"model"
    for script, file in zip(("module", "wasm"), demo.BINARIES, strict=True):
        assert unpacked(page, script) == f"{file} </script><b>".encode()
    assert f"{demo.SCRIPT} <\\/script><b>" in page
    assert "onnxruntime-web 1.2.3" in page
    data = json.loads(part(page, "data"))
    assert (data["shape"], data["classes"], data["normal"]) == ([28, 28, 1], classes, True)
    np.testing.assert_array_equal(np.float32(data["latents"]), run.latents(1, seed=3))
    codes = run.latents(generator.NUM_CODES, seed=3)
    decoded = run.decode(codes)
    if classes:  # without what the class alone does, which is in turn
        means = decoded.reshape(-1, classes, *decoded.shape[1:]).mean(axis=0)
        decoded = decoded - np.tile(means, (len(codes) // classes, 1, 1, 1))
    found = latent_space.principal_components(codes, decoded, 2)
    np.testing.assert_allclose(data["directions"], found.vectors, rtol=1e-4, atol=1e-4)
    assert page.count('class="direction"') == 2
    assert page.count("<option>") == classes


@pytest.mark.slow
def test_what_has_no_demo(runs, pretended, tmp_path):
    words = ("demo", runs["plain"])
    text = refused(command, *words, runtime=tmp_path / "gone")
    assert "has no onnxruntime-web (ort.wasm.min.js, " in text
    assert "run `npm install onnxruntime-web` in a folder" in text
    assert "--num is 0" in refused(command, *words, num=0, runtime=pretended)
    text = refused(command, *words, out=tmp_path / "demo.txt", runtime=pretended)
    assert "ends with none of .html" in text


@pytest.mark.slow
@pytest.mark.parametrize(("name", "size"), list(zip(["plain", "conditional"], SIZES, strict=True)))
def test_the_page_in_a_browser(name, size, runs, browser, tmp_path):
    """Its images are those of the live model, and follow its sliders; no errors, no requests."""
    for package in ("jax2onnx", "onnxruntime"):
        pytest.importorskip(package, reason="pip install 'jaxgan[onnx]'")
    if not list(RUNTIME.glob("node_modules/onnxruntime-web")):
        pytest.skip("no onnxruntime-web: `npm install` it, and set JAXGAN_ONNXRUNTIME_WEB")
    path, run = tmp_path / "demo.html", load_run(runs[name])
    command("demo", runs[name], out=path, runtime=RUNTIME, num=3)
    width, scheme = size
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    wrong, requests = [], []
    page.on("console", lambda m: wrong.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(path.as_uri())
    seen = []

    def check(label=0):
        """Waits for the next image, compares it with the live model's, and returns its latent."""
        page.wait_for_selector(f"body[data-rendered='{len(seen) + 1}']")
        found = page.evaluate("[[...shown.latent], [...shown.image]]")
        z, image = (np.array(values, np.float32) for values in found)
        expected = run.decode(z[None], label=label if name == "conditional" else None)
        np.testing.assert_allclose(image.reshape(28, 28, 1), expected[0], atol=1e-4, rtol=0)
        pixels = decoded(page.evaluate("canvas.toDataURL()"))
        grid = images.grid(image.reshape(1, 28, 28, 1), margin=0)
        colors = np.broadcast_to(grid, (28, 28, 3))
        np.testing.assert_array_equal(pixels[..., :3], colors)
        seen.append(image)
        return z

    first = check()
    np.testing.assert_array_equal(first, run.latents(1)[0])
    page.locator(".direction").nth(1).fill("2")
    moved = check()
    vectors = np.array(page.evaluate("data.directions"))
    np.testing.assert_allclose(moved - first, 2 * vectors[1], atol=1e-5)
    assert page.locator("output").all_inner_texts() == ["none", "0", "2", "0"]
    page.get_by_text("Reset").click()
    np.testing.assert_array_equal(check(), first)
    np.testing.assert_array_equal(seen[0], seen[2])
    change = np.abs(seen[1] - seen[0]).max()
    assert change > (0 if name == "conditional" else 0.5)
    page.get_by_text("New sample").click()
    second = check()
    page.locator("#truncation").fill("0.3")
    truncated = check()
    assert np.abs(truncated).max() <= 0.3 < np.abs(second).max()
    inside = np.abs(second) <= 0.3
    np.testing.assert_array_equal(truncated[inside], second[inside])
    if name == "conditional":
        page.locator("#label").select_option("7")
        np.testing.assert_array_equal(check(label=7), truncated)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("#status").inner_text() == ""
    assert wrong == []
    assert all(url.startswith(("file:", "data:", "blob:")) for url in requests)
    page.close()
