"""The platform that a program is compiled for, where the program depends on it."""

import contextlib
from collections.abc import Iterator
from typing import Any

import jax
from jax.extend.core import Primitive
from jax.interpreters import batching, mlir

from jaxgan.types import Array

_target = jax.make_user_context(None)  # part of the keys of jax's caches of traced functions


@contextlib.contextmanager
def compiled_for(platform: str) -> Iterator[None]:
    """Context of code that is traced to be compiled for a platform, which may not be this host's.

    Example:
      >>> with compiled_for("tpu"):
      ...     platform()
      'tpu'
    """
    with _target(platform):
        yield


def platform() -> str:
    """Platform that the code being traced is compiled for: `cpu`, `gpu`, `tpu`.

    That of `compiled_for`, which the parallel modes set to their devices'; otherwise jax's default.
    """
    return _target.value or jax.default_backend()


def by_platform(on_cpu: Array, otherwise: Array) -> Array:
    """`on_cpu` in a program for CPUs, `otherwise` in one for GPUs or TPUs.

    Chosen when the program is lowered, so that an exported program has the form of its platform. It
    has no derivative: call it where derivatives are explicit.

    Args:
      on_cpu, otherwise: arrays of equal shapes and dtypes.

    Example:
      >>> import jax.numpy as jnp
      >>> by_platform(jnp.array(1), jnp.array(2)).item() == (1 if platform() == "cpu" else 2)
      True
    """
    return by_platform_p.bind(on_cpu, otherwise)


by_platform_p = Primitive("jaxgan_by_platform")
by_platform_p.def_impl(jax.jit(by_platform_p.bind))
by_platform_p.def_abstract_eval(lambda on_cpu, otherwise: on_cpu)
mlir.register_lowering(by_platform_p, mlir.lower_fun(lambda a, b: b, multiple_results=False))
mlir.register_lowering(
    by_platform_p, mlir.lower_fun(lambda a, b: a, multiple_results=False), platform="cpu"
)


def _batched(args: Any, dims: Any) -> tuple[Array, int]:
    (size,) = {x.shape[dim] for x, dim in zip(args, dims, strict=True) if dim is not None}
    fronts = (batching.bdim_at_front(x, dim, size) for x, dim in zip(args, dims, strict=True))
    return by_platform_p.bind(*fronts), 0


batching.primitive_batchers[by_platform_p] = _batched
