"""Multi-process runs: initialisation, collectives between processes, and shutdown on errors.

Every process runs the same program over the same global arrays, and reads its own rows of the data.
With a single process, these functions do nothing, or return their argument.
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

# Seconds without a heartbeat after which a process counts as dead, and the others are ended.
HEARTBEAT_SECONDS = 10
LOST = (
    "another process of this run has ended or cannot be reached; the newest checkpoint is intact: "
    "restart all processes"
)


def initialize(coordinator: str | None, num_processes: int | None, process_id: int | None) -> None:
    """Connects the processes of a run; call it before any other use of jax.

    Args:
      coordinator: `HOST:PORT` of process 0.
      num_processes: number of processes.
      process_id: index of this process, from 0. All three may be `None` on TPU pods and under
        SLURM, Open MPI and Kubernetes, where jax detects them.

    Raises:
      UserError: they are `None`, and jax cannot detect them.

    Reference:
      https://docs.jax.dev/en/latest/multi_process.html

    Example:
      >>> initialize("10.0.0.1:1234", num_processes=2, process_id=0)  # doctest: +SKIP
    """
    try:
        jax.distributed.initialize(
            coordinator, num_processes, process_id, heartbeat_timeout_seconds=HEARTBEAT_SECONDS
        )
    except ValueError as error:
        raise UserError(
            f"jax cannot detect the other processes ({error}); "
            "give --coordinator, --num-processes and --process-id"
        ) from None


def is_main() -> bool:
    """Whether this is process 0, which prints, plots and writes logs.

    Returns:
      True in one process of the run.

    Example:
      >>> is_main()  # the only process
      True
    """
    return jax.process_index() == 0


def barrier(what: str) -> None:
    """Blocks until every process has reached the barrier of this name.

    Args:
      what: name of the barrier, the same in all processes.

    Example:
      >>> if is_main():  # doctest: +SKIP
      ...     path.write_text(text)
      >>> barrier("the file is written")  # doctest: +SKIP
    """
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(what)


def all_reduce_max(number: int) -> int:
    """The maximum of `number` over all processes; a collective, which all processes must call.

    Args:
      number: this process's number.

    Returns:
      The maximum, the same in all processes.

    Example:
      >>> all_reduce_max(7)  # of a single process
      7
    """
    if jax.process_count() == 1:
        return number
    return int(np.max(multihost_utils.process_allgather(np.array(number))))


@contextlib.contextmanager
def shutdown_on_error() -> Iterator[None]:
    """Exits immediately, with a one-line error, if this or another process of the run fails.

    A regular exit would wait for the other processes, which may be waiting for this one. With a
    single process, exceptions propagate as usual.

    Example:
      >>> with shutdown_on_error():  # doctest: +SKIP
      ...     state = jaxgan.fit(algorithm, batches, key=key, num_steps=1000)
    """
    if jax.process_count() == 1:
        yield
        return
    libc, handler_type = ctypes.CDLL(None), ctypes.c_void_p
    libc.signal.restype = handler_type
    previous = libc.signal(signal.SIGABRT, _ON_ABORT)
    try:
        yield
    except UserError as error:
        _exit(str(error), error.exit_status)
    except jax.errors.JaxRuntimeError as error:
        _exit(f"{LOST} ({str(error).splitlines()[0][:200]})", 1)
    except Exception:
        traceback.print_exc()
        _exit("this process of the run failed, see above; restart all processes", 1)
    finally:
        libc.signal(signal.SIGABRT, handler_type(previous))


def _exit(message: str, status: int) -> NoReturn:
    print(f"error: {message}", file=sys.stderr, flush=True)
    os._exit(status)


# When a process is lost, libraries below jax often abort the others from their own threads. No
# exception reaches Python then, and a handler of Python's `signal` module would run too late.
_ON_ABORT = ctypes.CFUNCTYPE(None, ctypes.c_int)(lambda signum: _exit(LOST, 1))


def to_host(tree: PyTree) -> PyTree:
    """Copies every leaf to the host as a NumPy array, all-gathering leaves sharded over processes.

    If a leaf is sharded over processes, all of them must call it.

    Args:
      tree: pytree of arrays.

    Returns:
      A tree of that structure, of NumPy arrays of global shape.

    Example:
      >>> import jax.numpy as jnp
      >>> to_host({"a": jnp.ones(2)})
      {'a': array([1., 1.], dtype=float32)}
    """

    def gather(x: object) -> np.ndarray:
        sharded = isinstance(x, jax.Array) and not (x.is_fully_addressable or x.is_fully_replicated)
        return np.asarray(multihost_utils.process_allgather(x, tiled=True) if sharded else x)

    return jax.tree.map(gather, tree)
