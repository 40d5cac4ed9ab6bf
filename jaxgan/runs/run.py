"""A run: its game, its state, and samples."""

import dataclasses
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxgan.data import as_float
from jaxgan.errors import RunError
from jaxgan.game import Game
from jaxgan.latents import Latent, truncated
from jaxgan.parallel import multihost
from jaxgan.runs.config.experiment import Config, Experiment
from jaxgan.training import TrainState, with_ema
from jaxgan.types import ByPlayer

CHUNK = 100  # rows that are decoded at once; fixed, so that row i is the same in any number of rows


@dataclasses.dataclass(frozen=True)
class Run:
    """A run, and what its networks can do.

    Attributes:
      directory: directory of the run, or its file.
      record: content of its `config.json`, or of the metadata of its file.
      config: its configuration.
      experiment: what the experiment's `make` built; without minibatches and evaluation unless the
        run was loaded with its data.
      state: the training state.

    Example:
      >>> from jaxgan import pretrained
      >>> run = pretrained("mixture-ring")
      >>> run.step, list(run.game.losses), run.config.data
      (5000, ['discriminator', 'generator'], 'ring')
    """

    directory: Path
    record: Mapping[str, Any]
    config: Config
    experiment: Experiment
    state: TrainState

    def __repr__(self) -> str:
        name = self.record["experiment"]
        return f"Run({str(self.directory)!r}, experiment={name!r}, step={self.step})"

    @property
    def game(self) -> Game:
        """The game."""
        return self.experiment.game

    @property
    def step(self) -> int:
        """Number of training steps of the state."""
        return int(self.state.step)

    @property
    def params(self) -> ByPlayer:
        """Parameters by player; moving averages where there are any."""
        return with_ema(self.state)[0]

    @property
    def model_state(self) -> ByPlayer:
        """Model state by player, such as batch statistics, that belongs to `params`."""
        return with_ema(self.state)[1]

    @property
    def has_normal_prior(self) -> bool:
        """Whether latents are standard normal, and can be truncated."""
        try:
            self._prior(1.0)
        except RunError:
            return False
        return True

    def sample(
        self,
        num: int,
        *,
        seed: int = 0,
        label: int | str | None = None,
        truncation: float | None = None,
        start: int = 0,
    ) -> np.ndarray:
        """Samples number `start` to `start + num - 1` of a seed.

        Sample i of a seed does not depend on how many are asked for.

        Args:
          num: number of samples, at least 1.
          seed: seed of the latents.
          label: class of all samples, of a conditional game, by number or name; all classes in
            turn if `None`.
          truncation: bound of the latents' coordinates (`latents.truncated`); not truncated if
            `None`.
          start: number of the first sample.

        Returns:
          `float32[num, ...]`, images in [-1, 1].

        Raises:
          RunError: the game has no prior to sample from, no such class, or a prior that cannot be
            truncated.

        Example:
          >>> run.sample(64, seed=1)  # doctest: +SKIP
        """
        _check_num(num)
        codes = self.latents(start + num, seed=seed, truncation=truncation)[start:]
        return self.decode(codes, label=label, start=start)

    def sample_seeds(
        self,
        seeds: Sequence[int],
        *,
        label: int | str | None = None,
        truncation: float | None = None,
    ) -> np.ndarray:
        """The first sample of each seed, `float32[len(seeds), ...]`; arguments as in `sample`.

        Without a label, the class of a conditional game is the seed's, in turn: an image depends on
        its seed alone.
        """
        prior = self._prior(truncation)
        keys = jnp.stack([jax.random.key(seed) for seed in seeds])
        first = jax.jit(jax.vmap(lambda key: prior(key, 1)[0]))
        period = self.record["data"].get("num_classes") or CHUNK
        rows = self.conditions(period, label)
        conditions = [each[np.asarray(seeds) % len(each)] for each in rows]
        return self.decode_given(np.asarray(first(keys)), conditions)

    def latents(self, num: int, *, seed: int = 0, truncation: float | None = None) -> np.ndarray:
        """The first `num` codes of a seed from the game's prior, `float32[num, dim]`."""
        _check_num(num)
        prior = jax.jit(self._prior(truncation), static_argnums=1)
        return np.asarray(prior(jax.random.key(seed), num))

    def decode(
        self, codes: np.ndarray, *, label: int | str | None = None, start: int = 0
    ) -> np.ndarray:
        """Images of codes, `float32[n, ...]`, decoded by `params`.

        Args:
          codes: `[n, dim]`.
          label: class of all images, as in `sample`.
          start: number of the first code, by which the turn of its class is counted.

        Raises:
          RunError: the game does not decode, or has no such class; or the codes are not rows of the
            prior's size.
        """
        return self.decode_given(
            codes, [rows[start:] for rows in self.conditions(start + len(codes), label)]
        )

    def decode_given(self, codes: np.ndarray, conditions: Sequence[np.ndarray]) -> np.ndarray:
        """Images of codes with one row of every condition each, as in `conditions`."""
        if self.game.decode is None:
            raise RunError(f"{self.directory} is a run of a game that has no codes to decode")
        self._check_codes(codes)
        pieces = []
        for first in range(0, len(codes), CHUNK):
            piece = [rows[first : first + CHUNK] for rows in (codes, *conditions)]
            pieces.append(self._decode(*map(_padded, piece))[: len(piece[0])])
        return np.concatenate(pieces)

    def encode(self, images: np.ndarray) -> np.ndarray:
        """Codes of images, `float32[n, dim]`, of a game that encodes, such as an autoencoder.

        Args:
          images: `[n, height, width, channels]`, of the shape of the run's: floats in [-1, 1], or
            `uint8`.

        Raises:
          RunError: the game does not encode, or the images have another shape.
        """
        self.check_encodes()
        assert self.game.encode is not None
        shape = self.experiment.sample_batch(1)["image"].shape[1:]
        if np.shape(images)[1:] != shape:
            raise RunError(
                f"the images have the shape {np.shape(images)}, expected (n, "
                f"{', '.join(map(str, shape))})"
            )
        params, model_state, encode = self.params, self.model_state, jax.jit(self.game.encode)
        pieces = []
        for first in range(0, len(images), CHUNK):
            piece = as_float(np.asarray(images[first : first + CHUNK]))
            codes = multihost.to_host(encode(params, model_state, _padded(piece)))
            pieces.append(codes[: len(piece)])
        return np.concatenate(pieces)

    def class_of(self, label: int | str) -> int:
        """The number of a class, of a conditional run, by its number or its name.

        Where a name is a number, too, the name comes first.

        Raises:
          RunError: the run has no such class, or is not conditional.
        """
        data = self.record["data"]
        classes, names = data.get("num_classes"), data.get("classes") or []
        if self.game.conditions != ("label",) or classes is None:
            raise RunError(f"the label is {label}, and {self.directory} is not conditional")
        text = str(label)
        if isinstance(label, str) and label in names:
            return int(names.index(label))
        if text.isdecimal() and int(text) < classes:
            return int(text)
        listed = f" ({', '.join(names[:12])}{', ...' if len(names) > 12 else ''})" if names else ""
        raise RunError(f"the label is {label}, expected 0 to {classes - 1}{listed}")

    def conditions(self, num: int, label: int | str | None = None) -> list[np.ndarray]:
        """The conditions that `decode` takes, of `num` rows; arguments and errors of `decode`."""
        names = self.game.conditions
        if label is None:
            batch = self.experiment.sample_batch(num) if names else {}
            return [np.asarray(batch[name]) for name in names]
        return [np.full(num, self.class_of(label), np.int32)]

    def check_complete(self) -> None:
        """Raises a `RunError` if the run is an exported player, without the others' parameters."""
        if missing := self.game.losses.keys() - self.state.params.keys():
            raise RunError(
                f"{self.directory} is exported, without the parameters of the "
                f"{', '.join(sorted(missing))}; give the directory of a run"
            )

    def check_encodes(self) -> None:
        """Raises a `RunError` if the game does not encode, or the run is an exported player."""
        if self.game.encode is None:
            raise RunError(f"{self.directory} is a run of a game that does not encode images")
        self.check_complete()

    # ---- helpers of the above

    def _check_codes(self, codes: np.ndarray) -> None:
        """Raises a `RunError` if codes have another dimension than those of the prior."""
        if self.game.prior is None:
            return
        _, *dim = jax.eval_shape(lambda key: self._prior(None)(key, 1), jax.random.key(0)).shape
        if [*np.shape(codes)[1:]] != dim:
            expected = ", ".join(["n", *map(str, dim)])
            raise RunError(f"the codes have the shape {np.shape(codes)}, expected ({expected})")

    @cached_property
    def _decode(self) -> Any:
        assert self.game.decode is not None
        params, model_state, decode = self.params, self.model_state, jax.jit(self.game.decode)
        return lambda *codes: multihost.to_host(decode(params, model_state, *codes))

    def _prior(self, truncation: float | None) -> Latent:
        game = self.game
        if game.prior is None or game.decode is None:
            kind = "translates images" if self.experiment.translations else "has no prior"
            raise RunError(f"{self.directory} is a run of a game that {kind}: it has no samples")
        prior = game.prior(self.params, self.model_state, self.experiment.sample_batch(1))
        try:
            return prior if truncation is None else truncated(prior, truncation)
        except ValueError as error:
            raise RunError(f"the truncation is {truncation}: {error}") from None


def _check_num(num: int) -> None:
    """Raises a `RunError` if a number of samples is below 1."""
    if num < 1:
        raise RunError(f"the number of samples is {num}, expected at least 1")


def _padded(rows: np.ndarray) -> np.ndarray:
    """Rows padded to `CHUNK` by repetition of the first."""
    return np.concatenate([rows, np.repeat(rows[:1], CHUNK - len(rows), axis=0)])
