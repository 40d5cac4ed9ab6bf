"""Exceptions for errors that the user can fix.

A message is one line: what was found, what was expected, and what to do.
"""

from pathlib import Path


class UserError(Exception):
    """Base class of all errors that the user can fix.

    Command lines print the message and exit with `exit_status`.

    Attributes:
      exit_status: status of the process; 2, or 1 where a run diverged.

    Example:
      >>> from jaxgan import data
      >>> try:
      ...     data.load("mnist", data_dir="nowhere")
      ... except UserError as error:
      ...     type(error).__name__, error.exit_status
      ('DataError', 2)
    """

    exit_status = 2


class DataError(UserError):
    """Missing or damaged data, or data of an unexpected format.

    Example:
      >>> from jaxgan import data
      >>> data.ImageOptions(channels=4)
      Traceback (most recent call last):
      jaxgan.errors.DataError: the number of channels is 4, expected 1 or 3
    """


class ImageError(DataError):
    """Image file that cannot be read.

    Args:
      file: the file.
      why: the reason.
      todo: what the user can do, for the message.

    Attributes:
      file: the file.
      why: the reason.

    Example:
      >>> str(ImageError(Path("cat.png"), "it is truncated"))
      'cat.png cannot be read: it is truncated; replace or remove it'
    """

    def __init__(self, file: Path, why: str, todo: str = "replace or remove it") -> None:
        super().__init__(f"{file} cannot be read: {why}; {todo}")
        self.file = file
        self.why = why

    def with_flag(self) -> "ImageError":
        """The error of a command, which can leave such files out."""
        return ImageError(self.file, self.why, "replace or remove it, or give --skip-bad")


class SizeError(UserError, ValueError):
    """Image size that a network does not support, or a width below 1.

    Example:
      >>> import jax
      >>> from jaxgan import networks
      >>> generator = networks.from_linen(networks.DCGANGenerator((30, 30, 3)))
      >>> generator.init(jax.random.key(0), jax.numpy.ones((1, 8)))  # doctest: +ELLIPSIS
      Traceback (most recent call last):
      jaxgan.errors.SizeError: DCGAN was given images of 30 x 30; expected sides that are 4 to 7 ...
    """


class GameError(UserError, ValueError):
    """Game that a training algorithm or an option cannot be combined with.

    Example:
      >>> import jax
      >>> import jaxgan
      >>> network = jaxgan.from_linen(jaxgan.networks.MLP((4,), output_shape=()))
      >>> hinge = jaxgan.losses.hinge()
      >>> game = jaxgan.gan(network, network, latent=jaxgan.latents.normal(1), loss=hinge)
      >>> key, batch = jax.random.key(0), {"image": jax.numpy.ones(3)}
      >>> shapes = jax.eval_shape(game.init, key, batch)
      >>> jax.eval_shape(game.joint_gradients, *shapes, batch, key, 0)  # doctest: +ELLIPSIS
      Traceback (most recent call last):
      jaxgan.errors.GameError: this loss is not monotone in the fake logits, which one_stage ...
    """


class MetricError(UserError):
    """Samples on which a metric cannot be computed.

    Example:
      >>> import numpy as np
      >>> from jaxgan import metrics
      >>> metrics.confusion_matrix(np.array([0, 2]), np.array([0, 1]), num_classes=2)
      Traceback (most recent call last):
      jaxgan.errors.MetricError: a label is 2, expected 0 to 1
    """


class WeightsError(UserError):
    """Weight file that cannot be read, or that belongs to another network.

    Example:
      >>> from jaxgan import weights
      >>> weights.from_torch({}, "vgg", like=({}, {}))  # doctest: +ELLIPSIS
      Traceback (most recent call last):
      jaxgan.errors.WeightsError: there is no kind of network vgg; choose resnet_generator, ...
    """


class ConvergenceError(UserError):
    """Iteration that did not reach the accuracy asked for.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxgan import dynamics
      >>> field = lambda params: {"x": jnp.roll(params["x"], 1)}
      >>> start = {"x": jnp.ones(100)}
      >>> dynamics.leading_spectrum(field, start, 2, max_iterations=1)  # doctest: +ELLIPSIS
      Traceback (most recent call last):
      jaxgan.errors.ConvergenceError: 0 of 2 eigenvalues converged to 1e-05; raise ...
    """


class CheckpointError(UserError):
    """Missing or damaged checkpoint, or a checkpoint of another configuration.

    Example:
      >>> from jaxgan import checkpoint
      >>> checkpoint.restore_plain(Path("runs/none"))
      Traceback (most recent call last):
      jaxgan.errors.CheckpointError: runs/none does not exist: there is no checkpoint yet
    """


class RunError(UserError):
    """Run that cannot be started, resumed or read.

    Example:
      >>> import jaxgan
      >>> jaxgan.load_run("runs/mnist", step="last")
      Traceback (most recent call last):
      jaxgan.errors.RunError: step is 'last', expected newest, best, or the number of a step
    """


class NonFiniteError(UserError):
    """Loss or other metric that is NaN or infinite.

    Attributes:
      exit_status: 1.

    Example:
      >>> NonFiniteError("the loss is nan").exit_status
      1
    """

    exit_status = 1
