"""A finished or unfinished run, loaded from its directory: its game, its state, and samples.

A run is read without its data: networks are built from the shapes in `config.json`. What compares
with the data (`evaluate`, `neighbours`, ...) loads them too, and checks that they are the run's.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from jaxgan import checkpoint, loop
from jaxgan.data import as_float
from jaxgan.errors import DataError, RunError, UserError
from jaxgan.game import Game
from jaxgan.latents import Latent, truncated
from jaxgan.parallel import multihost
from jaxgan.runs import exported, find, launch
from jaxgan.runs.config_json import check_same_data, read_config, read_config_json, record_path
from jaxgan.runs.experiment import Config, Experiment
from jaxgan.training import TrainState, with_ema
from jaxgan.types import Batch, ByPlayer

CHUNK = 100  # rows that are decoded at once; fixed, so that row i is the same in any number of rows


def load_run(
    directory: str | Path,
    *,
    step: Literal["newest", "best"] | int = "newest",
    with_data: bool = False,
    data_dir: str | Path | None = None,
    experiment: str | Path | None = None,
) -> "Run":
    """Loads a run from its directory, or from a file that `export` wrote, on one device.

    The code of its experiment is executed: one of jaxgan's or of an installed package, as recorded
    in `config.json`, or the one that is named here.

    Args:
      directory: directory of the run; or a `.safetensors` file with the weights of its generator,
        which has one step, and parameters of that player only.
      step: the newest checkpoint, the one with the best evaluation, or that of a step.
      with_data: whether to load the data too, for `experiment.minibatches` and
        `experiment.evaluation`. Not needed for samples.
      data_dir: folder of the data, if they are no longer where the run found them.
      experiment: the run's experiment, a module or the path of a file, if it is neither one of
        jaxgan's nor installed.

    Returns:
      The run.

    Raises:
      UserError: the directory has no run or no intact checkpoint, or the file none that was
        exported; its configuration is refused; the experiment is not found, or must be named; or,
        with data, they are missing or differ from those of the run.

    Example:
      >>> run = load_run("runs/mnist", step="best")  # doctest: +SKIP
      >>> images = run.sample(16, label=7)  # doctest: +SKIP
    """
    directory = Path(directory)
    is_file = directory.is_file()
    if isinstance(step, np.integer):
        step = int(step)
    if type(step) is not int and step not in ("newest", "best"):
        raise RunError(f"step is {step!r}, expected newest, best, or the number of a step")
    record = (exported.read_record if is_file else read_config_json)(directory)
    named = None if experiment is None else str(experiment)
    module = find.of_run(directory, record["experiment"], named=named)
    config, make = read_config(directory, record, module.Config), module.make
    if data_dir is not None:
        config = dataclasses.replace(config, data_dir=str(data_dir))
    elif is_file and with_data and getattr(config, "data", None) == "folder":
        raise RunError(
            f"{directory} is a model of the pictures in a folder, {record['data']['name']}; give "
            "--data-dir, that folder"
        )
    data = config.load_data() if with_data else _blank_data(directory, config, record)
    own = config
    if not with_data and hasattr(config, "evaluate_features"):  # whose file may be elsewhere
        own = dataclasses.replace(config, evaluate_features="auto")
    try:
        built = launch.build(make, own, data)
    except UserError as error:
        raise RunError(f"the configuration of {directory} is refused: {error}") from None
    if with_data:
        check_same_data(directory, record["data"], built.data)
    state = (
        exported.read_state(directory, record, built)
        if is_file
        else _restored(directory, built, step)
    )
    if is_file and built.evaluation is not None:
        computable = exported.computable(built.evaluation, built.game, state)
        built = built._replace(evaluation=computable)
    if not with_data:
        built = built._replace(minibatches=_no_minibatches, evaluation=None)
    return Run(directory, record, config, built, state)


def pretrained(name: str, *, with_data: bool = False, data_dir: str | Path | None = None) -> "Run":
    """Loads a generator that comes with the package.

    Its `record` has the configuration, the data, and the scores with their protocol
    (`record["evaluation"]`); the model card is next to the weights, `README.md` in the folder of
    `directory`.

    Args:
      name: its name; an unknown one raises an error that lists them.
      with_data, data_dir: as in `load_run`.

    Returns:
      The generator as a `Run`, with parameters of that player only.

    Raises:
      UserError: there is none of that name; or an error of `load_run`.

    Example:
      >>> pretrained("mixture-ring").sample(3).shape
      (3, 2)
    """
    return load_run(exported.path_of(name), with_data=with_data, data_dir=data_dir)


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
        if self.game.encode is None:
            raise RunError(f"{self.directory} is a run of a game that does not encode images")
        self.check_complete()
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


def _blank_data(directory: Path, config: Config, record: Mapping[str, Any]) -> Any:
    try:
        return config.blank_data(record["data"])
    except (TypeError, ValueError, KeyError, OverflowError, MemoryError) as error:
        raise RunError(
            f"{record_path(directory)} is damaged (its data: {error}); restore it from a copy"
        ) from None


def _restored(
    directory: Path, experiment: Experiment, step: Literal["newest", "best"] | int
) -> TrainState:
    sharding = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    target = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding),
        jax.eval_shape(
            lambda key: loop.first_state(experiment.algorithm, experiment.minibatches, key=key),
            jax.random.key(0),
        ),
    )
    with checkpoint.open_manager(directory / "checkpoints") as manager:
        number = step if isinstance(step, int) else None
        state = checkpoint.restore(manager, target, best=step == "best", step=number)
    if state is None and step == "best":
        raise RunError(
            f"{directory} has no evaluated checkpoint: its first evaluation comes later, or there "
            "is none (--evaluate-every 0); use the newest checkpoint"
        )
    if state is None:
        raise RunError(f"{directory} has no checkpoint yet; train until the first one")
    return state


def _no_minibatches(start: int, count: int) -> Batch:
    raise DataError("the run was loaded without its data; load it with its data")


def _padded(rows: np.ndarray) -> np.ndarray:
    """Rows padded to `CHUNK` by repetition of the first."""
    return np.concatenate([rows, np.repeat(rows[:1], CHUNK - len(rows), axis=0)])
