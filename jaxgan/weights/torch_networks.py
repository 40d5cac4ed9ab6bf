"""Weights of published PyTorch networks in this package's networks, and back.

The networks are those of pytorch-CycleGAN-and-pix2pix (Zhu, Park and others,
https://github.com/junyanz/pytorch-CycleGAN-and-pix2pix) and of the DCGAN tutorial (Inkawhich,
https://docs.pytorch.org/tutorials/beginner/dcgan_faces_tutorial.html, and pytorch/examples):

| `kind` | in PyTorch | in `jaxgan.networks` |
|---|---|---|
| `resnet_generator` | `resnet_9blocks`, `resnet_6blocks` | `ResNetGenerator(num_blocks=9)` or 6 |
| `unet_generator` | `unet_256`, `unet_128` | `UNetGenerator(num_levels=8)` or 7 |
| `patch_discriminator` | `basic`, `n_layers`, `pixel` | `PatchDiscriminator(num_layers=3)`, n, 0 |
| `dcgan_generator` | `Generator` | `DCGANGenerator((64, 64, 3), use_bias=False)` |
| `dcgan_discriminator` | `Discriminator` | `DCGANDiscriminator(use_bias=False)` |

Their arrays differ in layout only:

- Kernels of convolutions are `[out, in, height, width]` in PyTorch, and here
  `[height, width, in, out]`.
- Kernels of transposed convolutions are `[in, out, height, width]` in PyTorch, and mirrored: a
  transposed convolution is the gradient of a convolution there, and a convolution of the dilated
  input here.
- The U-Net joins skip and upsampled channels in this order in PyTorch, in the other order here.
- The DCGAN's first layer is a transposed convolution of a 1 x 1 image in PyTorch, and its last one
  a convolution to a 1 x 1 image; both are dense layers here, over (height, width, channel).
- Batch normalisation's `weight`, `bias`, `running_mean` and `running_var` are `scale`, `bias`,
  `mean` and `var`; epsilon is 1e-5 on both sides. Instance normalisation has no parameters; the
  statistics that PyTorch before 0.4 stored for it are not used, as in the authors' code.

Padding agrees: reflection by 3 and 1 pixels in the residual generator, `padding=1` and
`output_padding=1` in its transposed convolutions, `padding=1` elsewhere. Outputs differ in two
places: the DCGAN's discriminator ends with a sigmoid in PyTorch and returns the logits here, and
the maps of PatchGAN are `[batch, 1, rows, columns]` there. A discriminator of pix2pix takes
`(source, target)` in PyTorch: call `PatchDiscriminator` so, or exchange the input channels of
`Conv_0/kernel` for the game `pix2pix`, which gives it `(target, source)`.
"""

from collections.abc import Callable, Iterator, Mapping
from math import isqrt
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from safetensors.numpy import save as to_bytes

from jaxgan.errors import WeightsError
from jaxgan.files import replacing
from jaxgan.types import ModelState, Params
from jaxgan.weights.safetensors import load_arrays
from jaxgan.weights.torch_file import load_torch

Kind = Literal[
    "resnet_generator",
    "unet_generator",
    "patch_discriminator",
    "dcgan_generator",
    "dcgan_discriminator",
]
Arrays = Mapping[str, np.ndarray]


def from_torch(
    state_dict: Arrays, kind: Kind, *, like: tuple[Params, ModelState]
) -> tuple[Params, ModelState]:
    """Parameters and model state of a network, from the state dict of its PyTorch counterpart.

    Args:
      state_dict: arrays by name, from `load_state_dict`. A prefix `module.`, of PyTorch's data
        parallelism, is ignored.
      kind: which network; the table above.
      like: parameters and model state of this package's network, or their shapes, as `init` or
        `jax.eval_shape(network.init, ...)` returns them.

    Returns:
      `(params, model_state)` with the structure and the dtypes of `like`. Biases that PyTorch's
      network does not have are 0.

    Raises:
      WeightsError: an array is missing, has another shape, or has no place in the network; or
        `like` is of another kind.

    Example:
      >>> network = jaxgan.from_linen(networks.ResNetGenerator())  # doctest: +SKIP
      >>> like = jax.eval_shape(network.init, key, images)  # doctest: +SKIP
      >>> state_dict = load_state_dict("latest_net_G.pth")  # doctest: +SKIP
      >>> params, state = from_torch(
      ...     state_dict, "resnet_generator", like=like
      ... )  # doctest: +SKIP
      >>> zebras, _ = network.apply(params, state, horses, train=False)  # doctest: +SKIP
    """
    arrays = _without_prefix(state_dict)
    leaves, found = {}, set()
    for path, leaf, name, layout in _entries(kind, like, arrays):
        found.add(name)
        shape = layout.to_torch(np.zeros(leaf.shape, np.bool_)).shape
        if name not in arrays and name.endswith(".bias") and path[-1] == "bias":
            leaves[path] = np.zeros(leaf.shape, leaf.dtype)
            continue
        if name not in arrays:
            raise WeightsError(
                f"the state dict has no {name}, which {kind} needs for {'/'.join(path[1:])}; "
                f"it has {_some(arrays)}"
            )
        if arrays[name].shape != shape:
            raise WeightsError(
                f"{name} has the shape {arrays[name].shape}, and {'/'.join(path[1:])} of shape "
                f"{tuple(leaf.shape)} needs {shape}; choose the network's sizes accordingly"
            )
        leaves[path] = np.ascontiguousarray(layout.from_torch(arrays[name]).astype(leaf.dtype))
    if rest := sorted(name for name in arrays.keys() - found if not _is_ignored(name, arrays)):
        raise WeightsError(
            f"the state dict has {_some(rest)}, for which this {kind} has no place; "
            "choose the network's sizes and normalisation accordingly"
        )
    tree = unflatten_dict(leaves)
    return tree.get("params", {}), tree.get("model_state", {})


def to_torch(params: Params, model_state: ModelState, kind: Kind) -> dict[str, np.ndarray]:
    """State dict for the PyTorch counterpart of a network; the inverse of `from_torch`.

    Args:
      params, model_state: of the network.
      kind: which network, as in `from_torch`.

    Returns:
      Arrays by name. `save_state_dict` writes them for `safetensors.torch.load_file`.

    Raises:
      WeightsError: the network is of another kind, or has what its counterpart cannot have.

    Example:
      >>> state_dict = to_torch(params, model_state, "unet_generator")  # doctest: +SKIP
    """
    state_dict: dict[str, np.ndarray] = {}
    for _, leaf, name, layout in _entries(kind, (params, model_state), None):
        state_dict[name] = np.ascontiguousarray(layout.to_torch(np.asarray(leaf)))
        if name.endswith(".running_var"):
            counter = name.replace("running_var", "num_batches_tracked")
            state_dict[counter] = np.zeros((), np.int64)
    return state_dict


def load_state_dict(path: str | Path) -> dict[str, np.ndarray]:
    """Reads a PyTorch state dict from a `.safetensors` file, or from one written by `torch.save`.

    Args:
      path: the file; it is read as safetensors if that is its ending, otherwise as one of PyTorch.

    Returns:
      NumPy arrays by name, for `from_torch`.

    Raises:
      WeightsError: the file is missing, damaged, or of another format.

    Example:
      >>> import tempfile
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     save_state_dict(f"{folder}/net.safetensors", {"model.1.bias": np.ones(2)})
      ...     load_state_dict(f"{folder}/net.safetensors")
      {'model.1.bias': array([1., 1.])}
    """
    return load_arrays(path) if Path(path).suffix == ".safetensors" else load_torch(path)


def save_state_dict(path: str | Path, state_dict: Arrays) -> None:
    """Writes arrays by name as `.safetensors`, for `safetensors.torch.load_file`.

    Args:
      path: the file to write, `.safetensors`.
      state_dict: NumPy arrays by name, such as from `to_torch`.

    Example:
      >>> import tempfile
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     save_state_dict(f"{folder}/net.safetensors", {"model.1.bias": np.ones(2)})
      ...     list(load_state_dict(f"{folder}/net.safetensors"))
      ['model.1.bias']
    """
    with replacing(path) as part:
        part.write_bytes(to_bytes(dict(state_dict), metadata={"format": "pt"}))


# ---- layouts of arrays


class _Layout(NamedTuple):
    """Layout of an array in PyTorch, as two inverse functions."""

    from_torch: Callable[[np.ndarray], np.ndarray]
    to_torch: Callable[[np.ndarray], np.ndarray]


def _halves_exchanged(kernel: np.ndarray) -> np.ndarray:
    """A kernel `[height, width, in, out]` with the halves of its input channels exchanged."""
    return np.roll(kernel, kernel.shape[2] // 2, axis=2)


SAME = _Layout(lambda x: x, lambda x: x)
CONV = _Layout(lambda w: w.transpose(2, 3, 1, 0), lambda k: k.transpose(3, 2, 0, 1))
TRANSPOSED = _Layout(
    lambda w: w[:, :, ::-1, ::-1].transpose(2, 3, 0, 1),
    lambda k: k.transpose(2, 3, 0, 1)[:, :, ::-1, ::-1],
)
AFTER_SKIP = _Layout(
    lambda w: _halves_exchanged(TRANSPOSED.from_torch(w)),
    lambda k: TRANSPOSED.to_torch(_halves_exchanged(k)),
)


def _dense(channels: int) -> tuple[_Layout, _Layout]:
    """Layouts of dense layers to and from a square map of that many channels."""

    def side(units: int) -> int:
        if (root := isqrt(units // channels)) ** 2 * channels != units:
            raise WeightsError(
                f"a dense layer has {units} units, expected a square map of {channels} channels"
            )
        return root

    def to_map(k: np.ndarray) -> np.ndarray:  # [latent, (height, width, channel)]
        shape = (len(k), side(k.shape[1]), -1, channels)
        return k.reshape(shape).transpose(0, 3, 1, 2)

    def from_map(k: np.ndarray) -> np.ndarray:  # [(height, width, channel), 1]
        return k.reshape(side(len(k)), -1, channels, 1).transpose(3, 2, 0, 1)

    return (
        _Layout(lambda w: w.transpose(0, 2, 3, 1).reshape(len(w), -1), to_map),
        _Layout(lambda w: w.transpose(2, 3, 1, 0).reshape(-1, 1), from_map),
    )


# ---- layers of the networks


class _Layer(NamedTuple):
    """A layer here, its prefix in PyTorch, and the layout of its kernel."""

    name: str
    prefix: str
    layout: _Layout = SAME


NAMES = {
    "kernel": "weight",
    "scale": "weight",
    "bias": "bias",
    "mean": "running_mean",
    "var": "running_var",
}


def _entries(
    kind: Kind, like: tuple[Params, ModelState], arrays: Arrays | None
) -> Iterator[tuple[tuple[str, ...], Any, str, _Layout]]:
    """Every leaf of a network: its path, the leaf, its name in PyTorch, and its layout there."""
    if kind not in LAYERS:
        raise WeightsError(f"there is no kind of network {kind}; choose {', '.join(LAYERS)}")
    params, model_state = like
    leaves = flatten_dict({"params": params, "model_state": model_state})
    try:
        layers = {layer.name: layer for layer in LAYERS[kind](params, arrays or {})}
        for path, leaf in leaves.items():
            layer, leaf_name = layers[path[-2]], path[-1]
            layout = layer.layout if leaf_name == "kernel" else SAME
            yield path, leaf, f"{layer.prefix}.{NAMES[leaf_name]}", layout
    except KeyError as error:
        raise WeightsError(
            f"a {kind} has no place for {error}; its layers are {_some(params)}"
        ) from None


def _resnet_generator(params: Params, arrays: Arrays) -> Iterator[_Layer]:
    """Residual generator: `model.N`, with two convolutions in `conv_block` of every block."""
    num_blocks = (_count(params, "Conv") - 4) // 2
    # Dropout between the convolutions of a block moves the second by one.
    second = 6 if "model.10.conv_block.6.weight" in arrays else 5
    for i, number in enumerate((1, 4, 7)):
        yield _Layer(f"Conv_{i}", f"model.{number}", CONV)
    for i in range(num_blocks):
        for j, within in enumerate((1, second)):
            yield _Layer(f"Conv_{3 + 2 * i + j}", f"model.{10 + i}.conv_block.{within}", CONV)
    for i in (0, 1):
        yield _Layer(f"ConvTranspose_{i}", f"model.{10 + num_blocks + 3 * i}", TRANSPOSED)
    yield _Layer(f"Conv_{3 + 2 * num_blocks}", f"model.{17 + num_blocks}", CONV)


def _unet_generator(params: Params, arrays: Arrays) -> Iterator[_Layer]:
    """U-Net: every level is a `model` within that of the level before."""
    levels, norm = _count(params, "Conv"), 0
    prefixes = ["model.model"]
    for level in range(1, levels):
        prefixes.append(f"{prefixes[-1]}.{3 if level > 1 else 1}.model")
    for level, prefix in enumerate(prefixes):
        yield _Layer(f"Conv_{level}", f"{prefix}.{1 if level else 0}", CONV)
        if 0 < level < levels - 1:
            yield _Layer(f"BatchNorm_{norm}", f"{prefix}.2")
            norm += 1
    for i, level in enumerate(reversed(range(levels))):
        innermost, prefix = level == levels - 1, prefixes[level]
        number = 3 if innermost or level == 0 else 5
        yield _Layer(
            f"ConvTranspose_{i}", f"{prefix}.{number}", TRANSPOSED if innermost else AFTER_SKIP
        )
        if level:
            yield _Layer(f"BatchNorm_{norm}", f"{prefix}.{number + 1}")
            norm += 1


def _patch_discriminator(params: Params, arrays: Arrays) -> Iterator[_Layer]:
    """PatchGAN: convolutions, of which all but the first and the last have a normalisation."""
    last = _count(params, "Conv") - 1
    model = "net" if params["Conv_0"]["kernel"].shape[0] == 1 else "model"
    yield _Layer("Conv_0", f"{model}.0", CONV)
    for i in range(1, last):
        yield _Layer(f"Conv_{i}", f"{model}.{3 * i - 1}", CONV)
        yield _Layer(f"BatchNorm_{i - 1}", f"{model}.{3 * i}")
    yield _Layer(f"Conv_{last}", f"{model}.{3 * last - 1}", CONV)


def _dcgan_generator(params: Params, arrays: Arrays) -> Iterator[_Layer]:
    """DCGAN generator: `main.N`, normalised layers of three modules each."""
    to_map, _ = _dense(params["ConvTranspose_0"]["kernel"].shape[2])
    if "bias" in params["Dense_0"]:
        raise WeightsError(
            "the generator's first layer has a bias per pixel, and PyTorch's has none; "
            "choose DCGANGenerator(use_bias=False)"
        )
    yield _Layer("Dense_0", "main.0", to_map)
    yield _Layer("BatchNorm_0", "main.1")
    for i in range(_count(params, "ConvTranspose")):
        yield _Layer(f"ConvTranspose_{i}", f"main.{3 * i + 3}", TRANSPOSED)
        yield _Layer(f"BatchNorm_{i + 1}", f"main.{3 * i + 4}")


def _dcgan_discriminator(params: Params, arrays: Arrays) -> Iterator[_Layer]:
    """DCGAN discriminator: `main.N`; the last convolution covers the map that is left."""
    num_convs = _count(params, "Conv")
    _, from_map = _dense(params[f"Conv_{num_convs - 1}"]["kernel"].shape[3])
    yield _Layer("Conv_0", "main.0", CONV)
    for i in range(1, num_convs):
        yield _Layer(f"Conv_{i}", f"main.{3 * i - 1}", CONV)
        yield _Layer(f"BatchNorm_{i - 1}", f"main.{3 * i}")
    yield _Layer("Dense_0", f"main.{3 * num_convs - 1}", from_map)


LAYERS: dict[str, Callable[[Params, Arrays], Iterator[_Layer]]] = {
    "resnet_generator": _resnet_generator,
    "unet_generator": _unet_generator,
    "patch_discriminator": _patch_discriminator,
    "dcgan_generator": _dcgan_generator,
    "dcgan_discriminator": _dcgan_discriminator,
}


def _count(params: Params, layer: str) -> int:
    """Number of layers of that name, `Conv` or `ConvTranspose`."""
    return sum(name.rpartition("_")[0] == layer for name in params)


def _without_prefix(state_dict: Arrays) -> Arrays:
    if all(name.startswith("module.") for name in state_dict):
        return {name.removeprefix("module."): array for name, array in state_dict.items()}
    return state_dict


def _is_ignored(name: str, arrays: Arrays) -> bool:
    """Whether an entry has no counterpart: a counter, or a statistic of instance normalisation."""
    prefix, _, leaf = name.rpartition(".")
    of_norm = leaf in ("running_mean", "running_var") and f"{prefix}.weight" not in arrays
    return of_norm or leaf == "num_batches_tracked"


def _some(names: Any) -> str:
    """The first names, for an error of one line."""
    first = sorted(names)
    return ", ".join(first[:3]) + (f" and {len(first) - 3} more" if len(first) > 3 else "")
