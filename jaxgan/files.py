"""Files that are whole or not there."""

import os
from pathlib import Path


def write_whole(path: Path, text: str) -> None:
    """Writes a text file at once: a program killed meanwhile leaves the file as it was before."""
    part = path.with_name(path.name + ".part")
    part.write_text(text)
    os.replace(part, path)
