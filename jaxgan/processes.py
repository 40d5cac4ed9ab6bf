"""What one process of several knows: who it is, what all hold, and what all agree on.

Every process runs the same program over the same global arrays, and reads its own rows of the data.
Where there is one process, all of this is trivial.
"""

import jax
import numpy as np
from jax.experimental import multihost_utils

from jaxgan.types import PyTree

# After so many seconds without a sign of life a process counts as dead, and ends the others.
HEARTBEAT_SECONDS = 10


def connect(coordinator: str | None, num_processes: int | None, process_id: int | None) -> None:
    """Joins the processes of a run; before jax is used for anything else.

    Args:
      coordinator: `HOST:PORT` of process 0.
      num_processes: how many there are.
      process_id: which one this is, from 0 on. All three may be `None` on TPU pods and under SLURM,
        Open MPI and Kubernetes, where jax finds them out.

    Reference:
      https://docs.jax.dev/en/latest/multi_process.html
    """
    jax.distributed.initialize(
        coordinator, num_processes, process_id, heartbeat_timeout_seconds=HEARTBEAT_SECONDS
    )


def is_main() -> bool:
    """Whether this is the process that prints, draws and writes logs."""
    return jax.process_index() == 0


def wait_for_all(what: str) -> None:
    """Returns when every process has come here."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(what)


def any_of_all(flag: bool) -> bool:
    """Whether the flag is set in any process; all of them have to ask."""
    if jax.process_count() == 1:
        return flag
    return bool(np.any(multihost_utils.process_allgather(np.array(flag))))


def to_host(tree: PyTree) -> PyTree:
    """Every leaf whole, as a NumPy array; all processes have to ask, if a leaf is spread over them.

    Example:
      >>> import jax.numpy as jnp
      >>> to_host({"a": jnp.ones(2)})
      {'a': array([1., 1.], dtype=float32)}
    """

    def whole(x: object) -> np.ndarray:
        spread = isinstance(x, jax.Array) and not (x.is_fully_addressable or x.is_fully_replicated)
        return np.asarray(multihost_utils.process_allgather(x, tiled=True) if spread else x)

    return jax.tree.map(whole, tree)
