"""What the experiments of autoencoders share: their pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jaxgan import Game
    from jaxgan.training import TrainState
    from jaxgan.types import Examples

COLUMNS = 10


def draw_codes(
    game: Game, test: Examples, *, latent: int | None = None, samples: bool = True
) -> Callable[[Path, TrainState], None]:
    """Draws a sheet: rows of held-out images and of their reconstructions, and samples below.

    Of a game that samples codes of two dimensions, it is the map of the plane instead.
    """
    import jax
    import jax.numpy as jnp

    from jaxgan import codes, data, images, processes, with_ema

    first = {"image": data.as_float(test["image"][: 2 * COLUMNS])}
    if not samples:
        first = {"image": data.as_float(test["image"][: 5 * COLUMNS])}

    def page(state: TrainState):
        params, model_state = with_ema(state), state.model_state
        if samples and latent == 2:
            return codes.latent_map(game, params, model_state, side=2 * COLUMNS)
        again = codes.reconstruct(game, params, model_state, first["image"])
        shape = again.shape[1:]
        rows = lambda x: x.reshape(-1, COLUMNS, *shape)
        pairs = jnp.concatenate([rows(first["image"]), rows(again)], axis=1).reshape(-1, *shape)
        if not samples:
            return pairs
        like = {"image": jnp.zeros((6 * COLUMNS, *shape))}
        return jnp.concatenate([pairs, game.sample(params, model_state, like, jax.random.key(0))])

    compute = jax.jit(page)

    def draw(path: Path, state: TrainState) -> None:
        drawn = processes.to_host(compute(state))
        if processes.is_main():
            columns = 2 * COLUMNS if samples and latent == 2 else COLUMNS
            images.save_sheet(path, drawn, columns=columns)

    return draw
