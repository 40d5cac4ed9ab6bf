"""Adapters from flax modules to `Network`, the pure pair `(init, apply)`, and between networks."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxgan import ops
from jaxgan.game import Network
from jaxgan.ops import target
from jaxgan.ops.conv import conv_p, input_gradient_p
from jaxgan.types import ModelState, Params, PRNGKey

if TYPE_CHECKING:
    from flax import nnx

MODES = {  # names by which modules take their mode, and their values in training
    "train": True,
    "training": True,
    "is_training": True,
    "deterministic": False,
    "use_running_average": False,
}

PRODUCTS = {conv_p.name, input_gradient_p.name, "conv_general_dilated", "dot_general"}


def from_linen(module: nn.Module, *, dtype: Any = None) -> Network:
    """Adapter from a linen module to a `Network`.

    The collection `params` holds the learned parameters, every other collection is model state.
    `train` is passed to modules whose `__call__` takes it. The key serves all random streams
    (`dropout`, ...).

    Args:
      module: a linen module that is called as `module(*inputs)` or with its mode as one of
        `train`, `training`, `is_training`, `deterministic` or `use_running_average`; the last two
        are true in evaluation.
      dtype: dtype in which the module computes, in place of that of its field `dtype`, such as
        `bfloat16`; `None` for no change. The networks of `jaxgan.networks` keep parameters, batch
        statistics and outputs in float32.

    Returns:
      The network. `apply` raises a `ValueError` in training mode if the module has batch statistics
      and takes its mode by none of these names.

    Raises:
      ValueError: the module is not an instance, such as its class; or `dtype` is given, and the
        module has no field `dtype`.

    Example:
      >>> import flax.linen as nn, jax, jax.numpy as jnp
      >>> network = from_linen(nn.Dense(3))
      >>> params, model_state = network.init(jax.random.key(0), jnp.zeros((2, 5)))
      >>> output, _ = network.apply(params, model_state, jnp.zeros((2, 5)), train=True)
      >>> output.shape
      (2, 3)
    """
    if not isinstance(module, nn.Module):
        name = getattr(module, "__name__", type(module).__name__)
        raise ValueError(f"module is {name}, expected an instance of a linen module: {name}(...)")
    if dtype is not None:
        module = _with_dtype(module, dtype)
    flags = MODES.keys() & inspect.signature(type(module).__call__).parameters.keys()

    def mode(train: bool) -> dict[str, Any]:
        return {flag: train == MODES[flag] for flag in flags}

    def init(key: PRNGKey, *inputs: Any) -> tuple[Params, ModelState]:
        variables = dict(module.init(key, *inputs, **mode(False)))
        return variables.pop("params", {}), variables

    def apply(
        params: Params,
        model_state: ModelState,
        *inputs: Any,
        key: PRNGKey | None = None,
        train: bool,
    ) -> tuple[Any, ModelState]:
        variables = {"params": params, **model_state}
        rngs = None if key is None else {"params": key}  # linen's default for any stream
        if not (train and model_state):
            return module.apply(variables, *inputs, rngs=rngs, **mode(train)), model_state
        if not flags and "batch_stats" in model_state:
            raise ValueError(
                f"{type(module).__name__} has batch statistics, which differ in training and "
                f"evaluation; let its __call__ take its mode as one of {', '.join(MODES)}"
            )
        output, updated = module.apply(
            variables, *inputs, rngs=rngs, mutable=list(model_state), **mode(train)
        )
        return output, {**model_state, **updated}

    return Network(init, apply)


def from_nnx(make: "Callable[[nnx.Rngs], nnx.Module]") -> Network:
    """Adapter from an nnx module to a `Network`.

    `nnx.Param`s are the learned parameters. Random streams are not state: each call makes new ones
    from its key. Everything else (batch statistics, ...) is model state. `train` selects
    `module.train()` or `module.eval()`.

    Args:
      make: constructor of the module, `lambda rngs: MyModule(..., rngs=rngs)`. It is called to
        initialise, under `nnx.eval_shape` to get the module's structure, and while `apply` is
        traced for new random streams.

    Returns:
      The network.

    Raises:
      ValueError: it is a module, not a function that makes one.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from flax import nnx
      >>> network = from_nnx(lambda rngs: nnx.Linear(5, 3, rngs=rngs))
      >>> params, model_state = network.init(jax.random.key(0), jnp.zeros((2, 5)))
      >>> output, _ = network.apply(params, model_state, jnp.zeros((2, 5)), train=True)
      >>> output.shape
      (2, 3)
    """
    from flax import nnx  # here, since its import takes a quarter of a second

    if isinstance(make, nnx.Module):
        name = type(make).__name__
        raise ValueError(
            f"make is {name}, expected a function that makes the module: "
            f"lambda rngs: {name}(..., rngs=rngs)"
        )
    graph, *abstract = _parts(nnx.eval_shape(lambda: make(nnx.Rngs(0))))

    def init(key: PRNGKey, *inputs: Any) -> tuple[Params, ModelState]:
        _, params, _, model_state = _parts(make(nnx.Rngs(key)))
        return nnx.to_pure_dict(params), nnx.to_pure_dict(model_state)

    def apply(
        params: Params,
        model_state: ModelState,
        *inputs: Any,
        key: PRNGKey | None = None,
        train: bool,
    ) -> tuple[Any, ModelState]:
        # A new module provides new random streams; jit eliminates its unused initial values.
        _, _, streams, _ = _parts(make(nnx.Rngs(jax.random.key(0) if key is None else key)))
        module = nnx.merge(
            graph, _filled(abstract[0], params), streams, _filled(abstract[2], model_state)
        )
        module.train() if train else module.eval()
        output = module(*inputs)
        _, _, _, updated = _parts(module)
        return output, nnx.to_pure_dict(updated) if train else model_state

    return Network(init, apply)


def remat(network: Network) -> Network:
    """The same network, whose activations are computed again in the backward pass.

    Of its forward pass, only the outputs of convolutions and matrix products are kept for the
    gradient; what lies between them (normalisation, activations, padding, casts) is computed again.
    The gradients, of every order in reverse mode, are those of the network, up to rounding.

    Args:
      network: any network.

    Returns:
      The network that takes less memory in training, and a little more time.

    Reference:
      Chen, Xu, Zhang and Guestrin, *Training Deep Nets with Sublinear Memory Cost*, 2016,
      https://arxiv.org/abs/1604.06174.

    Example:
      >>> import flax.linen as nn, jax, jax.numpy as jnp
      >>> network = remat(from_linen(nn.Dense(3)))
      >>> params, model_state = network.init(jax.random.key(0), jnp.zeros((2, 5)))
      >>> network.apply(params, model_state, jnp.zeros((2, 5)), train=True)[0].shape
      (2, 3)
    """

    def apply(
        params: Params,
        model_state: ModelState,
        *inputs: Any,
        key: PRNGKey | None = None,
        train: bool,
    ) -> tuple[Any, ModelState]:
        def function(
            key: PRNGKey | None, params: Params, model_state: ModelState, *inputs: Any
        ) -> tuple[Any, ModelState]:
            return network.apply(params, model_state, *inputs, key=key, train=train)

        rematerialized = jax.checkpoint(function, policy=_is_product)
        if target.platform() == "cpu":
            rematerialized = _in_order(rematerialized)
        return rematerialized(key, params, model_state, *inputs)

    return network._replace(apply=apply)


def _is_product(primitive: Any, *_: Any, **__: Any) -> bool:
    """Policy of `jax.checkpoint` that keeps the outputs of convolutions and matrix products."""
    return primitive.name in PRODUCTS


def _in_order(function: Callable[..., Any]) -> Callable[..., Any]:
    """A rematerialised function of (key, ...), whose backward pass XLA cannot merge on a CPU."""

    def forward(key: PRNGKey | None, *args: Any) -> tuple[Any, Any]:
        return jax.vjp(partial(function, key), *args)

    def backward(vjp: Any, cotangents: Any) -> tuple[Any, ...]:
        return (None, *ops.after(cotangents, vjp)(cotangents))

    in_order = jax.custom_vjp(function)
    in_order.defvjp(forward, backward)
    return in_order


def _with_dtype(module: nn.Module, dtype: Any) -> nn.Module:
    if not hasattr(module, "dtype"):
        raise ValueError(
            f"{type(module).__name__} has no field dtype; give it one, which its layers take"
        )
    return module.clone(dtype=jnp.dtype(dtype))


def _parts(module: "nnx.Module") -> tuple[Any, Any, Any, Any]:
    """Splits a module into structure, parameters, random streams and all other state."""
    from flax import nnx

    parts: tuple[Any, Any, Any, Any] = nnx.split(module, nnx.Param, nnx.RngState, ...)  # type: ignore
    return parts


def _filled(abstract: "nnx.State", values: Any) -> "nnx.State":
    """State with the structure of `abstract` and the leaves of the plain dict `values`."""
    from flax import nnx

    state = jax.tree.map(lambda leaf: leaf, abstract)  # a copy: the next line modifies it in place
    nnx.replace_by_pure_dict(state, values)
    return state
