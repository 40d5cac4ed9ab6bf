"""Decoding of one image file into upright grey or RGB bytes, whatever the file holds.

EXIF rotation, transparency, palettes, CMYK, 1 and 16 bits per value and animations are
converted, and what was converted is reported. Only the formats below are opened: any other content,
such as PostScript in a file named `.png`, is refused before a decoder sees it.
"""

import contextlib
import dataclasses
import hashlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from PIL import ExifTags, Image, ImageColor, ImageOps, UnidentifiedImageError

from jaxgan.errors import DataError, ImageError

FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF")
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".gif"})
SEVERAL_FRAMES = ("GIF", "PNG", "WEBP", "TIFF")  # a JPEG's others are previews
PNG_ORIENTATION = (b"eXIf", b"Raw profile type exif", b"XML:com.adobe.xmp")
FILTER = Image.Resampling.BICUBIC  # Pillow widens it when it shrinks, so that it is antialiased

Resize = Literal["cover", "contain", "stretch"]
Side = Literal["left", "right"]


@dataclasses.dataclass(frozen=True)
class ImageOptions:
    """How image files become arrays.

    Attributes:
      size: `(height, width)` of all images; `None` to keep the files' sizes.
      resize: how images get the size. `cover`: scaled until they cover it, and cut in the centre.
        `contain`: scaled until they fit into it, and padded with the background. Both keep the
        aspect ratio. `stretch`: scaled to it, ignoring the aspect ratio. The filter is bicubic,
        and antialiased.
      background: colour behind transparent pixels and around contained images: a CSS name or
        `#rrggbb`.
      channels: 1 (grey) or 3 (RGB); if `None`, 1 if all files are grey and 3 otherwise.
      held_out: share of the images that are held out where there is no folder of test images.
      skip_bad: whether to leave out files that cannot be read, instead of raising an error.

    Raises:
      DataError: a value is not one of these.

    Example:
      >>> ImageOptions(size=(64, 64), background="black").resize
      'cover'
    """

    size: tuple[int, int] | None = None
    resize: Resize = "cover"
    background: str = "white"
    channels: Literal[1, 3] | None = None
    held_out: float = 0.1
    skip_bad: bool = False

    def __post_init__(self) -> None:
        if self.size is not None and min(self.size) < 1:
            raise DataError(f"the size is {self.size}, expected a height and a width of at least 1")
        if self.resize not in ("cover", "contain", "stretch"):
            raise DataError(f"resize is {self.resize}, expected cover, contain or stretch")
        if self.channels not in (None, 1, 3):
            raise DataError(f"the number of channels is {self.channels}, expected 1 or 3")
        if not 0 < self.held_out < 1:
            raise DataError(f"the held-out share is {self.held_out}, expected between 0 and 1")
        try:
            ImageColor.getrgb(self.background)
        except ValueError:
            raise DataError(
                f"the background is {self.background}, expected a colour such as white or #ff8800"
            ) from None


DEFAULTS = ImageOptions()


class Header(NamedTuple):
    """What is known of an image file before its pixels are decoded.

    Attributes:
      digest: SHA-256 of the file's content.
      size: `(height, width)` of the upright image.
      gray: whether it has no colours: by its mode, not by its pixels.
    """

    digest: str
    size: tuple[int, int]
    gray: bool


class Decoded(NamedTuple):
    """An image, and what was converted.

    Attributes:
      pixels: `uint8[height, width, channels]`.
      conversions: such as `rotated by EXIF`, in the order in which they were done.
    """

    pixels: np.ndarray
    conversions: tuple[str, ...]


def read_header(file: Path, options: ImageOptions = DEFAULTS) -> Header:
    """Reads the header of an image file.

    Raises:
      ImageError: the file is not an image in one of `FORMATS`, or has more pixels than Pillow's
        limit `Image.MAX_IMAGE_PIXELS`.
    """
    with _readable(file):
        content = _content(file)
        with _opened(content) as image:
            if image.format == "PNG" and any(name in content for name in PNG_ORIENTATION):
                image.load()  # it may be behind the pixels
            orientation = _orientation(image)
            if orientation > 1 and image.format == "TIFF":
                image.load()  # which makes it upright
            elif orientation > 4:
                return Header(_sha256(content), image.size, _is_gray(image, options))
            return Header(_sha256(content), image.size[::-1], _is_gray(image, options))


def decode(
    file: Path, options: ImageOptions, *, channels: int, side: Side | None = None
) -> Decoded:
    """Decodes an image file.

    Args:
      file: the file.
      options: background, size and resize.
      channels: 1 or 3.
      side: half of the image to return, of a pair side by side; the whole image if `None`.

    Raises:
      ImageError: the file is not an image in one of `FORMATS`, or is damaged, or its values have
        no known range (32 bits).

    Example:
      >>> decode(Path("cat.jpg"), ImageOptions(), channels=3).conversions  # doctest: +SKIP
      ('rotated by EXIF',)
    """
    done: list[str] = []
    with _readable(file), _opened(_content(file)) as opened:
        if opened.format in SEVERAL_FRAMES and getattr(opened, "is_animated", False):
            done.append("first of several frames")
        image = _in_8_bits(_upright(opened, done), options, done)
        if channels == 1 and image.mode == "RGB":
            done.append("colour made grey")
        elif channels == 3 and image.mode == "L":
            done.append("grey made RGB")
        image = image.convert("L" if channels == 1 else "RGB")
        if side is not None:
            left = image.width // 2 if side == "right" else 0
            image = image.crop((left, 0, left + image.width // 2, image.height))
        if options.size is not None and image.size != options.size[::-1]:
            done.append(f"resized by {options.resize}")
            image = _fitted(image, options)
        return Decoded(np.asarray(image).reshape(image.height, image.width, channels), (*done,))


def _fitted(image: Image.Image, options: ImageOptions) -> Image.Image:
    """A grey or RGB image of the size of the options."""
    assert options.size is not None
    height, width = options.size
    if options.resize == "stretch":
        return image.resize((width, height), FILTER)
    if options.resize == "cover":
        return ImageOps.fit(image, (width, height), FILTER)
    scale = min(height / image.height, width / image.width)
    # ImageOps.pad does the same, but for slivers, of which it leaves no pixel.
    inner = [max(1, round(side * scale)) for side in image.size]
    canvas = Image.new(
        image.mode, (width, height), ImageColor.getcolor(options.background, image.mode)
    )
    corner = (round((width - inner[0]) / 2), round((height - inner[1]) / 2))
    canvas.paste(image.resize((inner[0], inner[1]), FILTER), corner)
    return canvas


def _upright(image: Image.Image, done: list[str]) -> Image.Image:
    orientation = _orientation(image)  # of a TIFF, gone after it is loaded
    image.load()
    if orientation <= 1:
        orientation = _orientation(image)  # of a PNG, which may have it at its end
    if orientation <= 1:
        return image
    done.append("rotated by EXIF")
    return ImageOps.exif_transpose(image)


def _orientation(image: Image.Image) -> int:
    """Orientation by EXIF, 1 (upright) to 8."""
    keys = ("exif", "Raw profile type exif", "XML:com.adobe.xmp", "xmp")
    if image.format == "PNG" and not any(key in image.info for key in keys):
        return 1  # Pillow would decode the pixels in search of it
    orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    return orientation if orientation in range(1, 9) else 1


def _in_8_bits(image: Image.Image, options: ImageOptions, done: list[str]) -> Image.Image:
    """The image in mode L or RGB."""
    gray = _is_gray(image, options)
    if _has_16_bits(image):
        done.append("from 16 bits")
    if image.mode.startswith("I;16") or image.mode == "I":
        image = _from_16_bits(image)
    elif image.mode in ("P", "PA"):
        done.append("from a palette")
    elif image.mode == "1":
        done.append("from 1 bit")
    elif image.mode not in ("L", "LA", "La", "RGB", "RGBA", "RGBa"):
        done.append(f"from {image.mode}")
    if image.has_transparency_data:
        image = _composited(image.convert("RGBA"), options.background, done)
    elif not gray:
        image = image.convert("RGB")
    return image.convert("L") if gray else image


def _composited(image: Image.Image, background: str, done: list[str]) -> Image.Image:
    """An RGBA image on a background, `alpha * colour + (1 - alpha) * background`, rounded."""
    rgba = np.asarray(image, np.int32)
    alpha = rgba[..., 3:]
    if (alpha == 255).all():
        return image.convert("RGB")
    done.append(f"alpha composited on {background}")
    behind = np.array(ImageColor.getrgb(background)[:3], np.int32)
    mixed = (alpha * rgba[..., :3] + (255 - alpha) * behind + 127) // 255
    return Image.fromarray(mixed.astype(np.uint8))


def _from_16_bits(image: Image.Image) -> Image.Image:
    """A grey image of 16 bits in 8: 65535 is 257 times 255."""
    values = np.asarray(image).astype(np.int64)
    gray = Image.fromarray(((values + 128) // 257).astype(np.uint8))
    if "transparency" in image.info:  # the value that is transparent, in 16 bits
        opaque = np.where(values == image.info["transparency"], 0, 255).astype(np.uint8)
        gray.putalpha(Image.fromarray(opaque))
    return gray


def _has_16_bits(image: Image.Image) -> bool:
    """Whether the file has 16 bits per value; Pillow takes the upper 8 of colours by itself."""
    return image.mode.startswith("I;16") or image.mode == "I" or bool(image.info.get(DEEP))


def _is_gray(image: Image.Image, options: ImageOptions) -> bool:
    if image.mode in ("P", "PA"):
        palette = np.array(image.getpalette("RGB")).reshape(-1, 3)
        gray = bool((palette == palette[:, :1]).all())
    else:
        gray = image.mode in ("1", "L", "LA", "La", "I") or image.mode.startswith("I;16")
    red, green, blue, *_ = ImageColor.getrgb(options.background)
    return gray and (red == green == blue or not image.has_transparency_data)


DEEP = "jaxgan: 16 bits"  # an entry of `image.info`


def _content(file: Path) -> bytes:
    if not file.is_file():  # a pipe would be waited for
        raise ValueError("it is not a file, or leads to none")
    if not (content := file.read_bytes()):
        raise ValueError("it is empty")
    return content


@contextlib.contextmanager
def _opened(content: bytes) -> Iterator[Image.Image]:
    with Image.open(io.BytesIO(content), formats=FORMATS) as image:
        limit = Image.MAX_IMAGE_PIXELS
        if limit is not None and image.width * image.height > limit:
            raise ValueError(
                f"it has {image.width} x {image.height} pixels, and Pillow's limit is {limit}"
            )
        if image.mode == "F" or (image.mode == "I" and image.format != "PNG"):
            raise ValueError("its values of 32 bits have no known range")
        raw_modes = {str(tile[3]) for tile in getattr(image, "tile", ())}
        image.info[DEEP] = any(";16" in raw_mode for raw_mode in raw_modes)
        if image.format == "PNG" and "transparency" in image.info:
            _scale_transparent_value(image.info, raw_modes)
        yield image


def _scale_transparent_value(info: dict[Any, Any], raw_modes: set[str]) -> None:
    """Makes it one of 8 bits, as Pillow makes the pixels; Pillow leaves it in the file's bits."""
    if "L;2" in raw_modes:
        info["transparency"] = 85 * (info["transparency"] & 3)
    elif "L;4" in raw_modes:
        info["transparency"] = 17 * (info["transparency"] & 15)
    elif "RGB;16B" in raw_modes:  # of which Pillow takes the upper 8
        info["transparency"] = tuple(value >> 8 for value in info["transparency"])


@contextlib.contextmanager
def _readable(file: Path) -> Iterator[None]:
    try:
        yield
    except UnidentifiedImageError:
        why = f"it is none of {', '.join(FORMATS)}"
    except Exception as error:  # of a damaged file, Pillow raises errors of many types
        why = str(error).strip().partition("\n")[0] or type(error).__name__
    else:
        return
    raise ImageError(file, why)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
