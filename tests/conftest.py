"""Strict numerics, a compilation cache, and the data that tests share."""

import gc
import importlib.metadata
import os
import shutil
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")
# A core for each of the two workers: pools of more threads than cores spin and wait for each other.
os.environ.setdefault("NPROC", "1")  # of XLA
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import jax
import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parent.parent
DATA_DIR = Path(os.environ.get("JAXGAN_DATA_DIR", ""))
CACHED = {  # short compilations are cheaper than files
    "jax_persistent_cache_min_compile_time_secs": 0.02,
    "jax_persistent_cache_min_entry_size_bytes": -1,
}
collect_ignore = ["mutation.py"]  # a program, with requirements of its own
QUICKLY_COMPILED = (
    "--xla_backend_optimization_level=1 --xla_llvm_disable_expensive_passes=true "
    "--xla_cpu_prefer_vector_width=64"
)
if importlib.metadata.version("jaxlib").startswith("0.10."):  # an unknown flag aborts the process
    QUICKLY_COMPILED += " --xla_cpu_use_fusion_emitters=false"

jax.config.update("jax_numpy_rank_promotion", "raise")
gc.set_threshold(20_000, 10, 10)  # traced programs are many objects, few of them garbage


def pytest_configure(config: pytest.Config) -> None:
    """What jax reads is set in the environment too, for programs that tests start."""
    # In .pytest_cache, so that a second run and the slow tests find what the first has compiled;
    # `pytest --cache-clear` empties it.
    cached = CACHED | {"jax_compilation_cache_dir": str(config.cache.mkdir("compiled"))}
    for name, value in cached.items():
        jax.config.update(name, value)
        os.environ[name.upper()] = str(value)
    # A file that another process is writing counts as absent, with a warning.
    config.addinivalue_line(
        "filterwarnings", "ignore:Error reading persistent compilation cache entry:UserWarning"
    )
    # Most of the time of the tests is compilation, and half of that is optimisation; and less
    # code is generated for short vectors. (Level 0 or the preset FAST_COMPILE would save more, but
    # compile some programs wrongly.)
    if QUICKLY_COMPILED not in os.environ.get("XLA_FLAGS", ""):
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {QUICKLY_COMPILED}".strip()


@pytest.fixture(scope="session", autouse=True)
def no_data_dir():
    """No test depends on data in $JAXGAN_DATA_DIR that it does not ask for."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.delenv("JAXGAN_DATA_DIR", raising=False)
        yield


@pytest.fixture(scope="session", autouse=True)
def cache_folder(tmp_path_factory):
    """Decoded images are cached in a folder of the session."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def mnist_folder() -> Path:
    """The folder of the original MNIST files; the test is skipped where there is none."""
    folder = DATA_DIR / "mnist"
    if (folder / "train-images-idx3-ubyte.gz").exists():
        return folder
    pytest.skip("the original MNIST files are not here; set JAXGAN_DATA_DIR to test with them")


@pytest.fixture(scope="session")
def cifar10_images() -> np.ndarray:
    """4000 photographs in bytes, from PNG files of 1000, one image a row; skipped without them."""
    paths = sorted((DATA_DIR / "cifar10").glob("cifar10_batch_*.png"))
    if not paths:
        pytest.skip("no cifar10/cifar10_batch_*.png in JAXGAN_DATA_DIR (1000 images, one a row)")
    return np.concatenate([np.asarray(Image.open(path)).reshape(-1, 32, 32, 3) for path in paths])


@pytest.fixture(scope="module")
def browser():
    """Headless Chromium; the test is skipped where it is not installed."""
    playwright = pytest.importorskip("playwright.sync_api", reason="pip install 'jaxgan[browser]'")
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("there is no chromium and no google-chrome; install one")
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def digits() -> dict[str, np.ndarray]:
    """A few small images: 32 of 8 x 8 pixels, in bytes, with labels."""
    rng = np.random.default_rng(0)
    return {
        "image": rng.integers(0, 256, (32, 8, 8, 1), np.uint8),
        "label": np.arange(32, dtype=np.int32) % 10,
    }
