"""Time to the first minibatch, throughput and memory of a folder of image files.

    python -m benchmarks.image_files
    python -m benchmarks.image_files --files 5000 --workers 4

The folder has generated images of 64 x 64 pixels, JPEG in classes. Every start is a process of
its own, cold (with an empty cache of decoded images) or warm, and jaxgan and PyTorch (a `Dataset`
that opens files with Pillow, as torchvision's `ImageFolder` does, in a `DataLoader`) take turns.
The first minibatch is timed after imports. Memory is the growth of the peak resident memory since
then, and for jaxgan includes the pages of the mapped file. Without PyTorch, only jaxgan is timed.
"""

import dataclasses
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import tyro
from PIL import Image

BATCH = 64
SIDE = 64


@dataclasses.dataclass(frozen=True)
class Config:
    """Time the input pipeline of image files."""

    files: int = 20_000
    """Number of image files."""
    repeats: int = 3
    """Number of processes per implementation."""
    workers: int = 2
    """Worker processes of PyTorch's loader."""
    folder: Path | None = None
    """Where to generate the files; a temporary folder by default."""
    only: str | None = None
    """Measure jaxgan or torch in this process, and print a JSON record."""


def main(config: Config) -> None:
    """Prints a table, one row per implementation."""
    if config.only is not None:
        assert config.folder is not None
        measure = {"jaxgan": measure_jaxgan, "torch": measure_torch}[config.only]
        print(json.dumps(measure(config.folder, config.workers)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = config.folder or Path(temporary) / "images"
        generate(folder, config.files)
        records = measure_all(config, folder, Path(temporary))
    print(f"{config.files} files, {config.files * SIDE * SIDE * 3 / 2**20:.0f} MiB decoded\n")
    print("| | first minibatch, s | images/s | memory, MiB |\n|---|---|---|---|")
    for name, of_name in records.items():
        medians = [statistics.median(r[key] for r in of_name) for key in of_name[0]]
        print(f"| {name} | {medians[0]:.2f} | {medians[1]:.0f} | {medians[2]:.0f} |")


def generate(folder: Path, files: int) -> None:
    """Writes smooth random images, in ten classes, unless they are there."""
    rng = np.random.default_rng(0)
    for i in range(files):
        path = folder / f"class {i % 10}" / f"{i:06}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            small = Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8))
            small.resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(path, quality=90)


def measure_all(config: Config, folder: Path, temporary: Path) -> dict[str, list[dict[str, float]]]:
    """Records by implementation, which take turns."""
    records: dict[str, list[dict[str, float]]] = {}
    for i in range(config.repeats):
        cache = {"XDG_CACHE_HOME": str(temporary / f"cache {i}")}
        runs = [("jaxgan, cold", "jaxgan"), ("jaxgan, warm", "jaxgan")]
        if importlib.util.find_spec("torch") is not None:
            runs.append(("PyTorch", "torch"))
        for name, only in runs:
            words = ["--only", only, "--folder", str(folder), "--workers", str(config.workers)]
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.image_files", *words],
                env=os.environ | cache,
                capture_output=True,
                text=True,
                check=True,
            )
            records.setdefault(name, []).append(json.loads(done.stdout.splitlines()[-1]))
    return records


def measure_jaxgan(folder: Path, workers: int) -> dict[str, float]:
    """Loads the folder, and draws an epoch of minibatches."""
    from benchmarks.alone import peak_memory
    from jaxgan import data

    before, start = resident_memory(), time.perf_counter()
    dataset = data.load("folder", data_dir=folder)
    batches = data.minibatches(dataset.train, batch_size=BATCH, x_flips=True)
    batches(0, 1)
    first, count = time.perf_counter() - start, len(dataset.train["image"]) // BATCH
    start = time.perf_counter()
    for i in range(1, count):
        batches(i, 1)
    speed = (count - 1) * BATCH / (time.perf_counter() - start)
    return {"first": first, "speed": speed, "mib": peak_memory() - before}


def measure_torch(folder: Path, workers: int) -> dict[str, float]:
    """The same in PyTorch; the memory is that of the main process."""
    import torch

    from benchmarks.alone import peak_memory

    class ImageFolder(torch.utils.data.Dataset):
        def __init__(self) -> None:
            self.files = sorted(folder.glob("*/*.jpg"))
            classes = sorted({file.parent.name for file in self.files})
            self.labels = [classes.index(file.parent.name) for file in self.files]

        def __len__(self) -> int:
            return len(self.files)

        def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
            with Image.open(self.files[i]) as image:
                pixels = np.array(image.convert("RGB"))
            if torch.rand(()) < 0.5:
                pixels = pixels[:, ::-1].copy()
            floats = torch.from_numpy(pixels).permute(2, 0, 1).float()
            return floats / 127.5 - 1.0, self.labels[i]

    before, start = resident_memory(), time.perf_counter()
    loader = torch.utils.data.DataLoader(
        ImageFolder(), batch_size=BATCH, shuffle=True, drop_last=True, num_workers=workers
    )
    batches = iter(loader)
    next(batches)
    first = time.perf_counter() - start
    start = time.perf_counter()
    count = sum(1 for _ in batches)
    speed = count * BATCH / (time.perf_counter() - start)
    return {"first": first, "speed": speed, "mib": peak_memory() - before}


def resident_memory() -> float:
    """Resident memory of this process in MiB, on Linux."""
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


if __name__ == "__main__":
    main(tyro.cli(Config))
