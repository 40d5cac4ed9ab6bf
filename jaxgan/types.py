"""Aliases, no logic.

| alias | what it stands for |
|---|---|
| `Params` | one player's learned leaves, a pytree of arrays |
| `ModelState` | one player's mutable leaves (batch statistics, ...), a pytree |
| `ByPlayer` | parameters or model states of all players, `{player: pytree}` |
| `Batch` | a minibatch, `{name: array[batch, ...]}`; its names are fixed words, see below |
| `Examples` | a data set in memory, `{name: numpy array[n, ...]}` |
| `Metrics` | `{name: scalar}` of one player, or `{player: {name: scalar}}` of a round |
| `Schedule` | a function of the step, as in optax |

A batch's names are `image` and `label`, `source` and `target` (pairs), `x` and `y` (two unpaired
sets). Images are float in [-1, 1], laid out `[batch, height, width, channel]`.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

Array = jax.Array
PRNGKey = jax.Array  # a typed key, as `jax.random.key` makes it
PyTree = Any
Params = PyTree
ModelState = PyTree
ByPlayer = Mapping[str, PyTree]
Batch = Mapping[str, Array]
Examples = Mapping[str, np.ndarray]
Metrics = Mapping[str, Any]
Schedule = Callable[[Array], Any]
