"""Interpreter of the pickles in PyTorch files, which calls nothing.

A pickle is a program that can call any function by name. This interpreter knows only the operations
that `torch.save` writes for a dict of tensors, and three names: an ordered dict, a tensor and a
parameter. It has no way to call anything else, and a limit on the number of operations.
"""

import math
import pickle
import pickletools
from collections.abc import Callable
from typing import IO, Any, NamedTuple

import numpy as np

MAX_OPERATIONS = 4_000_000  # about 40 per tensor
MAX_RANK = 64  # NumPy's
DTYPES = {
    "DoubleStorage": np.float64,
    "FloatStorage": np.float32,
    "HalfStorage": np.float16,
    "LongStorage": np.int64,
    "IntStorage": np.int32,
    "ShortStorage": np.int16,
    "CharStorage": np.int8,
    "ByteStorage": np.uint8,
    "BoolStorage": np.bool_,
}


class Storage:
    """Flat array of a tensor's data, which may be filled after it is referenced."""

    def __init__(self, dtype: type) -> None:
        self.dtype = np.dtype(dtype)
        self.values: np.ndarray = np.zeros(0, dtype)


class Tensor(NamedTuple):
    """A tensor: a view of a storage."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def array(self) -> np.ndarray:
        """A copy of the tensor's values.

        Raises:
          ValueError: it has more values than its storage, or reaches beyond it.
        """
        values, size = self.storage.values, math.prod(self.shape)
        if size == 0:
            return np.zeros(self.shape, values.dtype)
        if size > len(values):
            raise ValueError(f"a tensor has {size} values, and its data {len(values)}")
        steps = [(n - 1) * step for n, step in zip(self.shape, self.strides, strict=True)]
        if self.offset + sum(steps) >= len(values):
            raise ValueError("a tensor reaches beyond its data")
        strides = [step * values.itemsize for step in self.strides]
        return np.lib.stride_tricks.as_strided(
            values[self.offset :], self.shape, strides, writeable=False
        ).copy()


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> Tensor:
    if not isinstance(storage, Storage) or not 0 <= len(shape) == len(strides) <= MAX_RANK:
        raise pickle.UnpicklingError("it has a tensor without storage, shape or strides")
    for number in (offset, *shape, *strides):
        if not isinstance(number, int) or not 0 <= number < 2**62:
            raise pickle.UnpicklingError(
                "it has a tensor with a negative or too large shape, stride or offset"
            )
    return Tensor(storage, offset, tuple(shape), tuple(strides))


def _parameter(tensor: Any, *_: Any) -> Tensor:
    if not isinstance(tensor, Tensor):
        raise pickle.UnpicklingError("it has a non-tensor as a parameter")
    return tensor


CALLS: dict[str, Callable[..., Any]] = {
    "collections.OrderedDict": lambda: {},
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": _parameter,
}
NAMES = {*CALLS, *(f"torch.{name}" for name in DTYPES)}


class _Name(str):
    """A name that a pickle refers to; a separate class, so that no string is taken for one."""


def load(stream: IO[bytes], storage: Callable[[type, str], Storage]) -> Any:
    """The value of the next pickle in a stream.

    Args:
      stream: the stream, left behind the pickle's end.
      storage: `(dtype, key) -> Storage`, called for every reference to a storage.

    Raises:
      pickle.UnpicklingError: it does anything but build dicts, lists and tuples of texts, numbers
        and tensors.
      Exception: it is damaged; of any type.
    """
    machine = _Machine(storage)
    for count, (operation, argument, _) in enumerate(pickletools.genops(stream)):
        if operation.name == "STOP":
            return machine.stack.pop()
        if count > MAX_OPERATIONS:
            raise pickle.UnpicklingError(f"it has more than {MAX_OPERATIONS} operations")
        machine.step(operation.name, argument)
    raise AssertionError("genops ends with STOP or an error")


class _Machine:
    """Stack machine of a pickle."""

    MARK = object()

    def __init__(self, storage: Callable[[type, str], Storage]) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.storage = storage

    def step(self, name: str, argument: Any) -> None:
        """One operation."""
        push, pop = self.stack.append, self.stack.pop
        match name:
            case "PROTO" | "FRAME":
                pass
            case "BINUNICODE" | "SHORT_BINUNICODE" | "BININT" | "BININT1" | "BININT2":
                push(argument)
            case "LONG1" | "BINFLOAT":
                push(argument)
            case "NONE" | "NEWTRUE" | "NEWFALSE":
                push({"NONE": None, "NEWTRUE": True, "NEWFALSE": False}[name])
            case "EMPTY_DICT" | "EMPTY_LIST" | "EMPTY_TUPLE":
                push({"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple}[name]())
            case "MARK":
                push(self.MARK)
            case "TUPLE":
                push(tuple(self.marked()))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                push(tuple(reversed([pop() for _ in range(int(name[-1]))])))
            case "BINPUT" | "LONG_BINPUT":
                self.memo[argument] = self.stack[-1]
            case "MEMOIZE":
                self.memo[len(self.memo)] = self.stack[-1]
            case "BINGET" | "LONG_BINGET":
                push(self.memo[argument])
            case "APPEND":
                self.extend([pop()])
            case "APPENDS":
                self.extend(self.marked())
            case "SETITEM":
                self.update([pop(), pop()][::-1])
            case "SETITEMS":
                self.update(self.marked())
            case "GLOBAL":
                push(self.name(*argument.split(" ", 1)))
            case "STACK_GLOBAL":
                push(self.name(*[pop(), pop()][::-1]))
            case "BINPERSID":
                push(self.referenced(pop()))
            case "REDUCE":
                arguments, called = pop(), pop()
                if not isinstance(called, _Name) or called not in CALLS:
                    raise pickle.UnpicklingError("it calls a non-function")
                push(CALLS[called](*arguments))
            case "BUILD":
                pop()  # attributes, such as the versions of modules
            case _:
                raise pickle.UnpicklingError(f"it has the operation {name}, which is not allowed")

    def marked(self) -> list[Any]:
        """Pops all that is above the last mark, and the mark."""
        values = []
        while (value := self.stack.pop()) is not self.MARK:
            values.append(value)
        return values[::-1]

    def extend(self, values: list[Any]) -> None:
        if not isinstance(self.stack[-1], list):
            raise pickle.UnpicklingError("it appends to a non-list")
        self.stack[-1].extend(values)

    def update(self, values: list[Any]) -> None:
        target, keys = self.stack[-1], values[::2]
        if not isinstance(target, dict) or not all(isinstance(key, (str, int)) for key in keys):
            raise pickle.UnpicklingError("it has a dict of other keys than texts and numbers")
        target.update(zip(keys, values[1::2], strict=True))

    def name(self, module: Any, name: Any) -> _Name:
        if f"{module}.{name}" not in NAMES:
            raise pickle.UnpicklingError(f"it calls {module}.{name}, which is not allowed")
        return _Name(f"{module}.{name}")

    def referenced(self, identity: Any) -> Storage:
        kind, dtype, key = identity[:3]
        if kind != "storage" or not isinstance(dtype, _Name) or not isinstance(key, str):
            raise pickle.UnpicklingError("it refers to something else than a storage")
        return self.storage(DTYPES[dtype.removeprefix("torch.")], key)
