"""Atomic replacement of files."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replacing(path: str | Path, *, sync: bool = True) -> Iterator[Path]:
    """A path of the same extension, whose file takes the place of `path` when it is complete.

    Whatever ends the program leaves the old file or the new one. `save_grid`, `save_animation` and
    all files of runs are written in this way.

    Args:
      path: the file to write, or a link to it.
      sync: whether to wait until the content is on the disk, so that it survives a loss of power.

    Returns:
      A context of the path to write.

    Raises:
      FileNotFoundError: the folder of the file does not exist.

    Example:
      >>> import tempfile
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     path = Path(folder) / "curves.txt"
      ...     _ = path.write_text("old")
      ...     with replacing(path) as part:
      ...         _ = part.write_text("new")
      ...         before = path.read_text()
      ...     before, path.read_text()
      ('old', 'new')
    """
    path = Path(os.path.realpath(path))
    if not path.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {path.parent}; create it, for {path.name}")
    part = path.with_name(f".{path.name}")
    try:
        yield part
        if sync:
            with part.open("rb+") as file:
                os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
