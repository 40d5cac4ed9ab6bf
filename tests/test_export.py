"""Models that leave: the programs of the model card, run where jaxgan is not imported."""

import dataclasses
import json
import re
import subprocess
import sys
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from jaxgan import images, load_run, ops, weights
from jaxgan.errors import RunError
from jaxgan.runs.commands import export as exports
from jaxgan.runs.export import onnx, programs
from tests.support import code_blocks, command, pixels, refused, train_mnist


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A conditional run on scikit-learn's digits, with convolutions."""
    directory = tmp_path_factory.mktemp("exported") / "run"
    with pytest.MonkeyPatch.context() as monkeypatch:
        assert train_mnist(monkeypatch, directory, "--conditional", num_steps=2) == 0
    return directory


@pytest.fixture(scope="module")
def exported(run, tmp_path_factory):
    """Folder of its export."""
    folder = tmp_path_factory.mktemp("exported") / "model"
    command("export", run, out=folder, license="apache-2.0")
    return folder


def live(run, *inputs):
    """The images of the live model, as one compiled program."""
    loaded = load_run(run)
    return np.asarray(jax.jit(loaded.game.decode)(loaded.params, loaded.model_state, *inputs))


def elsewhere(program, folder):
    """Runs a program in a folder, in a process that must not import jaxgan or flax."""
    check = "\nimport sys\nassert not {'jaxgan', 'flax'} & set(sys.modules)\n"
    done = subprocess.run(
        [sys.executable, "-c", program + check],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_the_program_has_the_bits_of_the_live_model(run, exported, tmp_path):
    """As the card runs it, with jax alone; for one image, for three and for all examples."""
    card = (exported / "README.md").read_text(encoding="utf-8")
    (program,) = [code for code in code_blocks(card, "python") if "stablehlo" in code]
    program += f"""
z, label = np.load("examples.npz").values()
few = [np.asarray(model.call(z[:n], label[:n])) for n in (1, 3)]
np.savez({str(tmp_path / "images.npz")!r}, images, *few)
"""
    elsewhere(program, exported)
    z, label = np.load(exported / "examples.npz").values()
    np.testing.assert_array_equal(z, load_run(run).latents(64))
    for found in np.load(tmp_path / "images.npz").values():
        n = len(found)
        np.testing.assert_array_equal(found, live(run, z[:n], label[:n]))
    grid = images.grid(live(run, z, label))[..., 0]
    np.testing.assert_array_equal(pixels(exported / "examples.png"), grid)


@pytest.mark.slow
def test_the_program_is_for_all_platforms(exported):
    loaded = jax.export.deserialize(bytearray((exported / "model.stablehlo").read_bytes()))
    assert set(loaded.platforms) == set(programs.PLATFORMS) == {"cpu", "cuda", "tpu"}
    assert [str(aval.shape) for aval in loaded.in_avals] == ["(b, 4)", "(b,)"]


@pytest.mark.slow
def test_the_weights_of_the_card(run, exported, monkeypatch):
    (program,) = [
        c
        for c in code_blocks((exported / "README.md").read_text(encoding="utf-8"), "python")
        if "weights" in c
    ]
    monkeypatch.chdir(exported)
    names = {}
    exec(program, names)
    jax.tree.map(
        np.testing.assert_array_equal,
        names["params"],
        jax.device_get(load_run(run).params["generator"]),
    )
    assert weights.record("generator.safetensors")["step"] == 2


@pytest.mark.slow
def test_the_card_says_what_was_done_and_nothing_about_this_machine(run, exported):
    card = (exported / "README.md").read_text(encoding="utf-8")
    assert card.startswith("---\nlicense: apache-2.0\n")
    assert "1,500 training and 297 test images, 28 x 28 x 1" in card
    assert "| features | 4 |" in card
    assert "This step was not evaluated." in card
    assert str(run.parent) not in card
    assert "run_dir" not in card


@pytest.mark.slow
def test_nothing_in_the_card_is_markup(run, tmp_path):
    """Scores are in the table, and hostile names are text."""
    record = {"name": "fid<script>", "value": 1.5, "standard_error": 0.25, "floor": None}
    record |= {"num_generated": 9, "num_real": 8, "split": "test", "features": "pixels"}
    entry = {"step": 2, "records": [record]}
    loaded = load_run(run)
    loaded.record["data"]["name"] = "<img src=x>"
    loaded.record["config"]["network"] = "a|b\n# title"
    path = run / "evaluation.json"
    path.write_text(json.dumps({"best_by": None, "best_step": 2, "evaluations": [entry]}))
    try:
        exports.write_card(tmp_path, loaded, "generator", ["safetensors"], "unknown", None)
    finally:
        path.unlink()
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "| fid&lt;script&gt; | 1.5 ± 0.25 |  | 9 | 8, test | pixels |" in card
    assert "| network | a\\|b # title |" in card
    assert not re.search("<(script|img)", card)


@pytest.mark.slow
def test_one_file_by_its_ending(run, tmp_path):
    command("export", run, out=tmp_path / "a" / "generator.safetensors")
    command("export", run, out=tmp_path / "a" / "g.stablehlo")
    loaded = load_run(run)
    autoencoder = loaded.experiment._replace(game=loaded.game._replace(prior=None))
    with pytest.raises(RunError, match="without latents or translations"):
        programs.program_of(dataclasses.replace(loaded, experiment=autoencoder), num=1, seed=0)
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == [
        "g.stablehlo",
        "generator.safetensors",
    ]
    assert "ends with none of" in refused(command, "export", run, out=tmp_path / "g.pth")
    text = refused(command, "export", run, out=tmp_path / "b", player="critic")
    assert "--player is critic, expected one of discriminator, generator" in text


@pytest.mark.slow
def test_the_onnx_graph_has_the_images_of_the_live_model(run, tmp_path):
    """As the card runs it, without jax; and for one image."""
    pytest.importorskip("jax2onnx", reason="pip install 'jaxgan[onnx]'")
    pytest.importorskip("onnxruntime", reason="pip install 'jaxgan[onnx]'")
    command("export", run, out=tmp_path / "model", format="onnx")
    (program,) = code_blocks(
        (tmp_path / "model" / "README.md").read_text(encoding="utf-8"), "python"
    )
    program += """
one = model.run(None, {name: rows[:1] for name, rows in np.load("examples.npz").items()})[0]
np.savez("images.npz", images, one)
import sys
assert "jax" not in sys.modules
"""
    elsewhere(program, tmp_path / "model")
    z, label = np.load(tmp_path / "model" / "examples.npz").values()
    for found in np.load(tmp_path / "model" / "images.npz").values():
        n = len(found)
        np.testing.assert_allclose(found, live(run, z[:n], label[:n]), atol=1e-5, rtol=0)


CONVOLUTIONS = [(1, 3, "SAME"), (2, 4, "SAME"), (3, 2, "SAME"), (2, 2, "VALID"), (3, 5, "VALID")]


@pytest.mark.parametrize(("stride", "taps", "padding"), CONVOLUTIONS)
def test_plain_convolutions_are_the_same(stride, taps, padding):
    """Those and their transposes, also behind `jit` and a custom derivative."""
    x, kernel = (
        jax.random.normal(jax.random.key(i), s)
        for i, s in enumerate([(2, 5, 6, 3), (taps, taps, 3, 4)])
    )

    @jax.jit
    def function(x):
        y = jax.nn.relu(ops.conv_transpose(x, kernel, stride=stride, padding=padding))
        return ops.conv(y, kernel.transpose(0, 1, 3, 2), stride=stride, padding=padding)

    replaced = onnx.with_plain_convolutions(function)
    names = str(jax.make_jaxpr(replaced)(x))
    assert "jaxgan_conv" in str(jax.make_jaxpr(function)(x))
    assert "jaxgan_conv" not in names
    assert "lhs_dilation=(1, 1)" in names
    assert "lhs_dilation=(2" not in names
    np.testing.assert_allclose(replaced(x), function(x), atol=1e-4)


def test_plain_convolutions_of_groups():
    """And their adjoints in the image, which a generator that takes gradients would have."""
    x, kernel = (
        jax.random.normal(jax.random.key(i), s) for i, s in enumerate([(2, 5, 6, 4), (3, 3, 2, 6)])
    )
    conv = lambda x: ops.conv(x, kernel, stride=2, groups=2)
    function = lambda x: jax.vjp(conv, x)[1](jax.numpy.sin(conv(x)))[0]
    replaced = onnx.with_plain_convolutions(function)
    assert "jaxgan_conv" not in str(jax.make_jaxpr(replaced)(x))
    np.testing.assert_allclose(replaced(x), function(x), atol=1e-4)


PADS = [((0, 0), (2, 1), (0, 3)), ((1, 0), (0, 0), (0, 0)), ((0, 0), (-1, 2), (1, -2))]


@pytest.mark.parametrize("pads", PADS)
def test_plain_paddings_are_the_same(pads):
    """Of no negative ones is left, since the converter takes them of one number of rows only."""
    x = jax.random.normal(jax.random.key(0), (2, 4, 5))
    function = lambda x: jax.lax.pad(x, np.float32(7.0), [(*pair, 0) for pair in pads])
    replaced = onnx.with_plain_convolutions(function)
    np.testing.assert_array_equal(replaced(x), function(x))
    has_negative = min(min(pair) for pair in pads) < 0
    names = [equation.primitive.name for equation in jax.make_jaxpr(replaced)(x).eqns]
    assert ("pad" in names) == has_negative


@pytest.mark.slow
def test_a_padding_of_any_number_of_rows_is_converted():
    pytest.importorskip("jax2onnx", reason="pip install 'jaxgan[onnx]'")
    pytest.importorskip("onnxruntime", reason="pip install 'jaxgan[onnx]'")
    apply = lambda params, model_state, z: jax.lax.pad(z, 0.5, [(0, 0, 0), (1, 2, 0)]) * params
    z = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    program = programs.Program(apply, np.float32(2.0), {}, {"latents": "b, 4"}, (z,))
    assert onnx.to_onnx(program)  # which compares


def test_a_model_that_cannot_be_converted_is_refused_in_a_line(monkeypatch):
    def to_onnx(*_, **options):
        raise jax.errors.InconclusiveDimensionOperation("Symbolic dimension 'B'\nlong text")

    monkeypatch.setitem(sys.modules, "jax2onnx", SimpleNamespace(to_onnx=to_onnx))
    z = np.zeros((1, 2), np.float32)
    program = programs.Program(lambda params, state, z: z, {}, {}, {"latents": "b, 2"}, (z,))
    with pytest.raises(RunError, match=r"this model \(Symbolic dimension 'B'.*\); use --format"):
        onnx._converted(lambda z: z, program)


@pytest.mark.slow
def test_what_the_converter_gets_wrong_is_not_written(run, tmp_path, monkeypatch):
    """A converter whose images are other images, or that is not installed."""

    class Session:
        def __init__(self, *_):
            pass

        def run(self, _, inputs):
            return [np.zeros((len(inputs["latents"]), 28, 28, 1), np.float32) + 2.0]

    runtime = SimpleNamespace(SessionOptions=SimpleNamespace, InferenceSession=Session)
    monkeypatch.setattr(onnx, "_converted", lambda *_: b"")
    monkeypatch.setitem(sys.modules, "onnxruntime", runtime)
    text = refused(command, "export", run, out=tmp_path / "model.onnx")
    assert "the model that jax2onnx made differs by" in text
    assert not (tmp_path / "model.onnx").exists()
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    text = refused(command, "export", run, out=tmp_path / "model.onnx")
    assert "needs onnxruntime, which is not installed: pip install 'jaxgan[onnx]'" in text


@pytest.mark.parametrize("code", ["import no_such_library", "raise ImportError('no_such_library')"])
def test_a_converter_that_is_broken_is_not_called_missing(tmp_path, monkeypatch, code):
    (tmp_path / "broken_converter.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(RunError, match=r"is installed but cannot be imported \(.*no_such_library"):
        onnx._imported("broken_converter")


def test_the_player_of_a_game_without_a_generator():
    """Programs need none; weights need to be told, where there are several."""
    of = lambda *players: SimpleNamespace(game=SimpleNamespace(losses=dict.fromkeys(players)))
    cyclegan = of("discriminators", "generators")
    assert exports._player(cyclegan, None, needed=True) == "generators"
    assert exports._player(cyclegan, "discriminators", needed=True) == "discriminators"
    with pytest.raises(RunError, match="--player is critic, expected one of discriminators, gene"):
        exports._player(cyclegan, "critic", needed=False)
    assert exports._player(of("x", "y"), None, needed=False) == "y"
    with pytest.raises(RunError, match=r"which player\? give --player, one of x, y"):
        exports._player(of("x", "y"), None, needed=True)
