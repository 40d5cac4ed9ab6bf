"""TensorFlow Datasets (TFDS), where possible without TensorFlow.

Reading a set that was prepared as `array_record` does not need TensorFlow, nor does preparing MNIST
with the builder below. Preparing most other sets needs it once (`pip install 'jaxgan[tfds]'`).
"""

import hashlib
import importlib.util
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.core.download.checksums import UrlInfo
from tensorflow_datasets.core.download.download_manager import NonMatchingChecksumError

from jaxgan.data import mnist
from jaxgan.data.image_files import ImageFiles
from jaxgan.errors import DataError
from jaxgan.types import Examples

PROBE_SECONDS = 4.0
MNIST_URL = "https://storage.googleapis.com/cvdf-datasets/mnist/"
MNIST_DOWNLOADS = {  # size in bytes, and SHA-256
    "train-images-idx3-ubyte.gz": (
        9_912_422,
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    ),
    "train-labels-idx1-ubyte.gz": (
        28_881,
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    ),
    "t10k-images-idx3-ubyte.gz": (
        1_648_877,
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    ),
    "t10k-labels-idx1-ubyte.gz": (
        4_542,
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    ),
}


class IdxMnist(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]
    """MNIST in its original order, prepared from the original files without TensorFlow."""

    VERSION = tfds.core.Version("1.0.0")
    pkg_dir_path = Path(__file__).parent

    url_infos: ClassVar = {
        MNIST_URL + name: UrlInfo(size=tfds.core.utils.Size(size), checksum=sha256, filename=name)
        for name, (size, sha256) in MNIST_DOWNLOADS.items()
    }

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            description="The MNIST database of handwritten digits, in its original order.",
            homepage="http://yann.lecun.com/exdb/mnist/",
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Tensor(shape=(28, 28, 1), dtype=np.uint8),
                    "label": tfds.features.Tensor(shape=(), dtype=np.int32),
                }
            ),
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[Any]]:
        paths = dl_manager.download({name: MNIST_URL + name for name in MNIST_DOWNLOADS})
        return {split: self._generate_examples(paths, split) for split in mnist.PREFIXES}

    def _generate_examples(self, paths: dict[str, Any], split: str) -> Iterator[Any]:
        prefix = mnist.PREFIXES[split]
        examples = mnist.read_pair(
            Path(paths[f"{prefix}-images-idx3-ubyte.gz"]),
            Path(paths[f"{prefix}-labels-idx1-ubyte.gz"]),
            split,
        )
        for i, (image, label) in enumerate(zip(*examples.values(), strict=True)):
            yield i, {"image": image, "label": label}


def builder(name: str, data_dir: Path) -> tfds.core.DatasetBuilder:
    """Returns the builder of a TFDS set stored as `array_record`.

    For `mnist` it is `IdxMnist`, unless TFDS's own `mnist` is already in `data_dir`.

    Args:
      name: TFDS name of the set.
      data_dir: TFDS folder.

    Raises:
      DataError: there is no set of that name.
    """
    if name == "mnist" and not (data_dir / "mnist").is_dir():
        return IdxMnist(data_dir=data_dir, file_format="array_record")
    try:
        return tfds.builder(name, data_dir=data_dir, file_format="array_record")
    except (tfds.core.DatasetNotFoundError, ValueError) as error:
        if os.sep in name and Path(name).expanduser().is_dir():
            raise DataError(f"{name} is a folder; give --data folder --data-dir {name}") from None
        # A name that cannot be one, such as a path, or an unknown configuration of a set.
        why = "" if isinstance(error, tfds.core.DatasetNotFoundError) else str(error)
        reason = f" ({why.partition(chr(10))[0]})" if why else ""
        raise DataError(
            f"there is no data set named {name!r} that can be read{reason}; expected auto, mnist, "
            "digits or a name from https://www.tensorflow.org/datasets/catalog"
        ) from None


def prepare(
    builder: tfds.core.DatasetBuilder, config: tfds.download.DownloadConfig | None = None
) -> None:
    """Downloads and prepares a set, after checking that TensorFlow and the host are available.

    Args:
      builder: builder of the set.
      config: as in `download_and_prepare`; files in its `manual_dir` are not downloaded.

    Raises:
      DataError: TensorFlow is needed and not installed, the set's host cannot be reached, or the
        preparation fails.
    """
    if not isinstance(builder, IdxMnist) and importlib.util.find_spec("tensorflow") is None:
        raise DataError(
            f"{builder.name} is not prepared in {builder.data_dir}, and preparing it needs "
            "TensorFlow, once; pip install 'jaxgan[tfds]'"
        )
    if config is None or config.manual_dir is None:
        for host in sorted({f"https://{urlsplit(url).netloc}" for url in builder.url_infos or ()}):
            _probe(host)  # the downloader itself would retry for minutes
    try:
        builder.download_and_prepare(download_config=config)
    except (OSError, NonMatchingChecksumError) as error:
        raise DataError(f"preparing {builder.name} failed: {str(error).splitlines()[0]}") from error


def read(builder: tfds.core.DatasetBuilder, split: str) -> Examples:
    """Reads one split of a prepared image set into memory.

    Args:
      builder: builder of the prepared set.
      split: name of the split.

    Returns:
      `image` `uint8[n, height, width, channels]`, and `label` `int32[n]` if the set has labels.

    Raises:
      DataError: the set has no `image`, no such split, or images that differ in size.
    """
    if "image" not in builder.info.features:
        raise DataError(f"{builder.name} has {list(builder.info.features)}, expected an image set")
    if split not in builder.info.splits or not builder.info.splits[split].num_examples:
        raise DataError(
            f"{builder.name} has the splits {list(builder.info.splits)}, expected {split} with "
            "images; choose another set"
        )
    source = builder.as_data_source(split)
    examples = source.__getitems__(range(len(source)))
    shapes = sorted({example["image"].shape for example in examples})
    if len(shapes) != 1:
        raise DataError(
            f"{builder.name} has images of {len(shapes)} sizes, from {shapes[0]} to {shapes[-1]}; "
            "expected one size: choose another set, or resize the images into your own set"
        )
    arrays = {"image": np.stack([example["image"] for example in examples])}
    if "label" in builder.info.features:
        arrays["label"] = np.array([example["label"] for example in examples], np.int32)
    return arrays


def class_names(builder: tfds.core.DatasetBuilder) -> tuple[str, ...]:
    """Names of the classes by label; empty for a set without labels.

    Args:
      builder: builder of the set.
    """
    features = builder.info.features
    if "label" not in features or not isinstance(features["label"], tfds.features.ClassLabel):
        return ()
    return tuple(features["label"].names)


def image_files(builder: tfds.core.DatasetBuilder, split: str) -> ImageFiles:
    """Opens one split of a prepared set as lazily decoded images of any sizes.

    Args:
      builder: builder of the prepared set.
      split: name of the split.

    Raises:
      DataError: the set has no such split, or no `image`.
    """
    if split not in builder.info.splits or "image" not in builder.info.features:
        raise DataError(
            f"{builder.name} has the splits {list(builder.info.splits)} and the features "
            f"{list(builder.info.features)}, expected {split} and image"
        )
    source = builder.as_data_source(split)
    names = tuple(f"{builder.info.full_name}:{split}:{i}" for i in range(len(source)))
    fingerprint = hashlib.sha256(f"{builder.info.full_name} {split} {len(source)}".encode())
    channels = builder.info.features["image"].shape[-1]
    return ImageFiles(names, channels, lambda i: source[i]["image"], fingerprint.hexdigest())


def _probe(host: str) -> None:
    request = urllib.request.Request(host, method="HEAD")
    try:
        urllib.request.urlopen(request, timeout=PROBE_SECONDS).close()
    except urllib.error.HTTPError:
        pass  # any HTTP response shows that the host is reachable
    except OSError as error:
        reason = getattr(error, "reason", error)
        raise DataError(f"{host} cannot be reached ({reason}); check the connection") from None
