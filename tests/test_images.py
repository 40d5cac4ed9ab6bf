"""Sample grids and curves, and the callbacks that write them."""

import json
import math
import signal
import sys
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from jaxgan import Evaluation, files, images
from jaxgan.data import as_float
from jaxgan.errors import UserError
from jaxgan.loop import StopTraining
from jaxgan.metrics import MetricRecord
from jaxgan.runs.directory.logs import read_metrics
from jaxgan.runs.session import callbacks

STATE = None


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((8, 8, 1)), r"shape \(8, 8, 1\), expected .* of one image, images\[None\]"),
        (np.full((2, 8, 8, 1), np.nan), "2 of 2 images have NaN, expected floats"),
    ],
)
def test_arrays_that_are_no_grid(array, message):
    with pytest.raises(ValueError, match=message):
        images.grid(array)


def test_a_grid_needs_its_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*nowhere; create it"):
        images.save_grid(tmp_path / "nowhere" / "samples.png", np.zeros((1, 8, 8, 1)))


def test_a_grid_has_every_image_in_its_place():
    gray = np.linspace(-1, 1, 6, dtype=np.float32)
    pictures = np.broadcast_to(gray[:, None, None, None], (6, 3, 4, 1))
    page = images.grid(pictures, columns=3, margin=1)
    assert page.shape == (2 * 4 + 1, 3 * 5 + 1, 1)
    expected = np.round((gray + 1) * 127.5)
    for i in range(6):
        top, left = i // 3 * 4 + 1, i % 3 * 5 + 1
        assert (page[top : top + 3, left : left + 4] == expected[i]).all()
    page[1:4, 1:5] = 0
    assert (page[0] == 0).all()
    assert (page[:, 0] == 0).all()


def test_a_grid_clips_and_leaves_gaps_empty():
    page = images.grid(np.full((3, 2, 2, 3), 5.0), margin=0)
    assert page.shape == (4, 4, 3)
    assert (page[:2] == 255).all()
    assert (page[2:, 2:] == 0).all()


def test_a_grid_of_bytes_shows_them():
    """As images of a data set are before they are converted."""
    bytes_ = np.random.default_rng(0).integers(0, 256, (4, 3, 3, 1), np.uint8)
    np.testing.assert_array_equal(images.grid(bytes_), images.grid(as_float(bytes_)))
    with pytest.raises(ValueError, match="images have 4 channels, expected 1 or 3"):
        images.grid(np.zeros((2, 3, 3, 4)))
    for dtype in (np.int32, bool):
        with pytest.raises(ValueError, match=r"expected floats in \[-1, 1\] or uint8"):
            images.grid(np.zeros((2, 3, 3, 1), dtype))


def test_grids_survive_the_file(tmp_path):
    pictures = np.random.default_rng(0).uniform(-1, 1, (4, 5, 5, 3))
    images.save_grid(tmp_path / "grid.png", pictures, columns=2)
    with Image.open(tmp_path / "grid.png") as file:
        np.testing.assert_array_equal(np.asarray(file), images.grid(pictures, columns=2))
    images.save_grid(tmp_path / "grey.png", pictures[..., :1])
    with Image.open(tmp_path / "grey.png") as file:
        assert file.mode == "L"


def test_a_file_that_cannot_be_completed_leaves_the_old_one(tmp_path, monkeypatch):
    pictures = np.zeros((4, 5, 5, 3))
    images.save_grid(tmp_path / "grid.png", pictures)
    images.save_animation(tmp_path / "all.gif", 2 * [tmp_path / "grid.png"])
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def fails(image, path, **more):
        path.write_bytes(b"half")
        raise OSError("the disk is full")

    monkeypatch.setattr(Image.Image, "save", fails)
    with pytest.raises(OSError, match="disk"):
        images.save_grid(tmp_path / "grid.png", pictures + 1.0)
    with pytest.raises(OSError, match="disk"):
        images.save_animation(tmp_path / "all.gif", 3 * [tmp_path / "grid.png"])
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


# ---- callbacks


def test_every():
    steps = []
    callback = callbacks.every(3, lambda step, state, metrics: steps.append(step), last=10)
    for step in range(1, 11):
        callback(step, STATE, {})
    assert steps == [3, 6, 9, 10]


def test_the_log_drops_steps_after_the_checkpoint(tmp_path):
    path, logged = tmp_path / "metrics.jsonl", []
    logger = lambda step, values: logged.append((step, values))
    with callbacks.metrics_log(path, [logger]) as log:
        for step in (1, 2, 3):
            log(step, STATE, {"a": {"loss": float(step)}})
    with path.open("a") as file:
        file.write('{"step": 4, "a/lo')  # killed in the middle of a line
    with callbacks.metrics_log(path, [logger], step=2) as log:
        log(3, STATE, {"a": {"loss": 30.0}})
    found = read_metrics(path)
    assert [(record["step"], record["a/loss"]) for record in found] == [(1, 1), (2, 2), (3, 30)]
    seconds = [record["seconds"] for record in found]
    assert seconds == sorted(seconds)
    assert all(json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
    assert logged == [
        (step, {"a/loss": value}) for step, value in ((1, 1), (2, 2), (3, 3), (3, 30))
    ]


@pytest.mark.parametrize("number", [1, 7, 10, 11, 25, 1000])
def test_of_a_long_log_a_curve_reads_a_part_with_the_last_line(number, tmp_path):
    """Curves are drawn again for every grid: of a whole log that takes longer and longer."""
    path = tmp_path / "metrics.jsonl"
    records = [{"step": step, "seconds": 0.0} for step in range(1, number + 1)]
    path.write_text("".join(json.dumps(record) + "\n" for record in records) + '{"st')
    read = read_metrics(path, most=10)
    assert read[-1] == records[-1]
    assert len(read) <= 20
    assert {after["step"] - before["step"] for before, after in pairwise(read)} <= {
        max(1, (number + 1) // 10)
    }


def scored(value):
    return {"score": MetricRecord("score", value)}


def evaluations(path, *, mode="min", step=0):
    evaluation = Evaluation({}, {}, best="score", mode=mode)
    return callbacks.Evaluations(path, scored, evaluation, Console(quiet=True), step=step)


@pytest.mark.parametrize(("mode", "best"), [("min", 2), ("max", 3)])
def test_the_best_evaluation_has_the_largest_score(tmp_path, mode, best):
    """By the mode of its metric; NaN is never best."""
    evaluate = evaluations(tmp_path / "evaluation.json", mode=mode)
    scores = {step: evaluate(step, v) for step, v in enumerate((5.0, 3.0, 7.0, math.nan), 1)}
    assert max(scores, key=scores.get) == best
    assert scores[4] == -math.inf
    record = json.loads((tmp_path / "evaluation.json").read_text(encoding="utf-8"))
    assert (record["best_by"], record["best_step"]) == ("score", best)


def test_evaluations_drop_steps_after_the_checkpoint(tmp_path):
    path = tmp_path / "evaluation.json"
    first = evaluations(path)
    first(4, 1.0)
    first(6, 0.5)
    evaluations(path, step=4)(8, 2.0)
    record = json.loads(path.read_text(encoding="utf-8"))
    assert [entry["step"] for entry in record["evaluations"]] == [4, 8]
    assert record["best_step"] == 4


def test_a_signal_stops_after_the_step_and_handlers_come_back():
    before = signal.getsignal(signal.SIGTERM)
    with callbacks.StopOnSignal(signal.SIGTERM) as stop:
        stop(1, STATE, {})
        signal.raise_signal(signal.SIGTERM)
        assert stop.received is None  # until all processes know of it
        stop.agree(2, STATE, {})
        assert stop.received == signal.SIGTERM
        assert signal.getsignal(signal.SIGTERM) == before  # a second one does what it always does
        with pytest.raises(StopTraining):
            stop(2, STATE, {})
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_reports_losses_and_speed(terminal, tmp_path):
    with (tmp_path / "out").open("w") as file:
        console = Console(file=file, force_terminal=terminal, width=120)
        with callbacks.progress(console, start=0, num_steps=30) as show:
            for step in (10, 20, 30):
                show(step, STATE, {"generator": {"loss": 0.5}, "discriminator": {"loss": 1.25}})
    text = (tmp_path / "out").read_text(encoding="utf-8")
    assert "generator 0.500" in text
    assert "discriminator 1.250" in text
    assert "steps/s" in text
    if not terminal:
        lines = text.splitlines()
        assert [line.split()[1] for line in lines] == ["10/30", "20/30", "30/30"]
        assert "\x1b" not in text


@pytest.mark.parametrize("ending", [".gif", ".webp", ".png"])
def test_videos_have_all_frames_for_equal_times(tmp_path, ending):
    levels = [0, 80, 160, 240]
    frames = [np.full((8, 6, 1), level, np.uint8) for level in levels]
    images.save_video(tmp_path / f"v{ending}", frames, seconds=2.0)
    with Image.open(tmp_path / f"v{ending}") as video:
        assert video.n_frames == 4
        for i, level in enumerate(levels):
            video.seek(i)
            assert np.abs(np.asarray(video.convert("L"), int) - level).max() <= 3
            assert video.info["duration"] == 500


def test_a_video_that_needs_a_library_says_which(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "imageio", None)
    monkeypatch.setitem(sys.modules, "imageio.v2", None)
    with pytest.raises(UserError, match=r"pip install 'jaxgan\[video\]'"):
        images.save_video(tmp_path / "v.mp4", [np.zeros((8, 8, 3), np.uint8)])


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("No ffmpeg exe could be found."),
        ImportError("imageio is too old"),
        ModuleNotFoundError("No module named 'numpy'", name="numpy"),
    ],
)
def test_a_library_of_videos_that_is_broken_is_not_called_missing(tmp_path, monkeypatch, error):
    def broken():
        raise error

    v2, ffmpeg = SimpleNamespace(), SimpleNamespace(get_ffmpeg_exe=broken)
    modules = {"imageio": SimpleNamespace(v2=v2), "imageio.v2": v2, "imageio_ffmpeg": ffmpeg}
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    with pytest.raises(UserError) as found:
        images.save_video(tmp_path / "v.mp4", [np.zeros((8, 8, 3), np.uint8)])
    assert f"and they do not work ({error}): pip install --upgrade 'jaxgan[video]'" in str(found)


def test_a_video_without_frames_is_refused(tmp_path):
    with pytest.raises(ValueError, match="there are no frames, expected at least one"):
        images.save_video(tmp_path / "v.gif", [])


def test_replacing_writes_through_links_and_leaves_no_parts(tmp_path):
    (tmp_path / "here").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "here" / "file")
    with files.replacing(tmp_path / "link") as part:
        part.write_text("new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "here" / "file").read_text() == "new"

    def on_a_full_disk():
        with files.replacing(tmp_path / "link") as part:
            part.write_text("half")
            raise OSError("full")

    with pytest.raises(OSError, match="full"):
        on_a_full_disk()
    assert (tmp_path / "link").read_text() == "new"
    assert [path.name for path in (tmp_path / "here").iterdir()] == ["file"]
