"""Random damage to the content of a file, and to the structure of a folder."""

import os
import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path


def damaged(content: bytes, rng: random.Random) -> tuple[str, bytes]:
    """A name of the damage, and the damaged content; never the content itself."""
    while True:
        name, function = rng.choice(list(CONTENTS.items()))
        if (result := function(content, rng)) != content:
            return name, result


def damage_folder(folder: Path, rng: random.Random, *, other: Path | None = None) -> str:
    """Damages a folder in place, and returns what was done.

    Args:
      folder: the folder.
      rng: random numbers.
      other: a folder with which it may be exchanged, or files of it.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    folders = sorted(path for path in folder.rglob("*") if path.is_dir())
    kind = rng.choice(["content"] * 6 + sorted(STRUCTURES))
    if kind == "content":
        file = rng.choice(files)
        name, content = damaged(file.read_bytes(), rng)
        file.write_bytes(content)
        return f"{name} in {file.relative_to(folder)}"
    whole = (
        [] if kind in ("removed", "renamed") else [folder]
    )  # nothing would tell that it was there
    target = rng.choice([*files, *folders, *whole])
    STRUCTURES[kind](target, rng, folder, other)
    return f"{kind}: {target.relative_to(folder)}"


# ---- contents


def _flipped(content: bytes, rng: random.Random) -> bytes:
    result = bytearray(content)
    for _ in range(rng.choice([1, 1, 1, 8])):
        if result:
            result[rng.randrange(len(result))] ^= 1 << rng.randrange(8)
    return bytes(result)


def _cut(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(len(content))] if content else b"\0"


def _without_a_piece(content: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(content) + 1)
    return content[:start] + content[start + rng.randrange(1, 64) :]


def _with_noise(content: bytes, rng: random.Random) -> bytes:
    start, noise = rng.randrange(len(content) + 1), rng.randbytes(rng.randrange(1, 64))
    return content[:start] + noise + content[start + len(noise) * rng.randrange(2) :]


def _zeroed(content: bytes, rng: random.Random) -> bytes:
    start, size = rng.randrange(len(content) + 1), rng.choice([1, 4, 512])
    return content[:start] + bytes(len(content[start : start + size])) + content[start + size :]


def _doubled(content: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(content) + 1)
    return content + content[start:] or b"\0"


def _other_numbers(content: bytes, rng: random.Random) -> bytes:
    """Another number in a text, or in four bytes."""
    numbers = list(re.finditer(rb"-?\d+", content))
    if numbers and rng.random() < 0.7:
        place = rng.choice(numbers)
        new = rng.choice([b"-1", b"0", b"1e999", b"NaN", b"99999999999999999999", b"[]", b"null"])
        if rng.random() < 0.5:  # of the same length, so that what counts bytes still agrees
            size = len(place[0])
            new = new[:size].ljust(size)
        return content[: place.start()] + new + content[place.end() :]
    start = rng.randrange(len(content) + 1)
    value = rng.choice([0, 1, 2**31 - 1, 2**31, 2**32 - 1]).to_bytes(
        4, rng.choice(["big", "little"])
    )
    return content[:start] + value + content[start + 4 :]


CONTENTS: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "flipped bits": _flipped,
    "cut": _cut,
    "a piece missing": _without_a_piece,
    "noise": _with_noise,
    "zeros": _zeroed,
    "doubled": _doubled,
    "another number": _other_numbers,
}


# ---- structures


def remove(path: Path) -> None:
    """Removes a file, link or folder."""
    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def _removed(target: Path, rng: random.Random, folder: Path, other: Path | None) -> None:
    remove(target)


def _emptied(target: Path, rng: random.Random, folder: Path, other: Path | None) -> None:
    is_folder = target.is_dir()
    remove(target)
    target.mkdir() if is_folder else target.touch()


def _of_another_kind(target: Path, rng: random.Random, folder: Path, other: Path | None) -> None:
    is_folder = target.is_dir()
    remove(target)
    target.touch() if is_folder else target.mkdir()


def _loop(target: Path, rng: random.Random, folder: Path, other: Path | None) -> None:
    remove(target)
    target.symlink_to(target)


def _pipe(target: Path, rng: random.Random, folder: Path, other: Path | None) -> None:
    remove(target)
    os.mkfifo(target)


def _renamed(target: Path, rng: random.Random, folder: Path, other: Path | None) -> None:
    target.rename(target.with_name(f"{target.name}x"))


def _exchanged(target: Path, rng: random.Random, folder: Path, other: Path | None) -> None:
    """With the same part of the other folder."""
    if other is None or not (partner := other / target.relative_to(folder)).exists():
        remove(target)
        return
    aside = folder.parent / "aside"
    target.rename(aside)
    partner.rename(target)
    aside.rename(partner)


STRUCTURES = {
    "removed": _removed,
    "emptied": _emptied,
    "file for folder": _of_another_kind,
    "link loop": _loop,
    "pipe": _pipe,
    "renamed": _renamed,
    "exchanged": _exchanged,
}
