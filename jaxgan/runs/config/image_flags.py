"""Flags of experiments on the user's image files, in addition to those of all experiments.

Nothing here imports jax, so that `--help` is shown without loading jax. None of these flags may
change when a run is resumed, because the training data depend on them.
"""

import dataclasses
import re
from typing import TYPE_CHECKING, Literal

from jaxgan.errors import DataError
from jaxgan.runs.config.experiment import Config

if TYPE_CHECKING:
    from jaxgan.data import Dataset, ImageOptions


@dataclasses.dataclass(frozen=True)
class ImageFlags(Config):
    """Flags of experiments that read image files."""

    background: str = "white"
    """Image files: colour behind transparent pixels and around contained images, such as black or
    #ff8800."""
    channels: Literal[1, 3] | None = None
    """Image files: 1 (grey) or 3 (colour); by default 1 if all files are grey, and else 3."""
    held_out: float = 0.1
    """Image files: share that is held out where there is no folder of test images, by the content
    of the files, so that adding files moves none."""
    skip_bad: bool = False
    """Image files: leave out those that cannot be read, instead of ending with an error."""

    def refuse(self, *names: str, data: str) -> None:
        """A `DataError` if one of these flags, which have no meaning for some data, is given."""
        defaults = type(self)()
        for name in names:
            if getattr(self, name) != getattr(defaults, name):
                raise DataError(f"--{name.replace('_', '-')} does not apply to {data}")

    def image_options(self) -> "ImageOptions":
        """The flags as `data.load_pairs` and `data.load_sets` take them."""
        from jaxgan.data import ImageOptions

        return ImageOptions(
            background=self.background,
            channels=self.channels,
            held_out=self.held_out,
            skip_bad=self.skip_bad,
        )


@dataclasses.dataclass(frozen=True)
class SizedImageFlags(ImageFlags):
    """Flags of experiments that read image files into images of one size."""

    size: str | None = None
    """Image files: size in pixels that all are resized to, N or HEIGHTxWIDTH; needed if their sizes
    differ."""
    resize: Literal["cover", "contain", "stretch"] = "cover"
    """Image files: how they get the size. cover: scale, and cut in the centre. contain: scale, and
    pad with the background. stretch: ignore the aspect ratio."""
    x_flips: bool = False
    """Mirror training images horizontally with probability 1/2, anew in every epoch."""

    def image_options(self) -> "ImageOptions":
        """The flags as `data.load` takes them."""
        options = super().image_options()
        return dataclasses.replace(options, size=parse_size(self.size), resize=self.resize)

    def load_data(self) -> "Dataset":
        """The images that `make` takes."""
        from jaxgan import data

        options = self.image_options()
        return data.load(self.data, data_dir=self.data_dir, image_options=options)


def parse_size(text: str | None) -> tuple[int, int] | None:
    """`(height, width)` from N or HEIGHTxWIDTH.

    Raises:
      DataError: the text is neither.

    Example:
      >>> parse_size("64"), parse_size("48x64")
      ((64, 64), (48, 64))
    """
    if text is None:
        return None
    match = re.fullmatch(r"([1-9]\d{0,4})(?:x([1-9]\d{0,4}))?", text)
    if match is None:
        raise DataError(f"--size is {text}, expected N or HEIGHTxWIDTH, such as 64 or 48x64")
    return int(match[1]), int(match[2] or match[1])
