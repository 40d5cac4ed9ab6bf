"""What `fit` displays: a bar and curves in a notebook, a bar in a terminal, nothing elsewhere."""

import io
import sys
from types import SimpleNamespace

import IPython.display
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from matplotlib.figure import Figure
from PIL import Image

import jaxgan
from jaxgan import live
from jaxgan.population import member_keys, population

GAME = jaxgan.Game(
    lambda key, batch: ({"x": jnp.array(1.0)}, {"x": {}}),
    {"x": lambda params, *_: (params["x"] ** 2, jaxgan.LossAux({}, {}))},
    None,
)
ALGORITHM = jaxgan.jit(jaxgan.alternating(GAME, {"x": optax.sgd(0.1)}))


def ones(start, count):
    return {"image": np.ones((count, 1))}


def fit(**options):
    return jaxgan.fit(ALGORITHM, ones, key=jax.random.key(0), num_steps=20, **options)


@pytest.fixture
def shown(monkeypatch):
    """Displays of a kernel, in order; every one is the list of what it has shown."""
    displays = []

    def display(first, display_id):
        displays.append([first])
        return SimpleNamespace(update=displays[-1].append)

    monkeypatch.setattr(IPython.display, "display", display)
    monkeypatch.setattr(IPython, "get_ipython", lambda: SimpleNamespace(kernel=object()))
    return displays


def test_a_bar_and_a_picture_in_a_notebook(shown):
    fit()
    bar, plot = shown
    assert '<progress value="20" max="20"></progress> step 20/20' in bar[-1].data
    assert f"x {0.8**38:.3f}" in bar[-1].data  # the loss before the last step, (0.8^19)^2
    assert Image.open(io.BytesIO(plot[-1].data)).size == (400, 240)


def test_resumed_training_fills_the_bar_from_where_it_starts(shown):
    state = fit(live=False)
    assert shown == []
    jaxgan.fit(ALGORITHM, ones, key=jax.random.key(0), num_steps=30, state=state)
    assert '<progress value="10" max="10"></progress> step 30/30' in shown[0][-1].data


def test_training_that_ends_early_shows_its_last_step(shown, monkeypatch):
    def stop(step, state, metrics):
        if step == 7:
            raise jaxgan.StopTraining

    drawn = []
    monkeypatch.setattr(live, "MAX_POINTS", 4)  # steps 1, 6, 11, 16
    monkeypatch.setattr(live, "training_curves", lambda points: drawn.append(points) or Figure())
    fit(callbacks=[stop])
    assert "step 7/20" in shown[0][-1].data
    assert [step for step, _ in drawn[-1]] == [1, 6, 7]


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_bar_in_a_terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(sys, "stderr", Terminal())
    fit()
    *_, last = sys.stderr.getvalue().strip().split("\r")
    assert "20/20" in last
    assert f"x {0.8**38:.3f}" in last
    monkeypatch.setattr(sys, "stderr", Terminal())
    fit(live=False)
    assert sys.stderr.getvalue() == ""


def test_nothing_is_displayed_elsewhere(shown, monkeypatch, capsys):
    monkeypatch.setattr(IPython, "get_ipython", lambda: SimpleNamespace())  # in a terminal
    fit()
    monkeypatch.setattr(IPython, "get_ipython", lambda: None)  # in a program
    fit()
    monkeypatch.delitem(sys.modules, "IPython")
    assert not live.in_notebook()
    assert shown == []
    assert capsys.readouterr() == ("", "")


def test_long_training_keeps_some_points_and_the_last(shown, monkeypatch):
    monkeypatch.setattr(live, "MAX_POINTS", 5)
    drawn = []
    monkeypatch.setattr(live, "training_curves", lambda points: drawn.append(points) or Figure())
    fit()
    assert [step for step, _ in drawn[-1]] == [1, 5, 9, 13, 17, 20]


def test_members_of_a_population_have_a_curve_each(shown, monkeypatch):
    members = jaxgan.jit(
        population(
            lambda rate: jaxgan.alternating(GAME, {"x": optax.sgd(rate)}), jnp.array([0.1, 0.2])
        )
    )
    figures, curves = [], live.training_curves
    monkeypatch.setattr(
        live, "training_curves", lambda points: figures.append(curves(points)) or figures[-1]
    )
    jaxgan.fit(members, ones, key=member_keys([0, 1]), num_steps=3)
    (ax,) = figures[-1].axes
    last = [line.get_ydata()[-1] for line in ax.lines]
    np.testing.assert_allclose(last, [0.8**4, 0.6**4], rtol=1e-5)
    assert [label.get_text() for label in ax.get_legend().get_texts()] == ["x"]
