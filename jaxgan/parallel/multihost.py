"""What one process of several knows: who it is, what all hold, and what all agree on.

Every process runs the same program over the same global arrays, and reads its own rows of the data.
Where there is one process, all of this is trivial.
"""

import contextlib
import ctypes
import os
import signal
import sys
import traceback
from collections.abc import Iterator
from typing import NoReturn

import jax
import numpy as np
from jax.experimental import multihost_utils

from jaxgan.errors import UserError
from jaxgan.types import PyTree

# After so many seconds without a sign of life a process counts as dead, and ends the others.
HEARTBEAT_SECONDS = 10
LOST = (
    "another process of this run has ended or cannot be reached; the newest checkpoint is whole: "
    "start all processes again"
)


def initialize(coordinator: str | None, num_processes: int | None, process_id: int | None) -> None:
    """Joins the processes of a run; before jax is used for anything else.

    Args:
      coordinator: `HOST:PORT` of process 0.
      num_processes: how many there are.
      process_id: which one this is, from 0 on. All three may be `None` on TPU pods and under SLURM,
        Open MPI and Kubernetes, where jax finds them out.

    Raises:
      UserError: they are `None`, and jax does not find them out.

    Reference:
      https://docs.jax.dev/en/latest/multi_process.html
    """
    try:
        jax.distributed.initialize(
            coordinator, num_processes, process_id, heartbeat_timeout_seconds=HEARTBEAT_SECONDS
        )
    except ValueError as error:
        raise UserError(
            f"jax does not find the other processes ({error}); "
            "give --coordinator, --num-processes and --process-id"
        ) from None


def is_main() -> bool:
    """Whether this is the process that prints, draws and writes logs."""
    return jax.process_index() == 0


def barrier(what: str) -> None:
    """Returns when every process has come here."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(what)


def all_reduce_max(number: int) -> int:
    """The largest of what all processes say; all of them have to ask."""
    if jax.process_count() == 1:
        return number
    return int(np.max(multihost_utils.process_allgather(np.array(number))))


@contextlib.contextmanager
def shutdown_on_error() -> Iterator[None]:
    """Ends one of several processes at once, and in one line, when it or another one fails.

    An orderly end would wait for the others, which may be waiting for this one.
    """
    if jax.process_count() == 1:
        yield
        return
    libc, previous = ctypes.CDLL(None), ctypes.c_void_p
    libc.signal.restype = previous
    before = libc.signal(signal.SIGABRT, _ON_ABORT)
    try:
        yield
    except UserError as error:
        _end(str(error), error.exit_status)
    except jax.errors.JaxRuntimeError as error:
        _end(f"{LOST} ({str(error).splitlines()[0][:200]})", 1)
    except Exception:
        traceback.print_exc()
        _end("this process of the run failed, see above; start all processes again", 1)
    finally:
        libc.signal(signal.SIGABRT, previous(before))


def _end(message: str, status: int) -> NoReturn:
    print(f"error: {message}", file=sys.stderr, flush=True)
    os._exit(status)


# When a process is lost, libraries below jax often abort the others from a thread of their own: no
# exception comes to Python, and a handler of Python's `signal` would run too late.
_ON_ABORT = ctypes.CFUNCTYPE(None, ctypes.c_int)(lambda number: _end(LOST, 1))


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
