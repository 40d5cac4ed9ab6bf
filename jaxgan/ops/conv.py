"""Convolution and transposed convolution as primitives with a fast lowering on CPU.

A strided convolution C is linear in the image and in the kernel. So all its derivatives, of every
order, in forward and in reverse mode, are compositions of three bilinear operations:

    C(x, w)   the convolution
    T(g, w)   its transpose in x: a transposed convolution
    W(x, g)   its transpose in w: the gradient of the kernel

    <C(x, w), g> = <x, T(g, w)> = <w, W(x, g)>

Each is a primitive here, whose transposes are the other two. The algorithm of a primitive is chosen
when a program is lowered for a platform. On GPU it is the plain `jax.lax` convolution and its
transposes; on TPU it is the same with fewer groups (`ops/tpu.py`). On CPU it is a form that XLA
compiles to fast code (`ops/cpu.py`): composed plain derivatives make XLA's CPU backend fall back to
naive loops, for the kernel gradient of a transposed convolution and for every gradient of a
gradient penalty.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import chex
import jax
import jax.numpy as jnp
from jax.experimental.layout import Layout, with_layout_constraint
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from jaxgan.ops import cpu, plain, target, tpu
from jaxgan.ops.plain import Padding, Pair
from jaxgan.types import Array


def conv(
    x: Array,
    kernel: Array,
    *,
    stride: int | Pair = 1,
    padding: str | Padding = "SAME",
    groups: int = 1,
) -> Array:
    """Two-dimensional convolution (cross-correlation, as usual in deep learning).

    Equals `jax.lax.conv_general_dilated` of NHWC images and HWIO kernels, up to the order of sums.

    Args:
      x: `[batch, height, width, in]`.
      kernel: `[kernel_height, kernel_width, in / groups, out]`, the layout of `flax.linen.Conv`.
      stride: stride along height and width, at least 1.
      padding: `SAME`, `VALID`, or `((top, bottom), (left, right))`.
      groups: number of groups of channels; outputs depend on the inputs of their group alone.

    Returns:
      `[batch, out_height, out_width, out]`.

    Raises:
      AssertionError: `x` or `kernel` does not have rank 4, their input channels differ, or
        `groups` does not divide the channels.

    Example:
      >>> import jax.numpy as jnp
      >>> conv(jnp.ones((1, 28, 28, 1)), jnp.ones((4, 4, 1, 8)), stride=2).shape
      (1, 14, 14, 8)
    """
    chex.assert_rank([x, kernel], 4)
    chex.assert_equal(x.shape[3], groups * kernel.shape[2])
    chex.assert_equal(kernel.shape[3] % groups, 0)
    strides = _pair(stride)
    if isinstance(padding, str):
        pads = jax.lax.padtype_to_pads(x.shape[1:3], kernel.shape[:2], strides, padding)
    else:
        pads = list(padding)
    return conv_p.bind(x, kernel, stride=strides, padding=tuple(map(tuple, pads)), groups=groups)


def conv_transpose(
    x: Array, kernel: Array, *, stride: int | Pair = 1, padding: str | Padding = "SAME"
) -> Array:
    """Two-dimensional transposed convolution ("deconvolution").

    Equals `jax.lax.conv_transpose(x, kernel, stride, padding)`, up to the order of sums: with
    `SAME` padding, the output has `stride` times the height and width.

    Args:
      x: `[batch, height, width, in]`.
      kernel: `[kernel_height, kernel_width, in, out]`, the layout of `flax.linen.ConvTranspose`.
      stride: stride along height and width, at least 1.
      padding: `SAME`, `VALID`, or `((top, bottom), (left, right))` of the dilated input, as in JAX.

    Returns:
      `[batch, out_height, out_width, out]`.

    Raises:
      AssertionError: `x` or `kernel` does not have rank 4, or their input channels differ.

    Reference:
      Dumoulin and Visin, *A guide to convolution arithmetic for deep learning*, 2016,
      https://arxiv.org/abs/1603.07285, chapter 4.

    Example:
      >>> import jax.numpy as jnp
      >>> conv_transpose(jnp.ones((1, 7, 7, 8)), jnp.ones((4, 4, 8, 1)), stride=2).shape
      (1, 14, 14, 1)
    """
    chex.assert_rank([x, kernel], 4)
    chex.assert_equal(x.shape[3], kernel.shape[2])
    strides, taps = _pair(stride), kernel.shape[:2]
    if isinstance(padding, str):
        dilated = [_dilated_padding(taps[i], strides[i], padding) for i in (0, 1)]
    else:
        dilated = list(padding)
    # The result is the transpose of a convolution of images of `size`, padded by `pads`, with the
    # flipped kernel.
    pads = tuple((taps[i] - 1 - low, taps[i] - 1 - high) for i, (low, high) in enumerate(dilated))
    size = tuple(
        (x.shape[1 + i] - 1) * strides[i] + low + high - taps[i] + 2
        for i, (low, high) in enumerate(dilated)
    )
    flipped = adjoint_kernel_p.bind(kernel, of_gradient=False)
    return input_gradient_p.bind(x, flipped, stride=strides, padding=pads, size=size, groups=1)


def _pair(stride: int | Pair) -> Pair:
    return (stride, stride) if isinstance(stride, int) else stride


def _dilated_padding(taps: int, stride: int, mode: str) -> Pair:
    """Padding of the dilated input for `SAME` and `VALID`, as in `jax.lax.conv_transpose`."""
    if mode not in ("SAME", "VALID"):
        raise ValueError(f"padding is {mode!r}, expected SAME or VALID")
    if mode == "VALID":
        total = taps + stride - 2 + max(taps - stride, 0)
        return taps - 1, total - (taps - 1)
    total = taps + stride - 2
    low = taps - 1 if stride > taps - 1 else -(total // -2)
    return low, total - low


# ---- the three primitives


def _primitive(
    name: str,
    plain: Callable[..., Array],
    *,
    on_cpu: Callable[..., Array],
    on_tpu: Callable[..., Array],
) -> Primitive:
    """Makes the primitive of a bilinear operation, with lowerings of its own for CPU and TPU."""
    primitive = Primitive(name)

    def abstract(a: Any, b: Any, **params: Any) -> Any:
        shapes = (jax.ShapeDtypeStruct(v.shape, v.dtype) for v in (a, b))
        out = jax.eval_shape(partial(plain, **params), *shapes)
        return a.update(shape=out.shape, dtype=out.dtype, weak_type=False)

    names = ("stride", "padding", "size", "taps", "groups")
    primitive.def_impl(jax.jit(primitive.bind, static_argnames=names))
    primitive.def_abstract_eval(abstract)
    mlir.register_lowering(primitive, mlir.lower_fun(plain, multiple_results=False))
    for platform, form in (("cpu", on_cpu), ("tpu", on_tpu)):
        lowering = mlir.lower_fun(form, multiple_results=False)
        mlir.register_lowering(primitive, lowering, platform=platform)
    return primitive


conv_p = _primitive("jaxgan_conv", plain.conv, on_cpu=cpu.conv, on_tpu=tpu.conv)
input_gradient_p = _primitive(
    "jaxgan_conv_input_gradient",
    plain.input_gradient,
    on_cpu=cpu.input_gradient,
    on_tpu=tpu.input_gradient,
)
kernel_gradient_p = _primitive(
    "jaxgan_conv_kernel_gradient",
    plain.kernel_gradient,
    on_cpu=cpu.kernel_gradient,
    on_tpu=tpu.kernel_gradient,
)

ad.defbilinear(
    conv_p,
    lambda ct, x, w, **at: input_gradient_p.bind(ct, w, size=x.aval.shape[1:3], **at),
    lambda ct, x, w, **at: kernel_gradient_p.bind(x, ct, taps=w.aval.shape[:2], **at),
)
ad.defbilinear(
    input_gradient_p,
    lambda ct, g, w, size, **at: conv_p.bind(ct, w, **at),
    lambda ct, g, w, size, **at: kernel_gradient_p.bind(ct, g, taps=w.aval.shape[:2], **at),
)
ad.defbilinear(
    kernel_gradient_p,
    lambda ct, x, g, taps, **at: input_gradient_p.bind(g, ct, size=x.aval.shape[1:3], **at),
    lambda ct, x, g, taps, **at: conv_p.bind(x, ct, **at),
)


# ---- the kernel of a transposed convolution


def _adjoint_kernel_on_tpu(w: Array, *, of_gradient: bool) -> Array:
    """With a gradient laid out as its parameter.

    XLA would move no data for the swap. The optimizer's step would then be in the swapped layout,
    and the parameter and its moments, which are in the default one between steps, copied there and
    back. The default layout of few channels is the compiler's choice.
    """
    adjoint = plain.adjoint_kernel(w)
    if not of_gradient or adjoint.shape[-1] % tpu.LANES:
        return adjoint
    return with_layout_constraint(adjoint, Layout(major_to_minor=tuple(range(adjoint.ndim))))


adjoint_kernel_p = Primitive("jaxgan_adjoint_kernel")
adjoint_kernel_p.def_impl(jax.jit(adjoint_kernel_p.bind, static_argnames="of_gradient"))
adjoint_kernel_p.def_abstract_eval(
    lambda w, *, of_gradient: w.update(shape=(*w.shape[:2], w.shape[3], w.shape[2]))
)
mlir.register_lowering(
    adjoint_kernel_p, mlir.lower_fun(plain.adjoint_kernel, multiple_results=False)
)
mlir.register_lowering(
    adjoint_kernel_p,
    mlir.lower_fun(_adjoint_kernel_on_tpu, multiple_results=False),
    platform="tpu",
)
ad.deflinear2(
    adjoint_kernel_p,
    lambda ct, w, *, of_gradient: [adjoint_kernel_p.bind(ct, of_gradient=not of_gradient)],
)


# ---- vmap


def _join_batches(primitive: Primitive, plain: Callable[..., Array]) -> None:
    """Batching rule of C and T: mapped images join the batch; mapped kernels are `_one_by_one`."""

    def rule(args: Any, dims: Any, **params: Any) -> tuple[Array, int]:
        (images, w), (images_dim, w_dim) = args, dims
        if w_dim is not None:
            return _one_by_one(primitive, plain, args, dims, params), 0
        images = jnp.moveaxis(images, images_dim, 0)
        joined = images.reshape(-1, *images.shape[2:])
        out = primitive.bind(joined, w, **params)
        return out.reshape(*images.shape[:2], *out.shape[1:]), 0

    batching.primitive_batchers[primitive] = rule


def _keep_apart(primitive: Primitive, plain: Callable[..., Array]) -> None:
    """Batching rule of W, whose arguments share their batch."""

    def rule(args: Any, dims: Any, **params: Any) -> tuple[Array, int]:
        return _one_by_one(primitive, plain, args, dims, params), 0

    batching.primitive_batchers[primitive] = rule


def _one_by_one(
    primitive: Primitive, plain: Callable[..., Array], args: Any, dims: Any, params: Any
) -> Array:
    """The operation for every index of the mapped axes, as `[mapped, ...]`.

    As `jax.lax` maps it, by one grouped convolution, which XLA's CPU backend computes in naive
    loops: there it is a loop over the fast form.
    """
    if target.platform() != "cpu":
        return jax.vmap(partial(plain, **params), in_axes=dims)(*args)
    (size,) = {x.shape[dim] for x, dim in zip(args, dims, strict=True) if dim is not None}
    stacked = [batching.bdim_at_front(x, dim, size) for x, dim in zip(args, dims, strict=True)]
    return jax.lax.map(lambda pair: primitive.bind(*pair, **params), tuple(stacked))


def _adjoint_kernels(args: Any, dims: Any, **params: Any) -> tuple[Array, int]:
    return jax.vmap(plain.adjoint_kernel, in_axes=dims)(*args), 0


batching.primitive_batchers[adjoint_kernel_p] = _adjoint_kernels
_join_batches(conv_p, plain.conv)
_join_batches(input_gradient_p, plain.input_gradient)
_keep_apart(kernel_gradient_p, plain.kernel_gradient)
