"""Games that fail on purpose do so, and their fixed forms do not."""

import numpy as np
import pytest

from benchmarks import failures
from tests.support import size_of


def signs(seen: failures.Played) -> set[str]:
    return {note.get("sign", note["text"]) for note in seen.notes}


@pytest.mark.slow
def test_a_bilinear_game_oscillates_and_r1_damps_it(tmp_path):
    """The radius of alternating descent in `min max x y` is bounded from both sides."""
    scenes = list(failures.oscillates())
    played = [failures.play(scene) for scene in scenes]
    swinging, damped = (
        np.linalg.norm([points.mean(axis=0) for points in seen.samples.values()], axis=1)[-50:]
        for seen in played
    )
    assert 0.2 < swinging.min() < swinging.max() < 1.3
    assert damped.max() < 0.02
    failures.draw(tmp_path / "oscillates.png", scenes, played)
    assert size_of(tmp_path / "oscillates.png") == (1100, 460)


@pytest.mark.slow
def test_a_discriminator_wins_unless_it_is_smooth():
    """And the samples of the generator stay where they were."""
    lost, fixed = (failures.play(scene) for scene in failures.wins())
    assert "certain: discriminator" in signs(lost)
    assert not signs(fixed)
    first, last = (lost.samples[step] for step in (200, 4000))
    assert np.abs(last - first).max() < 0.2
    assert np.linalg.norm(fixed.samples[4000], axis=1).mean() > 2.0  # of a ring of radius 3


@pytest.mark.slow
def test_a_critic_without_a_constraint_explodes():
    """Within steps: the norm that health watches may be logged on the way or not."""
    exploded, fixed = (failures.play(scene) for scene in failures.explodes())
    assert "is not finite at step" in exploded.notes[-1]["text"]
    assert max(exploded.rows) < 1000 < max(fixed.rows)
    losses = [abs(float(row["generator"]["loss"])) for row in exploded.rows.values()]
    assert max(losses[:10]) < 1
    assert losses[-1] > 3
    assert max(abs(float(row["generator"]["loss"])) for row in fixed.rows.values()) < 3
    assert not {sign for sign in signs(fixed) if "growing" in sign or "exploding" in sign}
