"""Output files: checks before they are computed, and atomic writes."""

import tempfile
from collections.abc import Collection
from pathlib import Path

from jaxgan.errors import UserError
from jaxgan.files import replacing


def check_place(path: Path, *, endings: Collection[str] = ()) -> None:
    """Checks that a file can be written, before it is computed; creates its folder if needed.

    Args:
      path: the file.
      endings: allowed file name extensions, such as `.png`; any if empty.

    Raises:
      UserError: the path is a folder or has another extension, or its folder cannot be created or
        written to.
    """
    if path.is_dir():
        raise UserError(f"{path} is a folder; give a file in it")
    if endings and path.suffix.lower() not in endings:
        raise UserError(f"{path} ends with none of {', '.join(sorted(endings))}; choose one")
    make_folder(path.parent)


def make_folder(folder: Path, *, what: str = "path") -> None:
    """Creates a folder if needed, and checks that files can be written to it.

    Args:
      folder: the folder.
      what: what the user is to change if that fails, such as the name of a flag.

    Raises:
      UserError: the folder cannot be created or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"the folder {folder} cannot be created ({error.strerror}); choose another {what}"
        ) from None
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise UserError(
            f"{folder} cannot be written to ({error.strerror}); choose another {what}"
        ) from None


def write_atomically(path: Path, text: str) -> None:
    """Writes a text file atomically (`replacing`), in UTF-8."""
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")


def of_steps(folder: Path, ending: str, *, after: int = -1) -> list[Path]:
    """The files `step_<number><ending>` of a folder, by increasing number, of steps after one.

    Args:
      folder: the folder, which need not exist.
      ending: such as `.png`, or `.*` for all.
      after: the step.
    """
    names = [(path.stem.removeprefix("step_"), path) for path in folder.glob(f"step_*{ending}")]
    files = [(int(number), path) for number, path in names if number.isdecimal()]
    return [path for number, path in sorted(files) if number > after]


def put_aside(path: Path) -> Path:
    """Renames a damaged file to `<name>.damaged`, in place of an earlier one; the new path."""
    return path.replace(path.with_name(path.name + ".damaged"))
