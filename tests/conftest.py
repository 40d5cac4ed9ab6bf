"""Strict numerics, a compilation cache, and the data that tests share."""

import os
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parent.parent
CACHE = ROOT / ".pytest_cache" / f"jax-{jax.__version__}"
DATA_DIR = Path(os.environ.get("JAXGAN_DATA_DIR", ""))

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_compilation_cache_dir", str(CACHE))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


@pytest.fixture(scope="session", autouse=True)
def no_data_but_what_a_test_asks_for():
    """What is tested must not depend on whether somebody's data lie in $JAXGAN_DATA_DIR."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.delenv("JAXGAN_DATA_DIR", raising=False)
        yield


@pytest.fixture(scope="session")
def mnist_folder() -> Path:
    """The folder of the original MNIST files, where there is one."""
    folder = DATA_DIR / "mnist"
    if (folder / "train-images-idx3-ubyte.gz").exists():
        return folder
    pytest.skip("the original MNIST files are not here; set JAXGAN_DATA_DIR to test with them")


@pytest.fixture(scope="session")
def cifar10_pictures() -> np.ndarray:
    """4000 photographs in bytes, where there are sheets of them, one picture a row."""
    folder = DATA_DIR / "cifar10"
    sheets = sorted(folder.glob("cifar10_batch_*.png"))
    if not sheets:
        pytest.skip("no cifar10/cifar10_batch_*.png in JAXGAN_DATA_DIR (1000 pictures, one a row)")
    return np.concatenate([np.asarray(Image.open(path)).reshape(-1, 32, 32, 3) for path in sheets])


@pytest.fixture
def digits() -> dict[str, np.ndarray]:
    """A few small images: 32 of 8 x 8 pixels, in bytes, with labels."""
    rng = np.random.default_rng(0)
    return {
        "image": rng.integers(0, 256, (32, 8, 8, 1), np.uint8),
        "label": np.arange(32, dtype=np.int32) % 10,
    }
