"""Training curves: their lines are the metrics, and averages of the last ones."""

import numpy as np
import pytest

from jaxgan.curves import WINDOWS, training_curves


def lines(ax):
    return {line.get_label(): np.ravel(line.get_ydata()).tolist() for line in ax.lines}


def points(real, fake):
    own = {"d/loss": 0.5, "d/gradient_norm": 9.0, "d/real_output": real, "d/fake_output": fake}
    return [(step, {**own, "d/loss": 0.5 * step, "g/loss": -step}) for step in (2, 4)]


@pytest.mark.parametrize("vertical", [False, True])
def test_the_curves_are_the_metrics(vertical):
    figure = training_curves(points(1.0, 0.25), vertical=vertical)
    losses, means = figure.axes
    assert lines(losses) == {"d": [1.0, 2.0], "g": [-2, -4]}
    assert lines(means) == {"d, real": [1.0, 1.0], "d, fake": [0.25, 0.25], "1/2": [0.5, 0.5]}
    assert all(ax.lines[0].get_xdata().tolist() == [2, 4] for ax in figure.axes)
    colors = [line.get_color() for ax in figure.axes for line in ax.lines]
    assert len(set(colors)) == len(colors)
    figure.draw_without_rendering()
    below = losses.get_position().y0 > means.get_position().y1
    beside = losses.get_position().x1 < means.get_position().x0
    assert (below, beside) == (vertical, not vertical)


@pytest.mark.parametrize(("real", "fake"), [(1.5, 0.5), (0.5, -0.5)])
def test_outputs_that_are_no_probabilities_have_no_line_at_one_half(real, fake):
    means = training_curves(points(real, fake)).axes[1]
    assert lines(means) == {"d, real": [real, real], "d, fake": [fake, fake]}


def test_without_outputs_there_is_a_panel_of_losses():
    (losses,) = training_curves([(1, {"encoder/loss": 3.0}), (2, {"encoder/loss": 2.0})]).axes
    assert lines(losses) == {"encoder": [3.0, 2.0]}


def test_a_curve_has_the_steps_at_which_it_was_recorded():
    (losses,) = training_curves([(1, {"g/loss": 3.0}), (2, {}), (3, {"g/loss": 1.0})]).axes
    assert losses.lines[0].get_xydata().tolist() == [[1, 3.0], [3, 1.0]]


def test_curves_of_many_points_are_averages_of_the_last_ones():
    """Of three; of a line, that is the line one step before."""
    rising = [(step, {"x/loss": np.float64(step)}) for step in range(3 * WINDOWS)]
    faint, average = training_curves(rising).axes[0].lines
    assert faint.get_ydata().tolist() == list(range(len(rising)))
    expected = [0.0, 0.5, *(np.arange(2, len(rising)) - 1)]
    np.testing.assert_allclose(average.get_ydata(), expected)
