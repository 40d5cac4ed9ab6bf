"""Sample grids that several experiments write, as `Experiment.draw` functions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jaxgan import Game
    from jaxgan.latents import Codes
    from jaxgan.training import TrainState
    from jaxgan.types import Examples

COLUMNS = 10  # number of images per row


def draw_columns(
    columns: Callable[[TrainState, dict[str, object]], list[object]],
    test: Examples,
    *,
    rows: int,
    abreast: int = 1,
) -> Callable[[Path, TrainState], None]:
    """Writes columns computed from the first test images, in `rows` rows.

    Args:
      columns: `(state, batch) -> images`, one array of images per column.
      test: test examples.
      rows: number of rows of the grid.
      abreast: number of examples per row.

    Returns:
      `(path, state) -> None`.
    """
    import jax
    import numpy as np

    from jaxgan import data, images
    from jaxgan.parallel import multihost

    first = data.with_float_images({name: x[: rows * abreast] for name, x in test.items()})
    compute = jax.jit(columns)

    def draw(path: Path, state: TrainState) -> None:
        outputs = multihost.to_host(compute(state, first))
        if multihost.is_main():
            channels = max(column.shape[-1] for column in outputs)
            outputs = [np.broadcast_to(column, (*column.shape[:3], channels)) for column in outputs]
            grid = np.stack(outputs, axis=1).reshape(-1, *outputs[0].shape[1:])
            images.save_grid(path, grid, columns=len(outputs) * abreast)

    return draw


def draw_reconstructions(game: Game, test: Examples) -> Callable[[Path, TrainState], None]:
    """Writes rows of held-out images, each above the row of their reconstructions."""
    return _draw(lambda params, model_state: _pairs(game, params, model_state, test, rows=5))


def draw_reconstructions_and_samples(
    game: Game, test: Examples
) -> Callable[[Path, TrainState], None]:
    """Writes two rows of held-out images, each above its reconstructions, and samples below."""
    import jax
    import jax.numpy as jnp

    def grid(params, model_state):
        pairs = _pairs(game, params, model_state, test, rows=2)
        batch = {"image": jnp.zeros((6 * COLUMNS, *pairs.shape[1:]))}
        return jnp.concatenate([pairs, game.sample(params, model_state, batch, jax.random.key(0))])

    return _draw(grid)


def draw_latent_map(game: Game) -> Callable[[Path, TrainState], None]:
    """Writes the learned manifold of a two-dimensional latent space."""
    from jaxgan import latent_space

    side = 2 * COLUMNS
    return _draw(
        lambda params, model_state: latent_space.latent_map(game, params, model_state, side=side),
        columns=side,
    )


def _pairs(game: Game, params, model_state, test: Examples, *, rows: int):
    import jax.numpy as jnp
    import numpy as np

    from jaxgan import data, latent_space

    count = len(test["image"])
    # The last row is filled up with the first images.
    shown = min(rows, -(-count // COLUMNS)) * COLUMNS
    first = jnp.asarray(data.as_float(test["image"][np.arange(shown) % count]))
    outputs = latent_space.reconstruct(game, params, model_state, first)
    in_rows = lambda x: x.reshape(-1, COLUMNS, *first.shape[1:])
    return jnp.concatenate([in_rows(first), in_rows(outputs)], axis=1).reshape(-1, *first.shape[1:])


def _draw(grid: Callable, *, columns: int = COLUMNS) -> Callable[[Path, TrainState], None]:
    import jax

    from jaxgan import images, with_ema
    from jaxgan.parallel import multihost

    compute = jax.jit(grid)

    def draw(path: Path, state: TrainState) -> None:
        outputs = multihost.to_host(compute(*with_ema(state)))
        if multihost.is_main():
            images.save_grid(path, outputs, columns=columns)

    return draw


def draw_codes(
    game: Game, codes: Codes, *, rows: int = 5, widest: float = 2.0
) -> Callable[[Path, TrainState], None]:
    """Writes what the codes of an InfoGAN do, a column per value of the first categorical code.

    First `rows` rows of random noise, of which a row differs in the category alone; then for each
    continuous code as many rows, of which a row differs in this code alone, from `-widest` on the
    left to `widest` on the right.

    Args:
      game: an InfoGAN, without conditions.
      codes: its prior, with a categorical code.
      rows: number of rows per code.
      widest: largest value of a continuous code; 2 in the paper, beyond the prior's 1.

    Returns:
      `(path, state) -> None`.
    """
    import jax
    import jax.numpy as jnp

    columns = codes.categorical[0]

    def latents_of(key: jax.Array) -> jax.Array:
        parts = codes.split(jnp.repeat(codes(key, rows), columns, axis=0))
        category = jnp.tile(jnp.eye(columns), (rows, 1))
        walks = [codes.join(parts._replace(categories=(category, *parts.categories[1:])))]
        walk = jnp.tile(jnp.linspace(-widest, widest, columns), rows)
        for i in range(codes.continuous):
            continuous = parts.continuous.at[:, i].set(walk)
            walks.append(codes.join(parts._replace(continuous=continuous)))
        return jnp.concatenate(walks)

    decode = game.decode
    assert decode is not None
    return _draw(
        lambda params, model_state: decode(params, model_state, latents_of(jax.random.key(0))),
        columns=columns,
    )
