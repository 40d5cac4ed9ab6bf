"""Cache of decoded images: memory-mapped arrays in files, whose digests are verified on every use.

    $XDG_CACHE_HOME/jaxgan/images/<key>.npy    uint8[n, height, width, channels]
    $XDG_CACHE_HOME/jaxgan/images/<key>.json   its SHA-256, and what was found when it was made

For images that are not kept, only the second file exists.

The folder may be deleted at any time. Equal keys have equal contents, so that several processes may
write one file.
"""

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import PIL

from jaxgan.errors import DataError

DECODING = 2  # raised with every change of what `decode` makes of a file


def folder() -> Path:
    """The folder of the cache, in `$XDG_CACHE_HOME` or `~/.cache`."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    return cache / "jaxgan" / "images"


def key_of(fingerprint: str) -> str:
    """Name of the entry of these files and options, decoded by these versions."""
    versions = f"decoding {DECODING} Pillow {PIL.__version__}"
    return hashlib.sha256(f"{fingerprint} {versions}".encode()).hexdigest()


def read(key: str) -> tuple[np.ndarray, dict[str, Any]] | None:
    """A cached array, mapped into memory, and its facts; `None` if it is absent or damaged."""
    array, found = _paths(key)[0], read_facts(key)
    try:
        if found is None or _sha256(array) != found["sha256"]:
            return None
        return np.asarray(np.load(array, mmap_mode="r")), found
    except (OSError, ValueError, KeyError):
        return None


def read_facts(key: str) -> dict[str, Any] | None:
    """The facts of an entry; `None` if they are absent or damaged."""
    try:
        found = json.loads(_paths(key)[1].read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and {"conversions", "damaged"} <= set(found) else None


def write_facts(key: str, facts: Mapping[str, Any]) -> None:
    """Writes facts without an array, if it can: they only save time."""
    with contextlib.suppress(OSError):
        folder().mkdir(parents=True, exist_ok=True)
        with _replacing(_paths(key)[1]) as file:
            file.write(json.dumps(facts, indent=2).encode())


def write(
    key: str, shape: tuple[int, ...], rows: Iterable[np.ndarray], facts: Mapping[str, Any]
) -> None:
    """Writes an array row by row, and its facts; readers see all of it or nothing.

    Args:
      key: name of the entry.
      shape: shape of a row.
      rows: `uint8` arrays of this shape; their number need not be known.
      facts: what is written next to the array, as JSON, after the rows are computed.

    Raises:
      DataError: the folder cannot be written to.
    """
    array, record = _paths(key)
    try:
        folder().mkdir(parents=True, exist_ok=True)
        with _replacing(array) as file:
            _write_header(file, 0, shape)
            count = 0
            for row in rows:
                file.write(np.ascontiguousarray(row, np.uint8).data)
                count += 1
            file.seek(0)
            _write_header(file, count, shape)
        facts = {"sha256": _sha256(array), **facts}
        with _replacing(record) as file:
            file.write(json.dumps(facts, indent=2).encode())
    except OSError as error:
        raise DataError(
            f"the cache of decoded images in {folder()} cannot be written ({error.strerror}); free "
            "space there, or set XDG_CACHE_HOME to another folder"
        ) from None


def _paths(key: str) -> tuple[Path, Path]:
    return folder() / f"{key}.npy", folder() / f"{key}.json"


def _write_header(file: BinaryIO, count: int, shape: tuple[int, ...]) -> None:
    """The header of a `.npy` file, whose length NumPy makes independent of the number of rows."""
    header = {"descr": "|u1", "fortran_order": False, "shape": (count, *shape)}
    np.lib.format.write_array_header_1_0(file, header)


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    """A temporary file that takes the place of `path` once it is complete."""
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as file:
        try:
            yield cast(BinaryIO, file)
            file.close()
            os.replace(file.name, path)
        except BaseException:
            os.unlink(file.name)
            raise


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
