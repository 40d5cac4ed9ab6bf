"""The user's image files: decoded alike whatever they hold, refused, split, cached and mirrored."""

import dataclasses
import json
import shutil
import struct
import sys
import unicodedata
import zlib
from pathlib import Path
from types import ModuleType

import jax
import numpy as np
import pytest
from PIL import EpsImagePlugin, Image, ImageOps

from experiments import autoencoder, mnist, pix2pix, translation
from jaxgan import data
from jaxgan.data import ImageOptions, cache, load_folder
from jaxgan.data.decode import DEFAULTS, decode, read_header
from jaxgan.data.translation import Jitter, resized_examples
from jaxgan.errors import DataError, ImageError
from jaxgan.runs import Config, SizedImageFlags, cli
from jaxgan.runs.config.experiment import resumable_fields
from jaxgan.runs.config.image_flags import parse_size
from tests.support import command, exit_status, size_of, write_images

EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n0 0 8 8 rectfill\nshowpage\n%%EOF\n"


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def noise(height: int = 6, width: int = 8, channels: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)


def picture(*shape: int, seed: int = 0) -> Image.Image:
    pixels = noise(*shape, seed=seed)
    return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)


def saved(path: Path, image: Image.Image, **flags: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **flags)
    return path


def numbered(folder: Path, count: int, *, start: int = 0, shape=(6, 8, 3)) -> None:
    """So many different images of one size."""
    for i in range(start, start + count):
        saved(folder / f"{i:03}.png", picture(*shape, seed=i))


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


# ---- what a file holds


@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_rotation_by_exif(tmp_path, ending, orientation):
    flags = {"exif": turned(orientation)} | ({"lossless": True} if ending == "webp" else {})
    file = saved(tmp_path / f"a.{ending}", picture(), **flags)
    found = decode(file, DEFAULTS, channels=3)
    with Image.open(file) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    np.testing.assert_array_equal(found.pixels, expected)
    assert found.conversions == (("rotated by EXIF",) if orientation > 1 else ())
    assert read_header(file).size == expected.shape[:2]
    by_hand = {1: noise(), 3: np.rot90(noise(), 2), 6: np.rot90(noise(), -1), 8: np.rot90(noise())}
    if ending != "jpg" and orientation in by_hand:
        np.testing.assert_array_equal(found.pixels, by_hand[orientation])


def by_hand(color: np.ndarray, alpha: np.ndarray, background: tuple[int, int, int]) -> np.ndarray:
    share = alpha[..., None] / 255
    return np.round(share * color + (1 - share) * np.array(background)).astype(int)


@pytest.mark.parametrize(
    ("name", "background"), [("white", (255, 255, 255)), ("#ff8000", (255, 128, 0))]
)
def test_alpha_is_composited(tmp_path, name, background):
    rgba = noise(channels=4)
    file = saved(tmp_path / "rgba.png", Image.fromarray(rgba))
    found = decode(file, ImageOptions(background=name), channels=3)
    expected = by_hand(rgba[..., :3], rgba[..., 3], background)
    assert np.abs(found.pixels - expected).max() <= 1  # of ties
    assert np.mean(found.pixels != expected) < 0.01
    assert found.conversions == (f"alpha composited on {name}",)
    gray = np.repeat(rgba[..., :1], 3, axis=-1)
    file = saved(tmp_path / "la.png", Image.fromarray(rgba[..., [0, 3]], "LA"))
    found = decode(file, ImageOptions(background=name), channels=3)
    assert np.abs(found.pixels - by_hand(gray, rgba[..., 3], background)).max() <= 1
    # Grey on a colour is a colour.
    assert read_header(file, ImageOptions(background=name)).gray == (name == "white")


def test_opaque_alpha_is_no_conversion(tmp_path):
    file = saved(tmp_path / "a.png", picture().convert("RGBA"))
    found = decode(file, DEFAULTS, channels=3)
    np.testing.assert_array_equal(found.pixels, noise())
    assert found.conversions == ()


def test_palettes(tmp_path):
    """Also those of which an entry is transparent, and those of greys."""
    palette = Image.new("P", (3, 2))
    palette.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    palette.putdata([0, 1, 2, 2, 1, 0])
    colors = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]])
    expected = colors[[[0, 1, 2], [2, 1, 0]]]
    file = saved(tmp_path / "a.png", palette)
    found = decode(file, DEFAULTS, channels=3)
    np.testing.assert_array_equal(found.pixels, expected)
    assert found.conversions == ("from a palette",)
    assert not read_header(file).gray
    file = saved(tmp_path / "b.png", palette, transparency=1)
    found = decode(file, ImageOptions(background="black"), channels=3)
    np.testing.assert_array_equal(found.pixels, np.where(expected == [0, 255, 0], 0, expected))
    assert found.conversions == ("from a palette", "alpha composited on black")
    palette.putpalette([9, 9, 9, 100, 100, 100, 200, 200, 200])
    file = saved(tmp_path / "c.png", palette)
    assert read_header(file).gray
    found = decode(file, DEFAULTS, channels=1)
    np.testing.assert_array_equal(found.pixels[..., 0], [[9, 100, 200], [200, 100, 9]])
    assert found.conversions == ("from a palette",)


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_16_bits_are_divided_by_257(tmp_path, ending):
    values = np.concatenate(
        [[0, 128, 129, 257, 32768, 65406, 65407, 65535], np.arange(0, 65536, 997)]
    )
    values = values[:72].reshape(6, 12).astype(np.uint16)
    file = saved(tmp_path / f"a.{ending}", Image.fromarray(values), exif=turned(8))
    found = decode(file, DEFAULTS, channels=1)
    expected = np.rot90(np.floor(values / 257 + 0.5))
    np.testing.assert_array_equal(found.pixels[..., 0], expected)
    assert found.conversions == ("rotated by EXIF", "from 16 bits")
    assert read_header(file).gray


def png(values: np.ndarray, *chunks: tuple[bytes, bytes], late: tuple = (), bits: int = 0) -> bytes:
    """A PNG file, grey or RGB, with chunks before and after the pixels; of `bits` if given."""
    height, width = values.shape[:2]
    big = values.astype(values.dtype.newbyteorder(">")).reshape(height, -1)
    if bits:  # less than 8
        of_bits = np.unpackbits(big[..., None], axis=-1)[..., 8 - bits :]
        big = np.packbits(of_bits.reshape(height, -1), axis=-1)
    rows = b"".join(b"\0" + row.tobytes() for row in big)
    kind = (bits or 8 * values.itemsize, 2 if values.ndim == 3 else 0)
    header = struct.pack(">IIBBBBB", width, height, *kind, 0, 0, 0)
    all_chunks = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(rows)), *late, (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in all_chunks
    )


def test_16_bits_of_colour_and_with_a_transparent_value(tmp_path):
    """Of colours, Pillow takes the upper 8 bits: a level from the nearest, at most."""
    rng = np.random.default_rng(0)
    values = rng.integers(0, 65536, (6, 8, 3)).astype(np.uint16)
    (tmp_path / "a.png").write_bytes(png(values))
    found = decode(tmp_path / "a.png", DEFAULTS, channels=3)
    assert np.abs(found.pixels - values / 257).max() <= 1
    assert found.conversions == ("from 16 bits",)
    gray = values[..., 0]
    chunk = (b"tRNS", struct.pack(">H", int(gray[2, 3])))
    (tmp_path / "b.png").write_bytes(png(gray, chunk))
    found = decode(tmp_path / "b.png", ImageOptions(background="#505050"), channels=1)
    expected = np.where(gray == gray[2, 3], 0x50, np.round(gray / 257))
    np.testing.assert_array_equal(found.pixels[..., 0], expected)
    assert found.conversions == ("from 16 bits", "alpha composited on #505050")


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_a_transparent_value_of_few_bits(tmp_path, bits):
    """It is one of the file's values, which are spread over 0 to 255."""
    values = np.random.default_rng(0).integers(0, 1 << bits, (5, 9)).astype(np.uint8)
    largest = (1 << bits) - 1
    for value in range(largest + 1):
        chunk = (b"tRNS", struct.pack(">H", value))
        (tmp_path / "a.png").write_bytes(png(values, chunk, bits=bits))
        found = decode(tmp_path / "a.png", ImageOptions(background="#505050"), channels=1)
        expected = np.where(values == value, 0x50, values.astype(int) * 255 // largest)
        np.testing.assert_array_equal(found.pixels[..., 0], expected)


def test_a_transparent_colour_of_16_bits(tmp_path):
    values = np.random.default_rng(0).integers(0, 65536, (6, 8, 3)).astype(np.uint16)
    chunk = (b"tRNS", struct.pack(">HHH", *map(int, values[2, 3])))
    (tmp_path / "a.png").write_bytes(png(values, chunk))
    found = decode(tmp_path / "a.png", ImageOptions(background="red"), channels=3)
    is_red = (found.pixels == [255, 0, 0]).all(axis=-1)
    assert np.argwhere(is_red).tolist() == [[2, 3]]


def test_exif_behind_the_pixels(tmp_path):
    exif = (b"eXIf", turned(6).tobytes().removeprefix(b"Exif\0\0"))
    (tmp_path / "a.png").write_bytes(png(noise(), late=(exif,)))
    found = decode(tmp_path / "a.png", DEFAULTS, channels=3)
    np.testing.assert_array_equal(found.pixels, np.rot90(noise(), -1))
    assert found.conversions == ("rotated by EXIF",)
    assert read_header(tmp_path / "a.png").size == (8, 6)


def test_other_depths_and_colours(tmp_path):
    bits = noise(channels=1)[..., 0] > 127
    found = decode(saved(tmp_path / "1.bmp", Image.fromarray(bits)), DEFAULTS, channels=1)
    np.testing.assert_array_equal(found.pixels[..., 0], 255 * bits)
    assert found.conversions == ("from 1 bit",)
    file = saved(tmp_path / "cmyk.tif", picture().convert("CMYK"))
    found = decode(file, DEFAULTS, channels=3)
    np.testing.assert_array_equal(found.pixels, noise())  # (255 - c) (255 - k) with k = 0
    assert found.conversions == ("from CMYK",)
    found = decode(saved(tmp_path / "a.png", picture()), DEFAULTS, channels=1)
    luma = np.round(noise() @ [0.299, 0.587, 0.114])
    assert np.abs(found.pixels[..., 0] - luma).max() <= 1
    assert found.conversions == ("colour made grey",)
    found = decode(saved(tmp_path / "g.png", picture(6, 8, 1)), DEFAULTS, channels=3)
    np.testing.assert_array_equal(found.pixels, np.repeat(noise(channels=1), 3, axis=-1))
    assert found.conversions == ("grey made RGB",)


@pytest.mark.parametrize("ending", ["gif", "png", "webp", "tif"])
def test_the_first_frame_of_an_animation(tmp_path, ending):
    frames = [Image.new("RGB", (8, 6), color) for color in ("red", "blue")]
    flags = {"lossless": True} if ending == "webp" else {}
    file = saved(
        tmp_path / f"a.{ending}", frames[0], save_all=True, append_images=frames[1:], **flags
    )
    found = decode(file, DEFAULTS, channels=3)
    np.testing.assert_array_equal(found.pixels, np.broadcast_to([255, 0, 0], (6, 8, 3)))
    assert "first of several frames" in found.conversions


def test_options_that_are_wrong():
    for fields, message in (
        ({"size": (0, 3)}, "expected a height and a width of at least 1"),
        ({"resize": "squash"}, "expected cover, contain or stretch"),
        ({"background": "whiite"}, "expected a colour such as white"),
        ({"channels": 4}, "expected 1 or 3"),
        ({"held_out": 0.0}, "expected between 0 and 1"),
    ):
        with pytest.raises(DataError, match=message):
            ImageOptions(**fields)
    assert (parse_size(None), parse_size("7"), parse_size("7x9")) == (None, (7, 7), (7, 9))
    for text in ("0", "7x", "x7", "7*9", "-3", "7x9x3", "a"):
        with pytest.raises(DataError, match="expected N or HEIGHTxWIDTH"):
            parse_size(text)


# ---- sizes

SIZES = [(16, 16), (7, 23), (24, 9), (33, 40)]


@pytest.mark.parametrize("resize", ["cover", "contain", "stretch"])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_uniform_image_stays_uniform(tmp_path, resize, channels):
    for i, (height, width) in enumerate([(5, 31), (64, 20), (1, 300), (17, 17)]):
        image = Image.new("RGB", (width, height), "#3c7")
        file = saved(tmp_path / f"{i}.png", image)
        for size in SIZES:
            options = ImageOptions(size=size, resize=resize, background="#3c7")
            pixels = decode(file, options, channels=channels).pixels
            assert pixels.shape == (*size, channels)
            assert (pixels == pixels[0, 0]).all()


def test_resized_as_by_pillow(tmp_path):
    for i, shape in enumerate([(20, 33, 3), (41, 15, 3), (18, 18, 3), (9, 8, 3)]):
        image = picture(*shape, seed=i)
        file = saved(tmp_path / f"{i}.png", image)
        for size in SIZES:
            turned_size, bicubic = size[::-1], Image.Resampling.BICUBIC
            for resize, expected in (
                ("cover", ImageOps.fit(image, turned_size, bicubic)),
                ("contain", ImageOps.pad(image, turned_size, bicubic, "#123456")),
                ("stretch", image.resize(turned_size, bicubic)),
            ):
                options = ImageOptions(size=size, resize=resize, background="#123456")
                found = decode(file, options, channels=3)
                np.testing.assert_array_equal(found.pixels, np.asarray(expected))
                assert found.conversions == (f"resized by {resize}",)


def test_without_scaling_cover_is_the_centre_and_contain_a_frame(tmp_path):
    pixels = noise(12, 30)
    file = saved(tmp_path / "a.png", Image.fromarray(pixels))
    cover = decode(file, ImageOptions(size=(12, 10)), channels=3).pixels
    np.testing.assert_array_equal(cover, pixels[:, 10:20])
    options = ImageOptions(size=(20, 30), resize="contain", background="black")
    contain = decode(file, options, channels=3).pixels
    np.testing.assert_array_equal(contain, np.pad(pixels, [(4, 4), (0, 0), (0, 0)]))
    assert decode(file, ImageOptions(size=(12, 30)), channels=3).conversions == ()


def test_thin_lines_are_antialiased(tmp_path):
    """Of stripes of one pixel the mean is left, and no stripes."""
    stripes = np.zeros((64, 64), np.uint8)
    stripes[:, ::2] = 255
    file = saved(tmp_path / "a.png", Image.fromarray(stripes))
    pixels = decode(file, ImageOptions(size=(16, 16)), channels=1).pixels
    assert np.abs(pixels[:, 2:-2].astype(int) - 127.5).max() < 3


def test_sizes_that_differ_need_a_size(tmp_path):
    numbered(tmp_path / "train", 3)
    numbered(tmp_path / "test", 3, start=9)
    saved(tmp_path / "test" / "odd.jpg", picture(8, 6), exif=turned(6))  # 6 x 8, upright
    assert data.load("folder", data_dir=tmp_path).image_shape == (6, 8, 3)
    saved(tmp_path / "test" / "z.png", picture(7, 8))
    with pytest.raises(
        DataError,
        match=r"z\.png has 7 x 8 pixels .height x width. and 000\.png has 6 x 8; .*--size",
    ):
        data.load("folder", data_dir=tmp_path)
    found = data.load("folder", data_dir=tmp_path, image_options=ImageOptions(size=(4, 4)))
    assert found.image_shape == (4, 4, 3)
    assert found.record["conversions"] == {"rotated by EXIF": 1, "resized by cover": 8}


def test_channels_of_a_folder(tmp_path):
    numbered(tmp_path / "train", 3, shape=(6, 8, 1))
    numbered(tmp_path / "test", 2, start=5, shape=(6, 8, 1))
    assert data.load("folder", data_dir=tmp_path).image_shape == (6, 8, 1)
    assert load_folder(tmp_path / "test").channels == 1
    saved(tmp_path / "test" / "colour.png", picture())
    found = data.load("folder", data_dir=tmp_path)
    assert found.image_shape == (6, 8, 3)
    assert found.record["conversions"] == {"grey made RGB": 5}
    gray = data.load("folder", data_dir=tmp_path, image_options=ImageOptions(channels=1))
    assert gray.image_shape == (6, 8, 1)
    assert gray.record["conversions"] == {"colour made grey": 1}
    assert "converted: 1 colour made grey" in gray.source


# ---- files that cannot be read


def write_bad(folder: Path, kind: str) -> Path:
    file = folder / ("bad.jpg" if kind == "truncated" else "bad.png")
    if kind == "truncated":
        saved(file, picture(60, 80))
        file.write_bytes(file.read_bytes()[:-1500])
    elif kind == "bomb":
        saved(file, Image.new("1", (1001, 1001)))
    elif kind == "float":
        Image.fromarray(np.ones((6, 8), np.float32)).save(file, "TIFF")
    elif kind == "link":
        file.symlink_to(folder / "nowhere.png")
    else:
        contents = {"text": b"hello", "empty": b"", "eps": EPS, "ppm": b"P6 1 1 255\n\0\0\0"}
        file.write_bytes(contents[kind])
    return file


BAD = {
    "text": "it is none of PNG, JPEG",
    "empty": "it is empty",
    "truncated": "truncated",
    "bomb": "1001 x 1001 pixels, and Pillow's limit is 1000000",
    "float": "32 bits",
    "link": "it is not a file",
    "eps": "it is none of PNG, JPEG",
    "ppm": "it is none of PNG, JPEG",  # of which Pillow could read much more
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_files(tmp_path, kind, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1_000_000)
    for name in ("Ghostscript", "EpsImageFile"):
        monkeypatch.setattr(EpsImagePlugin, name, lambda *args, **kwargs: pytest.fail("opened"))
    numbered(tmp_path / "good" / "train", 4)
    numbered(tmp_path / "good" / "test", 2, start=9)
    shutil.copytree(tmp_path / "good", tmp_path / "bad")
    file = write_bad(tmp_path / "bad" / "train", kind)
    options = ImageOptions(size=(6, 8))
    for load in (
        lambda options: data.load("folder", data_dir=tmp_path / "bad", image_options=options),
        lambda options: load_folder(tmp_path / "bad" / "train", options),
    ):
        with pytest.raises(ImageError) as error:
            load(options)
        message = str(error.value)
        assert message.startswith(f"{file} cannot be read: ")
        assert BAD[kind] in message
        assert "\n" not in message
    skip = ImageOptions(size=(6, 8), skip_bad=True)
    good = data.load("folder", data_dir=tmp_path / "good", image_options=options)
    for _ in ("decoded", "from the cache"):
        found = data.load("folder", data_dir=tmp_path / "bad", image_options=skip)
        np.testing.assert_array_equal(found.train["image"], good.train["image"])
        assert found.fingerprint == good.fingerprint
        assert found.record["left_out"] == [file.name]
        assert "left out: 1 that cannot be read" in found.source
    pictures = load_folder(tmp_path / "bad" / "train", skip)
    assert (len(pictures), pictures.left_out) == (4, (file.name,))
    with pytest.raises(ImageError):  # the cache does not hide it
        data.load("folder", data_dir=tmp_path / "bad", image_options=options)


def test_nothing_but_bad_files(tmp_path):
    for split in ("train", "test"):
        (tmp_path / split).mkdir()
        write_bad(tmp_path / split, "truncated")
    options = ImageOptions(size=(6, 8), skip_bad=True)
    with pytest.raises(
        DataError, match=r"none of 1 image files can be read; the first: .*truncated"
    ):
        data.load("folder", data_dir=tmp_path, image_options=options)
    with pytest.raises(DataError, match="none of 1 image files can be read"):
        load_folder(tmp_path / "train", options)


# ---- folders


def test_class_folders_are_labels(tmp_path):
    """Sorted by name, in any script; hidden files are none, and links are followed."""
    names = ["Äpfel", "dog", "ねこ"]
    for label, name in enumerate(sorted(names)):
        numbered(tmp_path / "train" / name, 3, start=10 * label)
        numbered(tmp_path / "test" / name / "deep er", 2, start=10 * label + 5)
    for name in (".hidden.png", "__MACOSX/dog/1.png", ".git/1.png", "dog/notes.txt"):
        (tmp_path / "train" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "train" / name).write_bytes(b"not an image")
    numbered(tmp_path / "elsewhere", 1, start=77)
    (tmp_path / "train" / "dog" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "loop").symlink_to(tmp_path / "elsewhere")
    found = data.load("folder", data_dir=tmp_path)
    assert found.classes == tuple(sorted(names)) == tuple(found.record["classes"])
    assert found.num_classes == 3
    dog = sorted(names).index("dog")
    assert np.bincount(found.train["label"]).tolist() == [3 + (i == dog) for i in range(3)]
    assert np.bincount(found.test["label"]).tolist() == [2, 2, 2]
    for label in range(3):
        of_class = found.train["image"][found.train["label"] == label]
        np.testing.assert_array_equal(of_class[0], noise(seed=10 * label))
    assert any(np.array_equal(image, noise(seed=77)) for image in found.train["image"])
    json.dumps(found.record)


def test_names_are_equal_in_both_forms_of_unicode(tmp_path):
    for form, start in (("NFC", 0), ("NFD", 5)):
        numbered(tmp_path / unicodedata.normalize(form, "Äpfel"), 5, start=start)
    numbered(tmp_path / "Birnen", 20, start=50)
    found = data.load("folder", data_dir=tmp_path, image_options=ImageOptions(held_out=0.4))
    assert found.classes == ("Birnen", unicodedata.normalize("NFC", "Äpfel"))
    both = np.concatenate([found.train["label"], found.test["label"]])
    assert np.bincount(both).tolist() == [20, 10]


def test_layouts_without_train(tmp_path):
    numbered(tmp_path / "flat", 30)
    flat = data.load("folder", data_dir=tmp_path / "flat")
    assert flat.num_classes is None
    assert len(flat.train["image"]) + len(flat.test["image"]) == 30
    shutil.copytree(tmp_path / "flat", tmp_path / "one" / "inside")
    one = data.load("folder", data_dir=tmp_path / "one")  # a single folder is not a class
    assert (one.num_classes, one.fingerprint) == (None, flat.fingerprint)
    assert one.record["test_fingerprint"] == flat.record["test_fingerprint"] != flat.fingerprint


def test_val_has_the_test_images_where_there_is_no_test(tmp_path):
    """As in the data sets of pix2pix that have train/ and val/ alone."""
    numbered(tmp_path / "train", 5)
    numbered(tmp_path / "val", 3, start=50)
    found = data.load("folder", data_dir=tmp_path)
    assert (len(found.train["image"]), len(found.test["image"])) == (5, 3)
    assert found.record["held_out"] is None
    numbered(tmp_path / "test", 2, start=80)
    assert len(data.load("folder", data_dir=tmp_path).test["image"]) == 2
    for letter in "AB":
        numbered(tmp_path / "sets" / f"train{letter}", 5)
        numbered(tmp_path / "sets" / f"val{letter}", 3, start=50)
    for load in (data.load_pairs, data.load_sets):
        for split, count in (("train", 5), ("test", 3), ("val", 3)):
            assert [len(part) for part in load(tmp_path / "sets", split)] == [count, count]


def test_layouts_that_are_wrong(tmp_path):
    numbered(tmp_path / "a" / "train" / "cat", 2)
    numbered(tmp_path / "a" / "train" / "dog", 2)
    numbered(tmp_path / "a" / "test" / "cow", 2)
    with pytest.raises(DataError, match=r"test has the class cow, and .*train has cat, dog"):
        data.load("folder", data_dir=tmp_path / "a")
    numbered(tmp_path / "a" / "train", 1, start=99)
    with pytest.raises(DataError, match=r"train has the image 099\.png next to folders"):
        data.load("folder", data_dir=tmp_path / "a")
    numbered(tmp_path / "b" / "test", 2)
    with pytest.raises(DataError, match="has test/ and no train/"):
        data.load("folder", data_dir=tmp_path / "b")
    with pytest.raises(DataError, match="flags of image files are for --data folder"):
        data.load("digits", image_options=ImageOptions(size=(8, 8)))


@pytest.mark.parametrize("letter", "AB")
def test_pairs_are_of_one_split(tmp_path, letter):
    """Test images of one side alone would be paired with training images of the other."""
    other = "AB".replace(letter, "")
    for folder in ("trainA", "trainB", f"test{letter}"):
        numbered(tmp_path / folder, 30)
    message = f"has test{letter}/ and no test{other}/, expected both or none"
    for split in ("train", "test"):
        with pytest.raises(DataError, match=message):
            data.load_pairs(tmp_path, split)


def test_the_training_images_decide_on_the_layout(tmp_path):
    for folder in ("trainA", "trainB", "testA", "testB"):
        numbered(tmp_path / folder, 3)
    numbered(tmp_path / "val", 2)  # of something else
    (tmp_path / "train").mkdir()  # empty
    for load in (data.load_pairs, data.load_sets):
        for split in ("train", "test"):
            assert [len(part) for part in load(tmp_path, split)] == [3, 3]
    numbered(tmp_path / "train", 1)
    for load in (data.load_pairs, data.load_sets):
        with pytest.raises(DataError, match="has train/ with pairs side by side and trainA/ or"):
            load(tmp_path, "test")
        with pytest.raises(DataError, match=r"folder .*nowhere does not exist; check its path"):
            load(tmp_path / "nowhere", "train")


def test_files_that_are_left_out_have_paths(tmp_path):
    for name in "ab":
        numbered(tmp_path / "train" / name, 2, shape=(6, 16, 3))
        (tmp_path / "train" / name / "bad.jpg").write_bytes(b"hello")
    numbered(tmp_path / "test", 1, start=9, shape=(6, 16, 3))
    a, _ = data.load_pairs(tmp_path, "train", options=ImageOptions(skip_bad=True))
    assert a.left_out == ("train/a/bad.jpg", "train/b/bad.jpg")


def test_sizes_are_those_of_the_decoded_images(tmp_path):
    saved(tmp_path / "train" / "a.jpg", picture(30, 40), exif=turned(6))
    saved(tmp_path / "train" / "b.png", picture(8, 20))
    saved(tmp_path / "test" / "c.png", picture(8, 20))
    halves = data.load_pairs(tmp_path, "train")
    sized = load_folder(tmp_path / "train", ImageOptions(size=(5, 7)))
    for pictures in (load_folder(tmp_path / "train"), *halves, sized):
        assert len(pictures.sizes) == 2
        for i, size in enumerate(pictures.sizes):
            assert pictures.read(i).shape[:2] == size


def test_pictures_are_not_taken_for_mnist(tmp_path):
    numbered(tmp_path / "cat", 1)
    with pytest.raises(DataError, match=r"holds images \(cat/000\.png\) .* give --data folder"):
        data.load("auto", data_dir=tmp_path)


def contents(images: np.ndarray) -> set[bytes]:
    return {image.tobytes() for image in images}


def test_adding_files_moves_none(tmp_path):
    """Nor does renaming; and equal contents are on one side."""
    numbered(tmp_path, 60)
    before = data.load("folder", data_dir=tmp_path)
    for i in range(60):
        (tmp_path / f"{i:03}.png").rename(tmp_path / f"{(7 * i) % 61:03} renamed.png")
    numbered(tmp_path, 60, start=100)
    for i in range(100, 160):
        shutil.copy(tmp_path / f"{i:03}.png", tmp_path / f"copy of {i}.png")
    after = data.load("folder", data_dir=tmp_path)
    assert len(after.train["image"]) + len(after.test["image"]) == 180
    for split in ("train", "test"):
        old, new = (getattr(x, split)["image"] for x in (before, after))
        assert contents(old) <= contents(new)
    assert not contents(after.train["image"]) & contents(after.test["image"])
    small = data.load("folder", data_dir=tmp_path, image_options=ImageOptions(held_out=0.05))
    assert contents(small.test["image"]) < contents(after.test["image"])  # shares are nested


def test_a_share_that_holds_out_nothing(tmp_path):
    numbered(tmp_path, 4)
    with pytest.raises(DataError, match=r"none of the 4 images .* --held-out (0\.\d+)") as error:
        data.load("folder", data_dir=tmp_path, image_options=ImageOptions(held_out=1e-6))
    share = float(str(error.value).rpartition(" ")[2])
    found = data.load("folder", data_dir=tmp_path, image_options=ImageOptions(held_out=share))
    assert len(found.test["image"]) == 1


# ---- fingerprints and the cache


def load(folder: Path, **fields: object) -> data.Dataset:
    return data.load("folder", data_dir=folder, image_options=ImageOptions(**fields))


def test_a_renamed_folder_is_the_same_data(tmp_path, monkeypatch):
    for name in ("cat", "dog"):
        numbered(tmp_path / "a" / "train" / name, 3, start=len(name) + ord(name[0]))
        numbered(tmp_path / "a" / "test" / name, 2, start=10 + ord(name[0]))
    first = load(tmp_path / "a")
    monkeypatch.setattr("jaxgan.data.image_folder.decode", lambda *a, **k: pytest.fail("decoded"))
    (tmp_path / "a").rename(tmp_path / "b")
    (tmp_path / "b" / "train" / "cat").rename(tmp_path / "b" / "train" / "chat")
    (tmp_path / "b" / "test" / "cat").rename(tmp_path / "b" / "test" / "chat")
    second = load(tmp_path / "b")
    assert second.fingerprint == first.fingerprint
    jax.tree.map(np.testing.assert_array_equal, second.train, first.train)
    assert {k: v for k, v in second.record.items() if k not in ("name", "source", "classes")} == {
        k: v for k, v in first.record.items() if k not in ("name", "source", "classes")
    }


def test_other_data_has_another_fingerprint(tmp_path):
    numbered(tmp_path / "train", 3)
    numbered(tmp_path / "test", 2, start=9)
    prints = [load(tmp_path).fingerprint]
    for fields in (
        {"size": (6, 6)},
        {"size": (6, 6), "resize": "contain"},
        {"size": (6, 6), "resize": "contain", "background": "black"},
        {"channels": 1},
    ):
        prints.append(load(tmp_path, **fields).fingerprint)
    test_before = load(tmp_path).record["test_fingerprint"]
    saved(tmp_path / "train" / "001.png", picture(seed=100))
    prints.append(load(tmp_path).fingerprint)
    assert load(tmp_path).record["test_fingerprint"] == test_before
    saved(tmp_path / "test" / "001.png", picture(seed=101))
    assert load(tmp_path).record["test_fingerprint"] != test_before
    # In classes; then one image in another class, without another order.
    shutil.rmtree(tmp_path / "test")
    numbered(tmp_path / "test" / "a", 2, start=9)
    for i, name in enumerate("aab"):
        (tmp_path / "train" / name).mkdir(exist_ok=True)
        (tmp_path / "train" / f"00{i}.png").rename(tmp_path / "train" / name / f"00{i}.png")
    prints.append(load(tmp_path).fingerprint)
    (tmp_path / "train" / "a" / "001.png").rename(tmp_path / "train" / "b" / "001.png")
    prints.append(load(tmp_path).fingerprint)
    assert len(set(prints)) == len(prints)


def damages(folder: Path, how: str) -> None:
    for file in folder.glob("*.json" if how.startswith("record") else "*.npy"):
        content = bytearray(file.read_bytes())
        if how == "a bit":
            content[-1] ^= 1
        elif how == "record is not JSON":
            content = content[:-5]
        elif how == "record is of something else":
            content = b"[]"
        else:
            content = content[:-10]
        file.write_bytes(content)


@pytest.mark.parametrize(
    "how", ["a bit", "short", "record is not JSON", "record is of something else"]
)
def test_a_damaged_cache_is_made_again(tmp_path, how):
    numbered(tmp_path / "train", 3)
    numbered(tmp_path / "test", 2, start=9)
    first = load(tmp_path)
    expected = np.array(first.train["image"])
    del first
    damages(cache.folder(), how)
    np.testing.assert_array_equal(load(tmp_path).train["image"], expected)
    np.testing.assert_array_equal(expected, [noise(seed=i) for i in range(3)])
    assert not list(cache.folder().glob("*.part"))


def test_the_cache_is_mapped_and_not_read(tmp_path):
    numbered(tmp_path / "train", 3)
    numbered(tmp_path / "test", 2, start=9)
    images = load(tmp_path).train["image"]
    assert isinstance(images.base, np.memmap)
    assert images.dtype == np.uint8
    assert not images.flags.writeable


def test_a_failure_leaves_no_cache(tmp_path):
    numbered(tmp_path / "train", 3)
    numbered(tmp_path / "test", 2, start=9)
    write_bad(tmp_path / "train", "truncated")
    with pytest.raises(ImageError):
        load(tmp_path, size=(6, 8))
    assert not list(cache.folder().iterdir())


def test_a_cache_that_cannot_be_written(tmp_path, monkeypatch):
    numbered(tmp_path / "train", 3)
    numbered(tmp_path / "test", 2, start=9)
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(DataError, match=r"cannot be written .*set XDG_CACHE_HOME"):
        load(tmp_path)


# ---- mirrored minibatches


def examples(n: int = 12) -> dict[str, np.ndarray]:
    return {
        "image": np.random.default_rng(1).integers(0, 256, (n, 4, 5, 3), np.uint8),
        "label": np.arange(n, dtype=np.int32),
    }


def test_flips_mirror_half_of_the_images():
    """In another order than the images', and nothing else is changed."""
    mirrored, plain = (
        data.minibatches(examples(), batch_size=4, seed=3, x_flips=flips)(0, 600)
        for flips in (True, False)
    )
    np.testing.assert_array_equal(mirrored["label"], plain["label"])
    same = (mirrored["image"] == plain["image"]).all((2, 3, 4))
    turned = (mirrored["image"] == plain["image"][:, :, :, ::-1]).all((2, 3, 4))
    assert (same ^ turned).all()
    assert abs(turned.mean() - 0.5) < 5 * 0.5 / 2400**0.5
    for label in range(12):  # every image both ways, over the epochs
        assert 0.3 < turned[plain["label"] == label].mean() < 0.7
    rows = turned.astype(float)
    assert np.abs(np.corrcoef(rows.T) - np.eye(4)).max() < 5 / 600**0.5
    assert abs(np.corrcoef(rows[:-1].ravel(), rows[1:].ravel())[0, 1]) < 5 / 2400**0.5


def test_flips_are_those_of_the_seed():
    """Of a single image, whose order has no randomness."""
    flips = lambda seed: data.minibatches(examples(1), batch_size=1, seed=seed, x_flips=True)(0, 64)
    np.testing.assert_array_equal(flips(0)["image"], flips(0)["image"])
    assert not np.array_equal(flips(0)["image"], flips(1)["image"])


def test_flips_are_a_pure_function_of_the_number():
    make = lambda **more: data.minibatches(examples(), batch_size=4, seed=3, x_flips=True, **more)
    whole = make()(0, 9)
    resumed = make()(5, 4)
    jax.tree.map(np.testing.assert_array_equal, resumed, {k: v[5:] for k, v in whole.items()})
    parts = [make(process=(i, 2))(0, 9)["image"] for i in range(2)]
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole["image"])
    jax.tree.map(np.testing.assert_array_equal, make(on_device=True)(0, 9), whole)
    other = data.minibatches(examples(), batch_size=4, seed=4, x_flips=True)(0, 9)
    assert not np.array_equal(other["image"], whole["image"])


# ---- pairs and unpaired sets


def test_pairs_are_left_out_and_held_out_together(tmp_path):
    for i in range(40):
        for letter in "AB":
            saved(tmp_path / f"train{letter}" / f"{i:02}.png", picture(seed=i + 100 * ord(letter)))
    (tmp_path / "trainB" / "07.png").write_bytes(b"hello")
    with pytest.raises(ImageError, match=r"trainB/07\.png cannot be read"):
        data.load_pairs(tmp_path, "train")
    options = ImageOptions(skip_bad=True, held_out=0.3)
    splits = [data.load_pairs(tmp_path, split, options=options) for split in ("train", "test")]
    names = [name for a, _ in splits for name in a.names]
    assert sorted(names) == [f"{i:02}" for i in range(40) if i != 7]
    assert min(len(a) for a, _ in splits) > 0
    for a, b in splits:
        assert a.names == b.names
        assert a.left_out == b.left_out == ("trainB/07.png",)
        for i, name in enumerate(a.names):
            np.testing.assert_array_equal(a.read(i), noise(seed=int(name) + 100 * ord("A")))
            np.testing.assert_array_equal(b.read(i), noise(seed=int(name) + 100 * ord("B")))
    swapped = data.load_pairs(tmp_path, "test", swap=True, options=options)
    assert swapped[0].names == splits[1][0].names
    x, y = data.load_sets(tmp_path, "test", options=options)
    assert x.names == splits[1][0].names  # by the same contents
    assert set(y.names) != set(x.names)


def test_halves_of_turned_pairs(tmp_path):
    pair = noise(6, 16)
    for split in ("train", "test"):
        upright = Image.fromarray(np.rot90(pair))  # by EXIF, turned back
        saved(tmp_path / split / "a.png", upright, exif=turned(6))
    a, b = data.load_pairs(tmp_path, "train")
    np.testing.assert_array_equal(a.read(0), pair[:, :8])
    np.testing.assert_array_equal(b.read(0), pair[:, 8:])
    assert a.conversions == {"rotated by EXIF": 1}
    assert a.fingerprint != b.fingerprint


SHAPES = {  # of an image of 30 x 40, with a load size of 24 and a crop of 12
    "resize_and_crop": (24, 24),
    "crop": (30, 40),
    "scale_width_and_crop": (18, 24),
    "scale_shortside_and_crop": (24, 32),
    "scale_width": (18, 24),
    "scale_shortside": (24, 32),
    "none": (32, 40),
}


@pytest.mark.parametrize("preprocess", SHAPES)
def test_preprocessing_keeps_the_aspect_or_not(tmp_path, preprocess):
    """Crops are windows of the resized image; without them it is the whole."""
    saved(tmp_path / "a.png", picture(30, 40))
    pictures = load_folder(tmp_path)
    jitter = Jitter(24, 12, False, preprocess)
    batches = data.translation_minibatches(
        {"x": pictures}, paired=False, batch_size=1, jitter=jitter
    )
    height, width = SHAPES[preprocess]
    whole = np.asarray(picture(30, 40).resize((width, height), Image.Resampling.BICUBIC))
    found = np.round((batches(0, 30)["x"][:, 0] + 1) * 127.5).astype(np.uint8)
    evaluated = resized_examples({"x": pictures}, jitter)["x"]
    if not preprocess.endswith("crop"):
        np.testing.assert_array_equal(found, np.broadcast_to(whole, (30, *whole.shape)))
        np.testing.assert_array_equal(evaluated[0], whole)
        return
    windows = np.lib.stride_tricks.sliding_window_view(whole, (12, 12, 3))[:, :, 0]
    places = {tuple(np.argwhere((windows == crop).all((2, 3, 4)))[0].tolist()) for crop in found}
    assert len(places) > 10
    # In evaluation, cut in the centre; squares are seen as a whole.
    if preprocess == "resize_and_crop":
        height = width = 12
        whole = np.asarray(picture(30, 40).resize((12, 12), Image.Resampling.BICUBIC))
    top, left = (height - 12) // 2, (width - 12) // 2
    np.testing.assert_array_equal(evaluated[0], whole[top : top + 12, left : left + 12])


def test_images_of_several_sizes_need_a_crop(tmp_path):
    saved(tmp_path / "a.png", picture(30, 40))
    saved(tmp_path / "b.png", picture(40, 30))
    pictures = load_folder(tmp_path)
    jitter = Jitter(24, 12, False, "scale_width")
    with pytest.raises(DataError, match="come out in 2 sizes, such as 18 x 24 and 32 x 24"):
        resized_examples({"x": pictures}, jitter)
    with pytest.raises(DataError, match="give --preprocess"):
        data.translation_minibatches({"x": pictures}, paired=False, batch_size=2, jitter=jitter)(
            0, 1
        )


def test_sizes_are_checked_before_training(tmp_path):
    """Also those of files that an epoch reads late."""
    for letter in "AB":
        numbered(tmp_path / f"train{letter}", 12, shape=(40, 40, 3))
    saved(tmp_path / "trainB" / "011.png", picture(40, 50))
    x, y = data.load_sets(tmp_path, "train", options=ImageOptions(held_out=0.01))
    sets, batches = {"source": x, "target": y}, data.translation_minibatches
    aspect = Jitter(36, 32, preprocess="scale_shortside_and_crop")
    with pytest.raises(DataError, match=r"the pair of 011 has the sizes \[\(36, 36\), \(36, 45"):
        batches(sets, paired=True, batch_size=1, jitter=aspect)
    batches(sets, paired=False, batch_size=1, jitter=aspect)
    with pytest.raises(DataError, match="000 has 40 x 40 pixels, expected at least 44 x 44"):
        batches(sets, paired=False, batch_size=1, jitter=Jitter(50, 44, preprocess="crop"))
    with pytest.raises(DataError, match="target come out in 2 sizes, such as 40 x 40 and 40 x 48"):
        batches(sets, paired=False, batch_size=1, jitter=Jitter(preprocess="none"))


def test_a_sample_of_a_larger_set_is_evaluated(tmp_path):
    """Not its first images, which may be those of one class."""
    numbered(tmp_path / "a", 3)
    numbered(tmp_path / "b", 20, start=50)
    sets = {"x": load_folder(tmp_path / "a"), "y": load_folder(tmp_path / "b")}
    jitter = Jitter(6, 6, x_flips=False, preprocess="none")
    found = resized_examples(sets, dataclasses.replace(jitter, preprocess="resize_and_crop"))
    assert len(found["x"]) == len(found["y"]) == 3
    first = resized_examples({"y": sets["y"]}, Jitter(6, 6))["y"][:3]
    assert not np.array_equal(found["y"], first)


def test_write_images_are_read(tmp_path):
    images = np.stack([noise(seed=i) for i in range(3)])
    write_images(tmp_path, images)
    pictures = load_folder(tmp_path)
    np.testing.assert_array_equal([pictures.read(i) for i in range(3)], images)
    one = load_folder(tmp_path / "0001.png")
    assert one.names == ("0001",)
    np.testing.assert_array_equal(one.read(0), images[1])


# ---- runs


def test_the_training_data_of_a_run_cannot_change():
    names = lambda config: {field.name for field in dataclasses.fields(config)}
    flags = names(SizedImageFlags) - names(Config) | {"preprocess"}
    for config in (mnist.Config, autoencoder.Config, pix2pix.Config):
        assert len(flags & names(config)) > 4
        assert not flags & resumable_fields(config)


def test_splits_of_unequal_channels(tmp_path):
    for split, shape in (("train", (8, 16, 1)), ("test", (8, 16, 3))):
        saved(tmp_path / split / "a.png", picture(*shape))
    config = pix2pix.Config(data_dir=str(tmp_path), crop_size=8)
    with pytest.raises(DataError, match="source have 1 channels and the test images 3; give --ch"):
        translation.load(config, ("source", "target"), paired=True)
    config = dataclasses.replace(config, channels=3)
    found = translation.load(config, ("source", "target"), paired=True)
    assert found.test["target"].shape == (1, 8, 8, 3)
    assert found.record["conversions"]["source"] == {"grey made RGB": 1}
    with pytest.raises(DataError, match="are for --data folder"):
        translation.load(dataclasses.replace(config, data="cycle_gan/a"), ("x", "y"), paired=False)


def test_grey_and_coloured_folders_are_compared_alike(tmp_path, capsys):
    for i in range(6):
        saved(tmp_path / "grey" / f"{i}.png", picture(8, 8, 1, seed=i))
        saved(
            tmp_path / "rgb" / f"{i}.webp", picture(8, 8, 1, seed=i).convert("RGB"), lossless=True
        )
    out = tmp_path / "out.json"
    command("evaluate", tmp_path / "grey", tmp_path / "rgb", metrics=("fid",), features="pixels",
            out=out)  # fmt: skip
    (record,) = json.loads(out.read_text(encoding="utf-8"))["evaluations"][0]["records"]
    assert record["value"] == pytest.approx(0.0, abs=1e-3)
    assert record["details"]["width"] == 8 * 8 * 3


# ---- runs on a folder with every trap in it


def write_traps(folder: Path, *, shape: tuple[int, int] = (30, 40), seed: int = 0) -> None:
    """A dozen images that are not plain ones, and files that are none."""
    height, width = shape
    image = lambda i, h=height, w=width: picture(h, w, 3, seed=seed + i)
    turned_image = image(0).transpose(Image.Transpose.ROTATE_90)
    saved(folder / "turned.jpg", turned_image, exif=turned(6))
    alpha = picture(height, width, 4, seed=seed)
    saved(folder / "alpha.png", alpha)
    saved(folder / "grey alpha.png", alpha.convert("LA"))
    saved(folder / "palette.png", image(1).quantize(16), transparency=3)
    deep = np.asarray(image(2).convert("L")).astype(np.uint16) * 257
    saved(folder / "deep.png", Image.fromarray(deep))
    saved(folder / "print.jpg", image(3).convert("CMYK"))
    saved(folder / "bits.bmp", image(4).convert("1"))
    saved(folder / "moving.gif", image(5), save_all=True, append_images=[image(6)])
    saved(folder / "scan.tif", image(7), exif=turned(3))
    saved(folder / "フォト 1.webp", image(8))
    saved(folder / "large.PNG", image(9, 2 * height, 3 * width))
    saved(folder / "JPEG, in truth.png", image(10), format="JPEG")
    (folder / "text.png").write_bytes(b"hello")
    (folder / ".hidden.png").write_bytes(b"hello")
    saved(folder / "__MACOSX" / "text.png", image(11)).write_bytes(b"hello")
    write_bad(folder, "truncated")


def train_on(monkeypatch, module: ModuleType, run_dir: Path, *words: str) -> dict:
    """`python -m experiments.NAME` in this process; the run's record."""
    flags = ["--run-dir", str(run_dir), "--batch-size", "4", "--log-every", "5"]
    monkeypatch.setattr(sys, "argv", [module.__name__, *flags, *words])
    assert exit_status(cli.main, module.Config, module.make) == 0
    return json.loads((run_dir / "config.json").read_text(encoding="utf-8"))


@pytest.mark.slow
def test_a_folder_of_traps_is_trained_on(tmp_path, monkeypatch, capsys):
    """By a GAN, a conditional GAN and an autoencoder; stopped and resumed, with the same end."""
    for i, name in enumerate(["cat", "Äpfel"]):
        write_traps(tmp_path / "images" / name, seed=100 * i)
    folder = ["--data", "folder", "--data-dir", str(tmp_path / "images"), "--skip-bad"]
    sized = ["--size", "16", "--resize", "contain", "--background", "#808080", "--x-flips"]
    small = ["--features", "4", "--latent", "4", "--held-out", "0.3", "--evaluate-every", "0"]
    words, runs = [*folder, *sized, *small], tmp_path / "runs"
    gan = [*words, "--r1", "0"]
    record = train_on(monkeypatch, mnist, runs / "gan", *gan, "--num-steps", "20")
    assert record["data"]["classes"] == ["cat", "Äpfel"]
    assert record["data"]["left_out"].count("cat/text.png") == 1
    assert len(record["data"]["left_out"]) == 4
    assert record["data"]["num_train"] + record["data"]["num_test"] == 24
    assert record["data"]["conversions"] == {
        "rotated by EXIF": 4,
        "alpha composited on #808080": 6,
        "from a palette": 4,
        "from 16 bits": 2,
        "from CMYK": 2,
        "from 1 bit": 2,
        "first of several frames": 2,
        "grey made RGB": 6,
        "resized by contain": 24,
    }
    assert f"{record['data']['num_train']} + {record['data']['num_test']} images in" in (
        capsys.readouterr().out
    )
    train_on(monkeypatch, mnist, runs / "stopped", *gan, "--num-steps", "7")
    train_on(monkeypatch, mnist, runs / "stopped", *gan, "--num-steps", "20")
    capsys.readouterr()
    for name in ("gan", "stopped"):
        command("digest", runs / name)
    first, second = capsys.readouterr().out.splitlines()
    assert first == second
    record = train_on(monkeypatch, mnist, runs / "c", *gan, "--num-steps", "20", "--conditional")
    assert record["config"]["conditional"]
    train_on(monkeypatch, autoencoder, runs / "ae", *words, "--num-steps", "20")
    out = tmp_path / "out.png"
    command("reconstruct", runs / "ae", input=tmp_path / "images" / "cat" / "turned.jpg", out=out)
    assert "1 rotated by EXIF" in capsys.readouterr().out
    assert size_of(out) == (20, 38)


@pytest.mark.slow
def test_pairs_of_traps_are_trained_on(tmp_path, monkeypatch, capsys):
    write_traps(tmp_path / "train", shape=(24, 64))
    words = [
        "--data-dir", str(tmp_path), "--skip-bad", "--held-out", "0.3", "--num-steps", "20",
        "--preprocess", "scale_shortside_and_crop", "--crop-size", "16", "--features", "2",
        "--patch-layers", "1",
    ]  # fmt: skip
    record = train_on(monkeypatch, pix2pix, tmp_path / "run", *words)
    assert record["data"]["left_out"] == ["train/bad.jpg", "train/text.png"]
    assert record["data"]["conversions"]["source"]["rotated by EXIF"] == 2
    command("translate", tmp_path / "run", input=tmp_path / "train" / "deep.png",
            out=tmp_path / "out", side="right")  # fmt: skip
    assert size_of(tmp_path / "out" / "deep.png") == (32, 24)
    assert "1 grey made RGB" in capsys.readouterr().out
