"""Pages about runs: what is embedded is what was recorded, and nothing that is recorded is HTML."""

import dataclasses
import html.parser
import json
import shlex

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from experiments import mnist
from jaxgan.__main__ import main
from jaxgan.runs import with_preset
from jaxgan.runs.command_line import parser
from jaxgan.runs.config.presets import defaults
from jaxgan.runs.directory.recorded import MAX_RECORDS, read_run
from jaxgan.runs.directory.recorded import command as repeated_by
from jaxgan.runs.reports import panels, report
from jaxgan.runs.session import attempt
from tests import support
from tests.support import command, refused, train_mnist

RNG = np.random.default_rng(0)
EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\"'&{{7*7}}"


def recorded(folder, *, steps=(10, 20, 30), grids=(10, 20, 30), evil="", **config):
    """A directory with the files of a run of `experiments.mnist`."""
    folder.mkdir(parents=True)
    session = {
        "started": f"2026-01-01{evil}",
        "devices": [f"cpu{evil}"],
        "processes": 1,
        "python": "3.11",
        "versions": {f"jax{evil}": "1"},
        "xla_flags": evil,
    }
    flags = dataclasses.asdict(mnist.Config(**{"num_steps": 30, "data": f"digits{evil}"} | config))
    data = {"name": f"digits{evil}", "source": f"here{evil}", "fingerprint": "0"}
    record = {"experiment": f"mnist{evil}", "config": flags, "data": data, "sessions": [session]}
    (folder / "config.json").write_text(json.dumps(record))
    names = ("discriminator/loss", "generator/loss", "discriminator/real_output")
    names += ("discriminator/fake_output", f"generator/other{evil}")
    rows = [
        {"step": step, "seconds": step / 10} | {name: float(RNG.uniform(0.1, 1)) for name in names}
        for step in steps
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    measured = {"standard_error": 0.5, "num_real": 9, "num_generated": 8, "floor": 1.25}
    measured |= {"details": {"floor_of": 7}}
    evaluations = [
        {
            "step": step,
            "records": [measured | {"name": f"fid{evil}", "value": value, "split": evil}],
        }
        for step, value in zip(steps, (7.0, 3.0, 5.0), strict=False)
    ]
    notes = [{"step": 20, "sign": "x", "text": f"D is certain{evil}"}]
    health = {"notes": notes, "rollbacks": [{"to": 10, "why": f"loss is nan{evil}"}]}
    (folder / "health.json").write_text(json.dumps(health))
    content = {"best_by": f"fid{evil}", "best_step": steps[1], "evaluations": evaluations}
    (folder / "evaluation.json").write_text(json.dumps(content))
    (folder / "samples").mkdir()
    for step in grids:
        image = Image.fromarray(RNG.integers(0, 256, (20, 30), np.uint8))
        image.save(folder / "samples" / f"step_{step:07d}.png")
    return folder


class Page(html.parser.HTMLParser):
    """The tags of a page, its visible words, and the data embedded in it."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.words, self.json, self._inside = [], [], "", ""
        self.feed(text)
        self.data = json.loads(self.json)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self._inside = dict(attributes).get("id", tag)

    def handle_endtag(self, tag):
        self._inside = ""

    def handle_data(self, text):
        if self._inside == "data":
            self.json += text
        elif self._inside not in ("script", "style"):
            self.words.append(text.strip())

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def page_of(folder):
    return Page(report.write_report(folder).read_text(encoding="utf-8"))


# ---- the data of the page


def test_the_curves_are_the_log(tmp_path):
    """Every value of metrics.jsonl, to the last bit, and every evaluation with its floor."""
    folder = recorded(tmp_path / "run", steps=(1, 2, 5, 8))
    found = page_of(folder).data["panels"]
    curves = [(curve["steps"], curve["values"]) for panel in found for curve in panel["curves"]]
    rows = support.read_lines(folder / "metrics.jsonl")
    for name in rows[0].keys() - {"step", "seconds"}:
        assert ([1, 2, 5, 8], [row[name] for row in rows]) in curves
    assert found[-1]["title"] == "fid"
    assert found[-1]["floor"] == 1.25
    assert found[-1]["curves"] == [{"name": "value", "steps": [1, 2, 5], "values": [7.0, 3.0, 5.0]}]
    names = {panel["title"]: [curve["name"] for curve in panel["curves"]] for panel in found[:2]}
    assert names == {
        "Losses": ["discriminator", "generator"],
        "D on real and on generated images": ["real", "generated"],
    }


def test_damaged_files_beside_the_record_count_as_absent(tmp_path):
    folder = recorded(tmp_path / "run")
    for name in ("evaluation.json", "health.json"):
        (folder / name).write_text("{")
    assert "fid" not in page_of(folder).text


def test_of_a_long_log_some_steps_and_the_last_are_read(tmp_path):
    """`watch` reads a run again every second."""
    folder, count = recorded(tmp_path / "run"), 2 * MAX_RECORDS + 1
    rows = ({"step": step, "seconds": step / 10, "g/loss": 1.0} for step in range(1, count + 1))
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    run = read_run(folder)
    assert len(run.metrics) <= 2 * MAX_RECORDS
    assert (run.step, run.metrics[-1]["seconds"]) == (count, count / 10)
    assert run.metrics[0]["step"] <= 2


@pytest.mark.parametrize(
    ("name", "edit"),
    [
        ("evaluation.json", {"best_step": "x"}),
        ("evaluation.json", {"best_step": 11}),
        ("evaluation.json", {"best_by": 3}),
        ("health.json", {"notes": 3}),
        ("health.json", {"rollbacks": [{"to": "x", "why": "y"}]}),
        ("health.json", {"notes": [{"step": 1, "sign": "x"}]}),
    ],
)
def test_what_somebody_has_edited_into_them_counts_as_absent(name, edit, tmp_path):
    folder = recorded(tmp_path / "run")
    content = json.loads((folder / name).read_text(encoding="utf-8"))
    (folder / name).write_text(json.dumps(content | edit))
    run = read_run(folder)
    if name == "evaluation.json":
        assert (run.evaluations, run.best_by, run.best_step) == ([], None, None)
    else:
        assert run.health == {"notes": [], "rollbacks": []}
    assert page_of(folder).text


def test_values_that_are_no_numbers_are_left_out(tmp_path):
    folder = recorded(tmp_path / "run")
    path = folder / "metrics.jsonl"
    path.write_text(
        path.read_text(encoding="utf-8")
        + '{"step": 40, "seconds": 4.0, "generator/loss": NaN}\n{"st'
    )
    assert "NaN" not in page_of(folder).json


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 5000))
def test_long_curves_are_thinned_to_their_ends(count):
    rows = [{"step": step, "x": float(step)} for step in range(count)]
    curve = panels._curve("x", rows, "x")
    assert curve["steps"] == curve["values"]
    assert (curve["steps"][0], curve["steps"][-1]) == (0, count - 1)
    assert len(curve["steps"]) == len(set(curve["steps"])) <= panels.MAX_POINTS + 1
    assert count > panels.MAX_POINTS or len(curve["steps"]) == count


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 300), st.integers(3, 24), st.data())
def test_grids_are_evenly_chosen(count, most, data):
    steps = [7 * i for i in range(count)]
    keep = data.draw(st.sampled_from([None, *steps]))
    chosen = report._evenly(steps, most, keep=keep)
    assert len(chosen) <= most
    assert {steps[0], steps[-1]} | ({keep} - {None}) <= set(chosen) <= set(steps)


def test_the_slider_has_the_grids_and_large_ones_are_scaled_down(tmp_path):
    folder = recorded(tmp_path / "run")
    Image.fromarray(np.zeros((3000, 1500), np.uint8)).save(folder / "samples" / "step_0000040.png")
    grids = page_of(folder).data["grids"]
    assert grids["steps"] == [10, 20, 30, 40]
    decoded = [support.decoded(uri) for uri in grids["images"][0]]
    for step, image in zip((10, 20, 30), decoded, strict=False):
        np.testing.assert_array_equal(
            image, support.pixels(folder / f"samples/step_{step:07d}.png")
        )
    assert decoded[3].shape[:2] == (1024, 512)


def test_best_and_final_are_told_apart(tmp_path):
    page = page_of(recorded(tmp_path / "run"))
    assert "best, step 20 final, step 30" in page.text
    assert "fid 3 ± 0.5 5 ± 0.5 1.25 of 7 8 9" in page.text
    assert "Step 20: D is certain. Went back to step 10: loss is nan." in page.text
    (best,) = [attributes for _, attributes in page.tags if attributes.get("id") == "best"]
    assert best["data-index"] == "1"


# ---- it is one file, and safe


@pytest.mark.parametrize("compared", [False, True])
def test_nothing_recorded_is_html(compared, tmp_path):
    """A page of hostile names has the tags of a page of plain ones, and shows the names."""

    def page(evil):
        folder = recorded(tmp_path / f"a{evil.replace('/', '')}", evil=evil)
        if not compared:
            return page_of(folder)
        path = tmp_path / "comparison.html"
        report.write_comparison([folder, recorded(tmp_path / f"b{evil[:1]}", evil=evil)], path)
        return Page(path.read_text(encoding="utf-8"))

    plain, hostile = page(""), page(EVIL)
    count = lambda page, tag: [found for found, _ in page.tags].count(tag)
    for tag in {tag for tag, _ in hostile.tags} - {"tr", "th", "td"}:
        assert count(hostile, tag) == count(plain, tag), tag
    assert all(attribute[:2] != "on" for _, found in hostile.tags for attribute in found)
    titles = [panel["title"] for panel in hostile.data["panels"]]
    assert (f"generator/other{EVIL}" if compared else f"fid{EVIL}") in titles
    assert EVIL in hostile.text


def test_the_page_needs_no_network(tmp_path):
    for _, attributes in page_of(recorded(tmp_path / "run")).tags:
        for name in ("src", "href"):
            assert attributes.get(name, "data:").startswith("data:")


# ---- the command


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"loss": "hinge", "conditional": True, "r1": 0.1, "run_dir": "a folder/with 'quotes'"},
        {"log_to": ()},
        {"log_to": ("wandb", "trackio"), "compilation_cache": False, "num_steps": None},
    ],
)
def test_the_command_gives_the_configuration_again(changes, tmp_path):
    run = read_run(recorded(tmp_path / "run", **changes))
    jaxgan, train, name, *flags = shlex.split(repeated_by(run))
    assert (jaxgan, train, name) == ("jaxgan", "train", "mnist")
    config = dataclasses.replace(mnist.Config(), **{"num_steps": 30, "data": "digits"} | changes)
    assert parser.parse(mnist.Config, flags) == config
    assert ("--loss" in flags) == ("loss" in changes)


def test_the_command_of_a_preset_names_it_and_what_differs_from_it(tmp_path):
    """A flag that a preset sets may be set back to the default of the experiment."""
    config = with_preset(mnist.Config, "wgan_gp", latent=7, loss="hinge", discriminator_turns=1)
    run = read_run(recorded(tmp_path / "run", **dataclasses.asdict(config)))
    flags = dict(zip(*[iter(shlex.split(repeated_by(run))[3:])] * 2, strict=True))
    assert flags.keys() == {"--preset", "--latent", "--loss", "--discriminator-turns"}
    words = [word for pair in flags.items() for word in pair]
    assert parser.parse(mnist.Config, words, default=defaults(mnist.Config, words)) == config


def test_the_command_of_an_unknown_experiment_has_all_flags(tmp_path):
    run = read_run(recorded(tmp_path / "run"))
    flags = shlex.split(repeated_by(run._replace(record=run.record | {"experiment": "a.gone"})))
    config = dataclasses.replace(mnist.Config(), num_steps=30, data="digits")
    assert parser.parse(mnist.Config, flags[3:]) == config


def test_files_that_others_put_into_a_run_are_no_part_of_it(tmp_path):
    """Such as copies by a file manager; and a log of evaluations that is none."""
    directory = recorded(tmp_path / "run")
    (directory / "samples" / "step_0000010 copy.png").write_bytes(b"")
    (directory / "evaluation.json").write_text("[]")
    (directory / "health.json").write_text("[1]")
    run = read_run(directory)
    assert list(run.grids) == [10, 20, 30]
    assert (run.evaluations, run.health) == ([], {"notes": [], "rollbacks": []})
    assert report.write_report(directory).exists()


# ---- commands


def test_report_and_list(tmp_path, capsys, monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    recorded(tmp_path / "all" / "done")
    recorded(tmp_path / "all" / "inner" / "half", num_steps=2000)
    (tmp_path / "all" / "broken").mkdir()
    (tmp_path / "all" / "broken" / "config.json").write_text("{")
    command("report", tmp_path / "all" / "done")
    assert opened == []
    main(["report", str(tmp_path / "all" / "done"), "--open"])
    assert opened == [(tmp_path / "all" / "done" / "report.html").as_uri()]
    capsys.readouterr()
    command("list", tmp_path / "all")
    title, broken, done, half = capsys.readouterr().out.splitlines()
    assert "is damaged" in broken
    assert title.split() == ["run", "experiment", "status", "best", "last", "logged"]
    assert "complete: 30 steps in 0:00:03" in done
    assert "fid 3 at step 20" in done
    assert f"{tmp_path}/all/inner/half" in half
    assert "step 30 of 2,000, after 0:00:03" in half


@pytest.mark.parametrize("config", [{"num_steps": "many"}, {}])
def test_a_record_without_a_number_of_steps_hides_no_other_run(config, tmp_path, capsys):
    for name in ("damaged", "whole"):
        recorded(tmp_path / name)
    path = tmp_path / "damaged" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_bytes()) | {"config": config}))
    command("list", tmp_path)
    text = capsys.readouterr().out
    assert "damaged (its num_steps is" in text
    assert "whole" in text


def test_what_cannot_be_shown(tmp_path):
    run = recorded(tmp_path / "run")
    (tmp_path / "empty").mkdir()
    assert "holds no run" in refused(command, "report", tmp_path / "empty")
    other = tmp_path / "other"
    other.mkdir()
    (other / "config.json").write_text('{"experiment": "x"}')
    assert "is damaged (its config is NoneType)" in refused(command, "report", other)
    assert "holds no runs" in refused(command, "list", tmp_path / "empty")
    assert "there is no folder" in refused(command, "list", tmp_path / "gone")
    assert "give at least two" in refused(command, "compare", run, out=tmp_path / "c.html")
    assert "holds no run" in refused(command, "compare", run, tmp_path, out=tmp_path / "c.html")
    assert "ends with none of .html" in refused(command, "compare", run, run, out=tmp_path / "c.x")


def test_runs_are_compared_at_equal_steps(tmp_path):
    a = recorded(tmp_path / "a", grids=(10, 20, 30))
    b = recorded(tmp_path / "b", grids=(20, 30, 40), loss="hinge", run_dir="b")
    command("compare", a, b, out=tmp_path / "c.html")
    page = Page((tmp_path / "c.html").read_text(encoding="utf-8"))
    assert page.data["grids"]["steps"] == [20, 30]
    for folder, uris in zip((a, b), page.data["grids"]["images"], strict=True):
        expected = support.pixels(folder / "samples" / "step_0000030.png")
        np.testing.assert_array_equal(support.decoded(uris[1]), expected)
    assert "loss non_saturating hinge" in page.text
    assert "batch_size" not in page.text
    assert "best fid 3 at step 20 3 at step 20 final fid 5 at step 30" in page.text
    (losses,) = [p for p in page.data["panels"] if p["title"] == "generator/loss"]
    assert [curve["name"] for curve in losses["curves"]] == ["a", "b"]


@pytest.mark.slow
def test_a_page_that_fails_costs_a_warning(tmp_path, monkeypatch, capsys):
    directory = tmp_path / "run"
    assert train_mnist(monkeypatch, directory, network="mlp", num_steps=1) == 0
    assert "complete: 1 steps" in Page((directory / "report.html").read_text(encoding="utf-8")).text
    (directory / "report.html").unlink()

    def fail(*_):
        raise OSError("no space left")

    monkeypatch.setattr(attempt.report, "write_report", fail)
    assert train_mnist(monkeypatch, directory, network="mlp", num_steps=2) == 0
    assert "report.html not written: no space left" in capsys.readouterr().out
    assert not (directory / "report.html").exists()


# ---- in a browser


@pytest.mark.slow
@pytest.mark.parametrize("compared", [False, True])
@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1400, "light")])
def test_pages_in_a_browser(compared, width, scheme, browser, tmp_path):
    """No errors, no requests, no sideways scrolling; slider, hover and log scale work."""
    path = tmp_path / "c.html"
    if compared:
        runs = [recorded(tmp_path / name, evil=name and EVIL[:30]) for name in ("a", "b")]
        report.write_comparison(runs, path)
    else:
        path = report.write_report(recorded(tmp_path / "a", evil=EVIL))
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    wrong, requests = [], []
    page.on("console", lambda m: wrong.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("dialog", lambda dialog: wrong.append(dialog.message))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(path.as_uri())
    page.wait_for_selector("body[data-drawn=linear]")
    count = "document.querySelectorAll('[id^=panel-] > *').length"
    panels = page.evaluate(count)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    images = page.evaluate("[...document.images].filter(i => i.naturalWidth == 30).length")
    assert images == 2  # the newest and the best of a run; the newest of two

    image = page.locator("img[data-run='0']")
    before = image.get_attribute("src")
    page.locator("#slider").fill("0")
    assert page.locator("#step").inner_text() == "step 10"
    assert image.get_attribute("src") != before

    first = page.locator("#panel-0")
    first.scroll_into_view_if_needed()
    box = first.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_selector(".bk-Tooltip >> text=step")
    page.locator("#log").check()
    page.wait_for_selector("body[data-drawn=log]")
    scales = page.evaluate("Bokeh.documents.flatMap(d => d.roots()).map(root => root.y_scale.type)")
    assert "LogScale" in scales
    assert page.evaluate(count) == panels == len(scales)
    assert wrong == []
    assert all(url.startswith(("file:", "data:")) for url in requests)
    page.close()
