"""Inception features of FID, from the weight file that PyTorch's FID packages download."""

import hashlib
from pathlib import Path
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from jaxgan.errors import WeightsError
from jaxgan.metrics import Features
from jaxgan.networks import InceptionV3, from_linen
from jaxgan.types import Array, ModelState, Params
from jaxgan.weights import load_torch

SHA256 = "6726825d"  # first digits of the digest of FID's weights, as in the file's name
SIDE = 299

Resize = Literal["clean", "legacy_pytorch", "legacy_tensorflow"]
RESIZES: dict[Resize, str] = {
    "clean": "bicubic, antialiased, clipped to [0, 255]; (x - 128) / 128",
    "legacy_pytorch": "bilinear, not antialiased, pixel centres at half integers; 2 x / 255 - 1",
    "legacy_tensorflow": "bilinear, not antialiased, pixel centres at integers; (x - 128) / 128",
}
"""Preprocessing of bytes for Inception by name, as records state it."""


def inception(path: str | Path, *, resize: Resize = "clean") -> Features:
    """Inception v3 feature extractor, over which the Fréchet distance is the FID.

    Scores depend on how images are resized to 299 x 299, by more than generators differ. `clean` is
    that of the package clean-fid; `legacy_tensorflow` that of the authors' code, of torch-fidelity
    and StyleGAN's evaluation, and so of most published values; `legacy_pytorch` that of the package
    pytorch-fid. A value may be compared with values of the same resize only.

    Args:
      path: the file `pt_inception-2015-12-05-6726825d.pth`, as PyTorch's FID packages download it
        (to `~/.cache/torch/hub/checkpoints`). It is read without executing code from it.
      resize: a name of `RESIZES`.

    Returns:
      Features of images `[n, height, width, 1 or 3]` in [-1, 1], any size: `features` `[n, 2048]`,
      `logits` and `logits_unbiased` `[n, 1008]`. With those weights scores are named `fid`, `kid`
      and so on, or `fid_legacy_pytorch` by the resize; with any others
      `fid_inception_<first digits of their SHA-256>`.

    Raises:
      ValueError: the resize is unknown.
      WeightsError: the file cannot be read, or its tensors are not those of Inception v3.

    Reference:
      Heusel et al., 2017, https://arxiv.org/abs/1706.08500; resizing: Parmar, Zhang and Zhu, *On
      Aliased Resizing and Surprising Subtleties in GAN Evaluation*, 2022,
      https://arxiv.org/abs/2104.11222.

    Example:
      >>> metric = frechet_distance(inception("pt_inception-2015-12-05-6726825d.pth"))
      ... # doctest: +SKIP
    """
    if resize not in RESIZES:
        raise ValueError(f"resize is {resize!r}, expected one of {', '.join(RESIZES)}")
    digest = hashlib.sha256(Path(path).read_bytes()).hexdigest() if Path(path).is_file() else ""
    is_fid = digest.startswith(SHA256)
    params, model_state = from_torch(load_torch(path))
    network = from_linen(InceptionV3())

    @jax.jit
    def apply(images: Array) -> dict[str, Array]:
        inputs = prepared(images, resize=resize)
        outputs, _ = network.apply(params, model_state, inputs, train=False)
        return outputs

    ending = "" if resize == "clean" else f"_{resize}"
    return Features(
        f"inception{ending}" if is_fid else f"inception_{digest[:8]}{ending}",
        apply,
        sha256=digest,
        preprocessing=f"rounded to bytes; {resize} to {SIDE} x {SIDE}: {RESIZES[resize]}",
        suffix=ending if is_fid else None,
        score_logits="logits_unbiased",
    )


def prepared(images: Array, *, resize: Resize = "clean") -> Array:
    """Preprocessing of images for Inception.

    Images are rounded to bytes, as if they had been saved; greyscale is repeated to three channels;
    they are resized in float to 299 x 299, and scaled to about [-1, 1], as `RESIZES` says.

    Args:
      images: `[n, height, width, 1 or 3]` in [-1, 1].
      resize: a name of `RESIZES`.

    Returns:
      `[n, 299, 299, 3]`.

    Example:
      >>> prepared(jnp.zeros((1, 32, 32, 1))).shape
      (1, 299, 299, 3)
    """
    n, *sides = images.shape[:3]
    pixels = jnp.round((jnp.clip(images, -1.0, 1.0) + 1.0) * 127.5)
    pixels = jnp.broadcast_to(pixels, (n, *sides, 3))
    if resize == "clean":
        rows, columns = (_cubic(side) for side in sides)
    else:
        rows, columns = (_linear(side, centered=resize == "legacy_pytorch") for side in sides)
    high = jax.lax.Precision.HIGHEST
    pixels = jnp.einsum("yh,nhwc,xw->nyxc", rows, pixels, columns, precision=high)
    pixels = jnp.clip(pixels, 0.0, 255.0)
    return pixels / 127.5 - 1.0 if resize == "legacy_pytorch" else (pixels - 128.0) / 128.0


def _cubic(side: int) -> np.ndarray:
    """Weights `[299, side]` of the cubic filter (a = -1/2), widened where it reduces the size.

    Output i lies at `(i + 1/2) side / 299 - 1/2`; the weights of each sum to one.
    """
    centers = (np.arange(SIDE) + 0.5) * side / SIDE - 0.5
    d = np.abs(centers[:, None] - np.arange(side)) / max(side / SIDE, 1.0)
    near, far = 1.5 * d**3 - 2.5 * d**2 + 1.0, -0.5 * d**3 + 2.5 * d**2 - 4.0 * d + 2.0
    weights = np.where(d < 1.0, near, np.where(d < 2.0, far, 0.0))
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def _linear(side: int, *, centered: bool) -> np.ndarray:
    """Weights `[299, side]` of linear interpolation between neighbouring pixels.

    Output i lies at `(i + 1/2) side / 299 - 1/2` if `centered`, otherwise at `i side / 299`;
    positions outside the image are those of the nearest pixel.
    """
    shift = 0.5 if centered else 0.0
    positions = (np.arange(SIDE) + shift) * side / SIDE - shift
    positions = np.clip(positions, 0, side - 1)[:, None]
    return np.maximum(0.0, 1.0 - np.abs(positions - np.arange(side))).astype(np.float32)


def from_torch(arrays: dict[str, np.ndarray]) -> tuple[Params, ModelState]:
    """Converts a PyTorch state dict to parameters and batch statistics of `InceptionV3`.

    Raises:
      WeightsError: an array is missing or has another shape.
    """
    names = {
        "conv/kernel": ("conv.weight", (2, 3, 1, 0)),
        "bn/scale": ("bn.weight", (0,)),
        "bn/bias": ("bn.bias", (0,)),
        "bn/mean": ("bn.running_mean", (0,)),
        "bn/var": ("bn.running_var", (0,)),
        "fc/kernel": ("fc.weight", (1, 0)),
        "fc/bias": ("fc.bias", (0,)),
    }

    def convert(
        path: tuple[jax.tree_util.DictKey, ...], expected: jax.ShapeDtypeStruct
    ) -> np.ndarray:
        *module, last, leaf = (key.key for key in path[1:])
        torch_name, order = names[f"{last}/{leaf}"]
        name = ".".join([*module, torch_name])
        array = arrays.get(name)
        if array is None or array.ndim != len(order):
            raise WeightsError(
                f"the weights have no {name} of {len(order)} axes; use Inception's weight file"
            )
        array = np.transpose(array, order).astype(np.float32)
        if array.shape != expected.shape:
            raise WeightsError(
                f"{name} has the shape {array.shape}, expected {expected.shape}; use Inception's "
                "weight file"
            )
        return array

    image = jax.ShapeDtypeStruct((1, SIDE, SIDE, 3), jnp.float32)
    shapes = jax.eval_shape(InceptionV3().init, jax.random.key(0), image)
    variables = dict(jax.tree_util.tree_map_with_path(convert, shapes))
    return variables.pop("params"), variables
