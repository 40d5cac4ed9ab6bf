"""Penalties and regularisers: terms added to a player's adversarial loss, and their combinators.

A `Penalty` on the discriminator is a function `(critic, real, fake, key, step) -> [batch]`, where

- `critic`: a closure `x -> logits`, `[batch, ...] -> [batch]` (or `[batch, h, w]`, summed);
- `real`, `fake`: examples of the same shape `[batch, ...]`;
- `key`: for randomness per example; `step`: the training step, for schedules.

A `Regularizer` is the general form: it receives the complete `ForwardPass` of a GAN, applies to
either player, and may have state, which is part of that player's model state and its checkpoints.

    gan(..., penalty=weighted((10.0, wgan_gp)))
    gan(..., penalty=weighted((0.1, r1), (0.1, r2)))
    gan(..., penalty=weighted((10.0, lazily(r1, every=16)), (0.1, lecam())))
    gan(..., generator_penalty=weighted((2.0, lazily(path_length(), every=4))))
"""

import inspect
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, overload

import jax
import jax.numpy as jnp

from jaxgan.schedules import scheduled
from jaxgan.types import Array, Params, PRNGKey, PyTree, Schedule

Critic = Callable[[Array], Array]
Penalty = Callable[[Critic, Array, Array, PRNGKey, Array], Array]
Side = Literal["real", "fake"]


class ForwardPass(NamedTuple):
    """Results of a GAN's forward pass in one turn, and both networks as closures.

    The closures apply the networks in training mode, with parameters, model state, conditions and
    keys bound; the discriminator includes the augmentation.

    Attributes:
      discriminator: `images -> logits`, with the augmentation of the real images.
      generator: `latents -> images`; `None` if it translates images.
      latents: `[batch, dim]`; `None` if the generator translates images.
      real, fake: images, `[batch, ...]`, without augmentation.
      real_logits, fake_logits: `[batch]`, or `[batch, height, width]`.
      real_features, fake_features: features that the discriminator returns with its logits; `None`
        if it returns logits only.
      conditions: the entries of the batch that both networks receive, such as `(labels,)`.
      prior: the prior of the latents, `(key, n) -> [n, dim]`.
      params: parameters of the player whose loss has the term.
      discriminator_of_fake: `images -> logits`, with the augmentation of the generated images.

    Example, a term of both logits:
      >>> critic = lambda x: jnp.sum(x, axis=1)
      >>> real, fake = jnp.ones((1, 2)), jnp.zeros((1, 2))
      >>> forward = ForwardPass(critic, None, None, real, fake, critic(real), critic(fake))
      >>> gap = stateless(lambda forward, key, step: forward.real_logits - forward.fake_logits)
      >>> gap.apply(gap.init(), forward, jax.random.key(0), 0)[0].tolist()
      [2.0]
    """

    discriminator: Critic
    generator: Callable[[Array], Array]
    latents: Array
    real: Array
    fake: Array
    real_logits: Array
    fake_logits: Array
    real_features: PyTree = None
    fake_features: PyTree = None
    conditions: tuple[Array, ...] = ()
    prior: Callable[[PRNGKey, int], Array] | None = None
    params: Params = None
    discriminator_of_fake: Critic | None = None


class Regularizer(NamedTuple):
    """A term of a player's loss that may have state.

    Attributes:
      init: `() -> state`, a pytree of arrays.
      apply: `(state, forward, key, step) -> ([batch], state)`. Batch statistics in the state must
        be those of all devices (`parallel.axis.mean`).

    Example, the squared distance of each logit from the running mean of all:
      >>> from jaxgan.parallel import axis
      >>> def apply(mean, forward, key, step):
      ...     now = axis.mean(jnp.mean(forward.real_logits))
      ...     value = (forward.real_logits - mean) ** 2
      ...     return value, 0.9 * mean + 0.1 * jax.lax.stop_gradient(now)
      >>> near_the_mean = Regularizer(lambda: jnp.zeros(()), apply)
      >>> float(near_the_mean.init())
      0.0
    """

    init: Callable[[], PyTree]
    apply: Callable[[PyTree, ForwardPass, PRNGKey, Array], tuple[Array, PyTree]]


def stateless(term: Callable[[ForwardPass, PRNGKey, Array], Array]) -> Regularizer:
    """Regulariser without state, from a function `(forward, key, step) -> [batch]`.

    Args:
      term: `(forward, key, step) -> [batch]`, with a `ForwardPass`.

    Returns:
      A regulariser whose state is `()`.

    Example:
      >>> small = stateless(lambda forward, key, step: forward.real_logits**2)
      >>> logits = jnp.array([2.0, 3.0])
      >>> forward = ForwardPass(None, None, None, None, None, logits, logits)
      >>> value, state = small.apply(small.init(), forward, jax.random.key(0), 0)
      >>> value.tolist(), state
      ([4.0, 9.0], ())
    """
    return Regularizer(tuple, lambda state, *args: (term(*args), state))


def as_regularizer(penalty: Penalty | Regularizer) -> Regularizer:
    """Converts a penalty to a stateless regulariser; a regulariser is returned unchanged.

    Args:
      penalty: a function `(critic, real, fake, key, step) -> [batch]`, or a regulariser.

    Returns:
      A regulariser.

    Raises:
      ValueError: it is neither, such as a function of this package that was not called.

    Example:
      >>> term = as_regularizer(lambda critic, real, fake, key, step: critic(real) - critic(fake))
      >>> critic, x = lambda x: jnp.sum(x, axis=1), jnp.ones((1, 2))
      >>> forward = ForwardPass(critic, None, None, x, 0.0 * x, None, None)
      >>> term.apply(term.init(), forward, jax.random.key(0), 0)[0].tolist()
      [2.0]
    """
    if isinstance(penalty, Regularizer):
        return penalty
    check_penalty(penalty)
    return stateless(
        lambda forward, key, step: penalty(
            forward.discriminator, forward.real, forward.fake, key, step
        )
    )


def check_penalty(penalty: Any) -> None:
    """Raises a `ValueError` if it is not a penalty, such as a function that was not called."""
    if penalty is weighted or not takes(penalty, 5):  # weighted takes any number
        name = getattr(penalty, "__name__", None)
        raise ValueError(
            f"the penalty is {name or repr(penalty)}, expected a function (critic, real, fake, "
            "key, step), such as penalties.r1, or a Regularizer"
            + (f"; if it makes one, call it: {name}(...)" if name else "")
        )


def takes(function: Any, num: int) -> bool:
    """Whether a function can be called with this number of positional arguments."""
    try:
        inspect.signature(function).bind(*range(num))
    except TypeError:
        return False
    except ValueError:  # of a builtin, which has no signature
        return True
    return True


@overload
def weighted(*terms: tuple[float | Schedule, Penalty]) -> Penalty: ...  # type: ignore[overload-overlap]
@overload
def weighted(*terms: tuple[float | Schedule, Penalty | Regularizer]) -> Regularizer: ...
def weighted(*terms: tuple[float | Schedule, Any]) -> Penalty | Regularizer:
    """Weighted sum of penalties, `sum_i w_i p_i`.

    Args:
      *terms: pairs `(weight, penalty)`; a weight is a float, or a schedule called with the
        training step.

    Returns:
      A penalty; a regulariser if any of the terms is one.

    Raises:
      ValueError: there are no terms, or one is not a pair.

    Example:
      >>> import optax
      >>> from jaxgan.penalties import r1, r2
      >>> penalty = weighted((optax.linear_schedule(10.0, 0.1, 10_000), r1), (0.1, r2))
      >>> critic, x = lambda x: x @ jnp.array([3.0, 4.0]), jnp.zeros((1, 2))  # R1 and R2 are 12.5
      >>> [round(penalty(critic, x, x, jax.random.key(0), step).item(), 2) for step in (0, 10_000)]
      [126.25, 2.5]
    """
    if not terms or any(not isinstance(term, tuple) or len(term) != 2 for term in terms):
        raise ValueError(
            f"weighted() was given {terms}, expected pairs (weight, penalty), such as "
            "weighted((10.0, penalties.r1))"
        )
    regularizers = [as_regularizer(term) for _, term in terms]

    def apply(
        states: tuple[PyTree, ...], forward: ForwardPass, key: PRNGKey, step: Array
    ) -> tuple[Array, tuple[PyTree, ...]]:
        values, new_states = [], []
        for i, ((weight, _), regularizer) in enumerate(zip(terms, regularizers, strict=True)):
            key_i = jax.random.fold_in(key, i)
            value, new_state = regularizer.apply(states[i], forward, key_i, step)
            values.append(scheduled(weight, step) * value)
            new_states.append(new_state)
        if len({value.shape for value in values}) > 1:  # of images, of packs, or of the batch
            values = [jnp.mean(value) for value in values]
        return jnp.sum(jnp.stack(values), axis=0), tuple(new_states)

    combined = Regularizer(lambda: tuple(term.init() for term in regularizers), apply)
    return combined if any(isinstance(t, Regularizer) for _, t in terms) else _as_penalty(combined)


@overload
def lazily(penalty: Penalty, *, every: int) -> Penalty: ...
@overload
def lazily(penalty: Regularizer, *, every: int) -> Regularizer: ...
def lazily(penalty: Any, *, every: int) -> Penalty | Regularizer:
    """Lazy regularisation: `every` times the penalty in one of `every` steps, zero in the others.

    The mean gradient over steps is unchanged, at a fraction of the cost. Adam's step is not: it
    divides by the root mean square of the gradient, which is `sqrt(every)` times as large for a
    gradient that comes once in `every` steps. A penalty that dominates its player's gradient
    therefore has `1 / sqrt(every)` of its effect, a quarter at 16; next to a larger loss the
    difference is small.
    StyleGAN2 computes penalties in separate optimiser steps, and raises Adam's decay rates to
    the power `every / (every + 1)` (and multiplies the learning rate by it) to make up for the
    additional steps. Here a penalty is part of the same step, so that correction does not apply; a
    larger weight does. The state of a regulariser is updated only in the steps in which it is
    computed.

    Args:
      penalty: the penalty or regulariser.
      every: the period in steps, at least 1.

    Returns:
      A penalty, or a regulariser if `penalty` is one.

    Raises:
      ValueError: `every` is below 1.

    Reference:
      Karras et al., *Analyzing and Improving the Image Quality of StyleGAN*, 2020,
      https://arxiv.org/abs/1912.04958, section 3.1 (lazy regularisation).

    Example:
      >>> from jaxgan.penalties import r1, weighted
      >>> penalty = weighted((1.0, lazily(r1, every=16)))
      >>> critic, x = lambda x: x @ jnp.array([3.0, 4.0]), jnp.zeros((1, 2))  # R1 is 12.5
      >>> [penalty(critic, x, x, jax.random.key(0), step).item() for step in (0, 1, 16)]
      [200.0, 0.0, 200.0]
    """
    if every < 1:
        raise ValueError(f"every is {every}, expected a period of at least 1 step")
    if every == 1:
        return penalty
    regularizer = as_regularizer(penalty)

    def apply(
        state: PyTree, forward: ForwardPass, key: PRNGKey, step: Array
    ) -> tuple[Array, PyTree]:
        def compute() -> tuple[Array, PyTree]:
            value, new_state = regularizer.apply(state, forward, key, step)
            return every * value, new_state

        shape = jax.eval_shape(compute)[0]
        zero = jnp.zeros(shape.shape, shape.dtype)
        return jax.lax.cond(step % every == 0, compute, lambda: (zero, state))

    lazy = Regularizer(regularizer.init, apply)
    return lazy if isinstance(penalty, Regularizer) else _as_penalty(lazy)


def mean_per_example(x: Array) -> Array:
    """Mean over all axes but the first, `[batch, ...] -> [batch]`."""
    return jnp.mean(x.reshape(x.shape[0], -1), axis=1)


def checked_sides(of: Side | Sequence[Side]) -> tuple[Side, ...]:
    """The examples that a term is of, as a tuple: `real`, `fake` or both.

    Raises:
      ValueError: there is another name, one twice, or none.
    """
    sides = (of,) if isinstance(of, str) else tuple(of)
    if not sides or len(set(sides)) < len(sides) or not {"real", "fake"}.issuperset(sides):
        raise ValueError(f"of is {of!r}, expected real, fake or both")
    return sides


def check_features(forward: ForwardPass, name: str) -> None:
    """Raises a `ValueError` if the discriminator returned logits only."""
    if forward.fake_features is None:
        raise ValueError(f"{name} needs a discriminator that returns (logits, features)")


def check_latents(forward: ForwardPass, name: str) -> None:
    """Raises a `ValueError` if the generator has no latents, as in image-to-image translation."""
    if forward.latents is None:
        raise ValueError(f"{name} needs a generator of latents, and this game has none")


def _as_penalty(regularizer: Regularizer) -> Penalty:
    """Inverse of `as_regularizer`, for a regulariser composed of penalties."""

    def penalty(critic: Critic, real: Array, fake: Array, key: PRNGKey, step: Array) -> Array:
        forward = ForwardPass(critic, None, None, real, fake, None, None)  # type: ignore[arg-type]
        return regularizer.apply(regularizer.init(), forward, key, step)[0]

    return penalty
