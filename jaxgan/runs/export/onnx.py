"""The trained model of a run as an ONNX graph, by jax2onnx, checked with onnxruntime."""

import importlib
import logging
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.errors import InconclusiveDimensionOperation
from jax.extend.core import Jaxpr, Literal

from jaxgan.errors import RunError
from jaxgan.ops import plain
from jaxgan.ops.plain import Padding, Pair
from jaxgan.runs.export.programs import Program
from jaxgan.types import Array

OPSET = 21
TOLERANCE = 1e-5  # of the images' range [-1, 1]


def to_onnx(program: Program) -> bytes:
    """The program with its parameters, for any number of rows.

    It is run on the examples, and its images are compared with those of the live model.

    Raises:
      RunError: jax2onnx or onnxruntime cannot be imported; an operation is not supported; the
        program is of images of any size; or its images are not those of the live model.

    Example:
      >>> to_onnx(program_of(run, num=2, seed=0))  # doctest: +SKIP
    """
    if any("*" in shape for shape in program.shapes.values()):
        raise RunError("--format onnx is for models of latents; translations are for stablehlo")
    runtime = _imported("onnxruntime")
    model = lambda *inputs: program.apply(program.params, program.model_state, *inputs)
    content = _converted(model, program)
    options = runtime.SessionOptions()
    options.log_severity_level = 3  # errors
    session = runtime.InferenceSession(content, options)
    inputs = dict(zip(program.shapes, program.examples, strict=True))
    found, expected = session.run(None, inputs)[0], np.asarray(jax.jit(model)(*program.examples))
    difference = np.abs(found - expected).max() if found.shape == expected.shape else np.inf
    if not difference <= TOLERANCE:
        raise RunError(
            f"the model that jax2onnx made differs by {difference:.2g} from the live one, more "
            f"than {TOLERANCE:g}; it is not written: use --format stablehlo"
        )
    return content


def with_plain_convolutions(function: Callable[..., Array]) -> Callable[..., Array]:
    """The function with jaxgan's convolutions and paddings replaced by what the converter takes."""

    def replaced(*inputs: Array) -> Array:
        closed = jax.make_jaxpr(function)(*inputs)
        return _evaluate(closed.jaxpr, closed.consts, inputs)[0]

    return replaced


# ---- helpers of the above


def _converted(model: Callable[..., Array], program: Program) -> bytes:
    specs = [jax.ShapeDtypeStruct(("B", *rows.shape[1:]), rows.dtype) for rows in program.examples]
    logging.disable(logging.WARNING)  # it warns of plugins for libraries that are not used here
    try:
        return (
            _imported("jax2onnx")
            .to_onnx(
                with_plain_convolutions(model),
                specs,
                opset=OPSET,
                input_names=list(program.shapes),
                output_names=["images"],
            )
            .SerializeToString()
        )
    except (NotImplementedError, ValueError, TypeError, InconclusiveDimensionOperation) as error:
        why = str(error).partition("\n")[0]
        raise RunError(
            f"jax2onnx does not convert this model ({why}); use --format stablehlo"
        ) from None
    finally:
        logging.disable(logging.NOTSET)


def _imported(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        if isinstance(error, ModuleNotFoundError) and error.name == name:
            raise RunError(
                f"an ONNX graph needs {name}, which is not installed: pip install 'jaxgan[onnx]'"
            ) from None
        raise RunError(
            f"an ONNX graph needs {name}, which is installed but cannot be imported "
            f"({' '.join(str(error).split())}); pip install --upgrade 'jaxgan[onnx]'"
        ) from None


def _evaluate(jaxpr: Jaxpr, consts: Sequence[Any], inputs: Sequence[Any]) -> list[Any]:
    """Results of a jaxpr, as `jax.core.eval_jaxpr`, with the primitives in `_PLAIN` replaced."""
    values = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*consts, *inputs], strict=True))
    read = lambda atom: atom.val if isinstance(atom, Literal) else values[atom]
    for equation in jaxpr.eqns:
        arguments = [read(atom) for atom in equation.invars]
        name, params = equation.primitive.name, equation.params
        called = params.get("call_jaxpr", params.get("jaxpr")) if name in _CALLS else None
        if called is not None:
            results = _evaluate(called.jaxpr, called.consts, arguments)
        elif name in _PLAIN:
            results = [_PLAIN[name](*arguments, **params)]
        else:
            result = equation.primitive.bind(*arguments, **params)
            results = result if equation.primitive.multiple_results else [result]
        values.update(zip(equation.outvars, results, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def _input_gradient(
    g: Array, w: Array, *, stride: Pair, padding: Padding, size: Pair, groups: int
) -> Array:
    """T(g, w) of `ops/plain.py`: zeros between the rows and columns, and a convolution.

    The converter ignores the dilation of a convolution's input, so the zeros are explicit.
    """
    _, height, width, channels = g.shape
    pad = [(0, 0), (0, 0), (0, stride[0] - 1), (0, 0), (0, stride[1] - 1), (0, 0)]
    apart = jnp.pad(g.reshape(-1, height, 1, width, 1, channels), pad)
    dilated = apart.reshape(-1, height * stride[0], width * stride[1], channels)
    ends = []
    for i in (0, 1):
        low = w.shape[i] - 1 - padding[i][0]
        ends.append((low, size[i] + w.shape[i] - 1 - dilated.shape[1 + i] - low))
    (_, bottom), (_, right) = ends
    dilated = dilated[:, : dilated.shape[1] + min(bottom, 0), : dilated.shape[2] + min(right, 0)]
    positive = [(low, max(high, 0)) for low, high in ends]
    by_group = w[::-1, ::-1].reshape(*w.shape[:3], groups, -1).transpose(0, 1, 4, 3, 2)
    flipped = by_group.reshape(*by_group.shape[:3], -1)
    pads = (positive[0], positive[1])
    return plain.conv(dilated, flipped, stride=(1, 1), padding=pads, groups=groups)


def _pad(x: Array, value: Any, *, padding_config: Sequence[tuple[int, int, int]]) -> Array:
    """`jax.lax.pad`, joined of parts: the converter pads only arrays whose batch has a size."""
    if any(min(pads) < 0 or pads[2] for pads in padding_config):
        return jax.lax.pad(x, value, padding_config)
    value = jnp.asarray(value, x.dtype)
    for axis, (low, high, _) in enumerate(padding_config):
        shapes = [(*x.shape[:axis], n, *x.shape[axis + 1 :]) for n in (low, high)]
        before, after = (jax.lax.broadcast_in_dim(value, shape, ()) for shape in shapes)
        parts = [*[before][:low], x, *[after][:high]]
        x = jax.lax.concatenate(parts, axis) if len(parts) > 1 else x
    return x


_PLAIN: dict[str, Callable[..., Array]] = {
    "pad": _pad,
    "jaxgan_conv": plain.conv,
    "jaxgan_adjoint_kernel": plain.adjoint_kernel,
    "jaxgan_conv_input_gradient": _input_gradient,
}
_CALLS = {"jit", "pjit", "closed_call", "checkpoint", "custom_jvp_call", "custom_vjp_call"}
