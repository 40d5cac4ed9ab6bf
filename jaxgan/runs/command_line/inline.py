"""Images in the terminal, where it can show them (`pip install 'jaxgan[terminal]'`)."""

import sys
from pathlib import Path

from jaxgan.data.decode import SUFFIXES


def show(path: Path) -> None:
    """Shows an image file in a terminal with sixels or kitty's graphics protocol, if this is one.

    Such are kitty, iTerm2, WezTerm, Konsole, foot, Windows Terminal and xterm.
    """
    if path.suffix.lower() not in SUFFIXES or not (sys.stdin.isatty() and sys.stdout.isatty()):
        return
    try:  # it asks the terminal what it can do
        from textual_image.renderable import Image, SixelImage, TGPImage
    except ImportError:
        return
    if Image in (SixelImage, TGPImage):
        from rich.console import Console

        Console().print(Image(path))
