"""Files: where they can be written, and whole or not at all."""

import os
from collections.abc import Collection
from pathlib import Path

from jaxgan.errors import UserError


def check_place(path: Path, *, endings: Collection[str] = ()) -> None:
    """Makes sure that a file can be written, before it is computed; makes its folder if need be.

    Args:
      path: the file.
      endings: those that it may have, such as `.png`; any if there are none.

    Raises:
      UserError: it is a folder, has another ending, or its folder cannot be made or written to.
    """
    if path.is_dir():
        raise UserError(f"{path} is a folder; give a file in it")
    if endings and path.suffix.lower() not in endings:
        raise UserError(f"{path} ends with none of {', '.join(sorted(endings))}; choose one")
    make_folder(path.parent)


def make_folder(folder: Path) -> None:
    """Makes a folder if need be, and makes sure that files can be written into it.

    Args:
      folder: the folder.

    Raises:
      UserError: it cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"{folder} cannot be made a folder ({error.strerror}); choose another place"
        ) from None
    if not os.access(folder, os.W_OK):
        raise UserError(f"{folder} cannot be written to; choose another place")


def write_atomically(path: Path, text: str) -> None:
    """Writes a text file at once: a program killed meanwhile leaves the file as it was before."""
    part = path.with_name(path.name + ".part")
    part.write_text(text)
    os.replace(part, path)
