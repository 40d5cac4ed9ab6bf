"""Type aliases.

| alias | meaning |
|---|---|
| `Params` | one player's trainable parameters, a pytree of arrays |
| `ModelState` | one player's non-trainable variables (batch statistics, ...), a pytree of arrays |
| `ByPlayer` | parameters or model states of all players, `{player: pytree}` |
| `Batch` | minibatch, `{name: array[batch, ...]}`; the names are fixed, see below |
| `Examples` | data set in memory, `{name: numpy array[n, ...]}` |
| `Metrics` | `{name: scalar}` of one player, or `{player: {name: scalar}}` of a training step |
| `Schedule` | function of the training step, as in optax |

The names in a batch are `image` and `label`, `source` and `target` (paired images), `x` and `y`
(two unpaired domains). Images are floats in [-1, 1] of shape `[batch, height, width, channels]`.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

Array = jax.Array
PRNGKey = jax.Array  # a typed key, from `jax.random.key`
PyTree = Any
Params = PyTree
ModelState = PyTree
ByPlayer = Mapping[str, PyTree]
Batch = Mapping[str, Array]
Examples = Mapping[str, np.ndarray]
Metrics = Mapping[str, Any]
Schedule = Callable[[Array], Any]
