"""Safe reader of PyTorch files (`.pth`) without PyTorch.

Such a file is a pickle, which can call any function by name, and the data that it refers to. The
pickle is interpreted by `torch_pickle`, which calls nothing.
"""

import io
import math
import mmap
import struct
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np

from jaxgan.errors import WeightsError
from jaxgan.weights import torch_pickle
from jaxgan.weights.torch_pickle import Storage, Tensor

MAGIC = 0x1950A86A20F9469CFC6C  # of files before PyTorch 1.6
COPIES = 4  # bytes of all arrays, relative to those of the file; more than 1 if tensors share data


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
        size = _size(Path(path))
        with open(path, "rb") as file:
            zipped = zipfile.is_zipfile(file)
            state_dict = _load_zip(file, size) if zipped else _load_legacy(file)
        if not isinstance(state_dict, dict):
            raise ValueError(f"it holds a {type(state_dict).__name__}, expected a dict of tensors")
        return _arrays(state_dict, limit=COPIES * size)
    except Exception as error:  # of a damaged file, zipfile and pickletools raise many types
        why = str(error).partition("\n")[0][:200] or type(error).__name__
        raise WeightsError(f"{path} is not a readable PyTorch file of tensors: {why}") from None


def _size(path: Path) -> int:
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise ValueError("it is not a file")
    if (size := path.stat().st_size) == 0:
        raise ValueError("it is empty")
    return size


def _arrays(state_dict: dict[Any, Any], *, limit: int) -> dict[str, np.ndarray]:
    for name, tensor in state_dict.items():
        if not isinstance(tensor, Tensor):
            raise ValueError(f"{str(name)[:100]} is a {type(tensor).__name__}, expected a tensor")
    if sum(math.prod(t.shape) * t.storage.dtype.itemsize for t in state_dict.values()) > limit:
        raise ValueError(f"its tensors have more than {COPIES} times the bytes of the file")
    return {str(name): tensor.array() for name, tensor in state_dict.items()}


def _load_zip(file: IO[bytes], size: int) -> Any:
    """Reads the format since 1.6: `<name>/data.pkl`, and `<name>/data/<key>` for every storage."""
    with zipfile.ZipFile(file) as archive:
        entries = {entry.filename: entry for entry in archive.infolist()}
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries.values()):
            raise ValueError("it is compressed, and PyTorch's files are not")
        if sum(entry.file_size for entry in entries.values()) > size:
            raise ValueError("its entries are larger than the file")
        pickled = next((name for name in entries if name.endswith("data.pkl")), None)
        if pickled is None:
            raise ValueError("it has no data.pkl")
        folder = pickled.removesuffix("data.pkl")
        if f"{folder}byteorder" in entries and archive.read(f"{folder}byteorder") != b"little":
            raise ValueError("its byte order is not little-endian")
        storages: dict[str, Storage] = {}

        def storage(dtype: type, key: str) -> Storage:
            if key not in storages:
                storages[key] = Storage(dtype)
                storages[key].values = np.frombuffer(archive.read(f"{folder}data/{key}"), dtype)
            return storages[key]

        return torch_pickle.load(io.BytesIO(archive.read(pickled)), storage)


def _load_legacy(file: IO[bytes]) -> Any:
    """Reads the older format: pickles of magic, version, system, object and keys; then storages."""
    storages: dict[str, Storage] = {}

    def storage(dtype: type, key: str) -> Storage:
        return storages.setdefault(key, Storage(dtype))

    # Of a file, `read(n)` allocates n bytes, however few there are; of a map it does not.
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        load = lambda: torch_pickle.load(content, storage)  # type: ignore[arg-type]
        if load() != MAGIC:
            raise ValueError("it does not begin with PyTorch's magic number")
        _, _, state_dict, keys = (load() for _ in range(4))
        for key in keys:
            (count,) = struct.unpack("<q", content.read(8))
            dtype = storages[key].dtype
            if not 0 <= count * dtype.itemsize <= len(content) - content.tell():
                raise ValueError("its data are cut short")
            storages[key].values = np.frombuffer(content.read(count * dtype.itemsize), dtype)
        return state_dict
