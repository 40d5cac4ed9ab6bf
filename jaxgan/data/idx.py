"""Reader and writer of the idx format of the original MNIST files, plain or gzipped.

Two zero bytes, a type byte (8: unsigned byte), a rank byte, one big-endian uint32 per axis, then
the values in row-major order (LeCun, Cortes and Burges, http://yann.lecun.com/exdb/mnist/).
"""

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from jaxgan.errors import DataError

UNSIGNED_BYTE = 8


def read_idx(path: Path, *, shape: tuple[int | None, ...] | None = None) -> np.ndarray:
    """Reads one idx file of unsigned bytes.

    Args:
      path: the file; decompressed if its content is gzipped, regardless of its name.
      shape: expected shape, with `None` for an axis of any length; not checked if `None`.

    Returns:
      `uint8[shape]`.

    Raises:
      DataError: the file is truncated, too long, not an idx file of unsigned bytes, or has another
        shape.

    Example:
      >>> read_idx(Path("train-images-idx3-ubyte.gz")).shape  # doctest: +SKIP
      (60000, 28, 28)
    """
    content = _content(path)
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] != UNSIGNED_BYTE:
        raise DataError(
            f"{path}: starts with the bytes {content[:4].hex(' ') or '(none)'}, expected 00 00 08 "
            "and the rank: this is not an idx file of unsigned bytes; replace the file"
        )
    rank = content[3]
    header = 4 + 4 * rank
    if len(content) < header:
        raise DataError(
            f"{path}: has {len(content)} bytes, expected a header of {header} bytes; it is "
            "truncated: download it again"
        )
    file_shape = struct.unpack(f">{rank}I", content[4:header])
    size = math.prod(file_shape)
    if len(content) - header != size:
        raise DataError(
            f"{path}: holds {len(content) - header} values, expected {size} for the shape "
            f"{file_shape} in its header; it is truncated or damaged: download it again"
        )
    if shape is not None and not _matches(file_shape, shape):
        raise DataError(f"{path}: holds an array of shape {file_shape}, expected {_format(shape)}")
    return np.frombuffer(content, np.uint8, offset=header).reshape(file_shape)


def write_idx(path: Path, array: np.ndarray) -> None:
    """Writes a `uint8` array of any shape as an idx file, gzipped if the name ends in `.gz`."""
    header = struct.pack(f">HBB{array.ndim}I", 0, UNSIGNED_BYTE, array.ndim, *array.shape)
    content = header + np.ascontiguousarray(array, np.uint8).tobytes()
    path.write_bytes(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)


def _content(path: Path) -> bytes:
    raw = path.read_bytes()
    if raw[:2] != b"\x1f\x8b":
        return raw
    try:
        return gzip.decompress(raw)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(
            f"{path}: {len(raw)} bytes of gzip that do not decompress ({error}); it is truncated "
            "or damaged: download it again"
        ) from None


def _matches(shape: tuple[int, ...], expected: tuple[int | None, ...]) -> bool:
    return len(shape) == len(expected) and all(
        e in (None, n) for n, e in zip(shape, expected, strict=True)
    )


def _format(shape: tuple[int | None, ...]) -> str:
    return "(" + ", ".join("any" if n is None else str(n) for n in shape) + ")"
