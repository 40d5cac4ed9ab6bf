"""Safe reader of PyTorch files (`.pth`) without PyTorch.

Such a file is a pickle, which can call any function by name. This reader resolves only the names on
a short allow-list; any other name is an error.
"""

import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from jaxgan.errors import WeightsError

MAGIC = 0x1950A86A20F9469CFC6C  # of files before PyTorch 1.6
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


def load_torch(path: str | Path) -> dict[str, np.ndarray]:
    """Reads the state dict of a file written by `torch.save`, in the zip or the pre-1.6 format.

    Args:
      path: the file.

    Returns:
      Arrays by name.

    Raises:
      WeightsError: the file is missing, damaged, or not written by `torch.save`; it holds anything
        but a dict of tensors; or it calls a function that is not on the allow-list.

    Example:
      >>> load_torch("pt_inception-2015-12-05-6726825d.pth")["fc.bias"].shape  # doctest: +SKIP
      (1008,)
    """
    try:
        with open(path, "rb") as file:
            zipped = zipfile.is_zipfile(file)
            file.seek(0)
            state_dict = _load_zip(file) if zipped else _load_legacy(file)
        if not isinstance(state_dict, dict):
            raise ValueError(f"it holds a {type(state_dict).__name__}, expected a dict of tensors")
        return {name: tensor.array() for name, tensor in state_dict.items()}
    except (
        OSError,
        EOFError,
        ValueError,
        KeyError,
        TypeError,
        IndexError,
        AttributeError,
        struct.error,
        zipfile.BadZipFile,
        pickle.UnpicklingError,
    ) as error:
        raise WeightsError(
            f"{path} is no PyTorch file of tensors that can be read: {error}"
        ) from None


class _Storage:
    """Flat array of a tensor's data, which may be filled after it is referenced."""

    def __init__(self, dtype: type) -> None:
        self.dtype = dtype
        self.values: np.ndarray = np.zeros(0, dtype)


class _Tensor(NamedTuple):
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def array(self) -> np.ndarray:
        values = self.storage.values[self.offset :]
        last = sum((n - 1) * step for n, step in zip(self.shape, self.strides, strict=True))
        if 0 not in self.shape and not 0 <= last < len(values):
            raise ValueError("a tensor reaches beyond its data")
        strides = [step * values.itemsize for step in self.strides]
        return np.lib.stride_tricks.as_strided(values, self.shape, strides).copy()


def _tensor(
    storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: Any
) -> _Tensor:
    return _Tensor(storage, offset, shape, strides)


def _parameter(tensor: _Tensor, *_: Any) -> _Tensor:
    return tensor


ALLOWED: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    **{("torch", name): dtype for name, dtype in DTYPES.items()},
}


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: IO[bytes], storage: Callable[[type, str, int], _Storage]) -> None:
        super().__init__(file)
        self._storage = storage

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ALLOWED:
            raise pickle.UnpicklingError(f"it calls {module}.{name}, which is not allowed")
        return ALLOWED[module, name]

    def persistent_load(self, pid: Any) -> _Storage:
        kind, dtype, key, _, size = pid[:5]
        if kind != "storage":
            raise pickle.UnpicklingError(f"it refers to a {kind}, expected storages")
        return self._storage(dtype, str(key), size)


def _load_zip(file: IO[bytes]) -> Any:
    """Reads the format since 1.6: `<name>/data.pkl`, and `<name>/data/<key>` for every storage."""
    with zipfile.ZipFile(file) as archive:
        names = archive.namelist()
        pickled = next(name for name in names if name.endswith("data.pkl"))
        folder = pickled.removesuffix("data.pkl")
        if f"{folder}byteorder" in names and archive.read(f"{folder}byteorder") != b"little":
            raise ValueError("its byte order is not little-endian")
        storages: dict[str, _Storage] = {}

        def storage(dtype: type, key: str, size: int) -> _Storage:
            if key not in storages:
                storages[key] = _Storage(dtype)
                storages[key].values = np.frombuffer(archive.read(f"{folder}data/{key}"), dtype)
            return storages[key]

        with archive.open(pickled) as stream:
            return _Unpickler(stream, storage).load()


def _load_legacy(file: IO[bytes]) -> Any:
    """Reads the older format: pickles of magic, version, system, object and keys; then storages."""
    storages: dict[str, _Storage] = {}

    def storage(dtype: type, key: str, size: int) -> _Storage:
        return storages.setdefault(key, _Storage(dtype))

    magic, _, _, state_dict, keys = (_Unpickler(file, storage).load() for _ in range(5))
    if magic != MAGIC:
        raise ValueError("it does not begin with PyTorch's magic number")
    for key in keys:
        (size,) = struct.unpack("<q", file.read(8))
        dtype = np.dtype(storages[key].dtype)
        storages[key].values = np.frombuffer(file.read(size * dtype.itemsize), dtype)
    return state_dict
