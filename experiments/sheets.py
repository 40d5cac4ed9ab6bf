"""Sheets of pictures that several experiments draw."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jaxgan import Game
    from jaxgan.training import TrainState
    from jaxgan.types import Examples

COLUMNS = 10


def draw_columns(
    columns: Callable[[TrainState, dict[str, object]], list[object]],
    test: Examples,
    *,
    rows: int,
    abreast: int = 1,
) -> Callable[[Path, TrainState], None]:
    """Draws what `columns` makes of the first test pictures, a row for each or for several."""
    import jax
    import numpy as np

    from jaxgan import data, images
    from jaxgan.parallel import multihost

    first = {name: data.as_float(array[: rows * abreast]) for name, array in test.items()}
    compute = jax.jit(columns)

    def draw(path: Path, state: TrainState) -> None:
        found = multihost.to_host(compute(state, first))
        if multihost.is_main():
            deep = max(column.shape[-1] for column in found)
            found = [np.broadcast_to(column, (*column.shape[:3], deep)) for column in found]
            page = np.stack(found, axis=1).reshape(-1, *found[0].shape[1:])
            images.save_sheet(path, page, columns=len(found) * abreast)

    return draw


def draw_reconstructions(game: Game, test: Examples) -> Callable[[Path, TrainState], None]:
    """Draws rows of held-out images, each above the row of their reconstructions."""
    return _draw(lambda params, model_state: _pairs(game, params, model_state, test, rows=5))


def draw_reconstructions_and_samples(
    game: Game, test: Examples
) -> Callable[[Path, TrainState], None]:
    """Draws two rows of held-out images, each above its reconstruction, and samples below."""
    import jax
    import jax.numpy as jnp

    def page(params, model_state):
        pairs = _pairs(game, params, model_state, test, rows=2)
        like = {"image": jnp.zeros((6 * COLUMNS, *pairs.shape[1:]))}
        return jnp.concatenate([pairs, game.sample(params, model_state, like, jax.random.key(0))])

    return _draw(page)


def draw_latent_map(game: Game) -> Callable[[Path, TrainState], None]:
    """Draws what the plane of a latent space of two dimensions decodes to."""
    from jaxgan import latent_space

    side = 2 * COLUMNS
    return _draw(
        lambda params, model_state: latent_space.latent_map(game, params, model_state, side=side),
        columns=side,
    )


def _pairs(game: Game, params, model_state, test: Examples, *, rows: int):
    import jax.numpy as jnp

    from jaxgan import data, latent_space

    first = jnp.asarray(data.as_float(test["image"][: rows * COLUMNS]))
    again = latent_space.reconstruct(game, params, model_state, first)
    in_rows = lambda x: x.reshape(-1, COLUMNS, *first.shape[1:])
    return jnp.concatenate([in_rows(first), in_rows(again)], axis=1).reshape(-1, *first.shape[1:])


def _draw(page: Callable, *, columns: int = COLUMNS) -> Callable[[Path, TrainState], None]:
    import jax

    from jaxgan import images, with_ema
    from jaxgan.parallel import multihost

    compute = jax.jit(page)

    def draw(path: Path, state: TrainState) -> None:
        drawn = multihost.to_host(compute(*with_ema(state)))
        if multihost.is_main():
            images.save_sheet(path, drawn, columns=columns)

    return draw
