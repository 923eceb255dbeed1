"""The datasets: found, verified by what is in them, and prepared once for all workers.

`mnist` is the real one or nothing: whatever file it comes from, its four arrays must have the
MD5 sums of the original idx files. `digits` is scikit-learn's embedded set of 1,797 real
handwritten digits, for machines that MNIST cannot reach.
"""

import contextlib
import gzip
import hashlib
import importlib.util
import io
import logging
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.contract.errors import DataError
from bench.contract.limits import MAX_ARRAYS
from bench.contract.npz import ArrayError, claims
from bench.contract.units import ModelRequest
from bench.inputs.draws import arrays_sha256
from bench.inputs.examples import SPLITS
from bench.process.atomic_files import storage_errors, write_atomically

ARRAYS = ("x_train", "y_train", "x_test", "y_test")
SHIPPED, DRAWN = ("mnist", "digits"), "drawn"
PIXEL_SCALE = 255

# From where Keras itself gets it (keras.datasets.mnist), with Keras's own hash of the file.
MNIST_URL = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz"
MNIST_SHA256 = "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1"
DOWNLOAD_TIMEOUT_SECONDS = 10

# MD5 of the four raw idx files, header included.
MNIST_IDX_MD5 = {
    "x_train": "6bbc9ace898e44ae57da46a324031adb",
    "y_train": "a25bea736e30d166cdddb491f175f624",
    "x_test": "2646ac647ad5339dbf082846283269ea",
    "y_test": "27ae3e4e09519cfbb04c329615203637",
}
IDX_FILES = {
    "x_train": "train-images-idx3-ubyte",
    "y_train": "train-labels-idx1-ubyte",
    "x_test": "t10k-images-idx3-ubyte",
    "y_test": "t10k-labels-idx1-ubyte",
}

# Arrays that claim to be larger than this together are refused before they are allocated.
MAX_BYTES = 4 << 30
# Of an idx file, all of which are of MNIST: the largest has 47 million bytes.
MAX_IDX_BYTES = 64 << 20

Array = NDArray[Any]


@dataclass(frozen=True)
class Dataset:
    """A prepared dataset.

    Attributes:
        name: `mnist`, `digits`, the name of the user's file, or `drawn`.
        path: Read-only npz with `ARRAYS`, or with `<array>.<name>` where a model has several
            inputs or outputs. Of the shipped ones x is uint8 of shape (n, 28, 28, 1), y uint8.
        sha256: `content_sha256` of it.
        train_examples: Number of training examples.
        test_examples: Number of test examples.
        scale: What pixels are divided by before they are fed.
        note: Why this is not the dataset that was wished for, or empty.
        models: What workers are told of each model that is fed with it, as far as it is known.
    """

    name: str
    path: Path
    sha256: str
    train_examples: int
    test_examples: int
    scale: int
    note: str = ""
    models: Mapping[str, ModelRequest] = field(default_factory=dict)

    def request(self, model: str, variant: str) -> ModelRequest:
        """What a worker is told of a model; of one that nobody has described, where the data is."""
        plain = ModelRequest(model, model, str(self.path.resolve()), self.sha256, self.scale)
        return replace(self.models.get(model, plain), variant=variant)

    @property
    def is_drawn(self) -> bool:
        """Whether each model has made-up arrays of its own: there is nothing to learn."""
        return self.name == DRAWN

    @property
    def shows_images(self) -> bool:
        """Whether a report can show its test set as images."""
        return self.name in SHIPPED


def prepare(request: str, mnist: Path | None, folder: Path) -> Dataset:
    """Find, verify and store the dataset that `request` names.

    Args:
        request: `mnist`, `digits`, or `auto`: mnist where it can be had, else digits.
        mnist: File or folder that the user gave; None looks in the Keras cache, then downloads.
        folder: Where the prepared npz is kept between runs.

    Raises:
        DataError: The file is there and is not MNIST, or `mnist` is wanted and cannot be had.
    """
    if request == "digits":
        return _store("digits", load_digits(), folder)
    source = mnist or _keras_cache()
    if source is None:
        try:
            source = _download()
        except (OSError, ValueError) as error:  # no network; or a proxy's page instead of a file
            if request == "mnist":
                raise DataError(
                    f"MNIST cannot be downloaded ({type(error).__name__}): "
                    "give a file with --mnist PATH, or use --dataset digits"
                ) from error
            note = "MNIST could not be downloaded; give a file with --mnist PATH"
            return _store("digits", load_digits(), folder, note)
    return _store("mnist", load_mnist(source), folder)


def stored(name: str, sha256: str, folder: Path) -> Dataset | None:
    """The prepared dataset of this hash, if an earlier run left it in `folder` intact."""
    path = _stored_path(name, sha256, folder)
    if not _holds(path, sha256):
        return None
    return _dataset(name, path, read_npz(path), sha256)


def load_mnist(path: Path) -> dict[str, Array]:
    """MNIST from an npz file or from a folder with the four idx files, gzipped or not.

    Returns:
        `ARRAYS`, uint8; images of shape (n, 28, 28).

    Raises:
        DataError: Nothing is there, or its content is not MNIST to the last pixel.
    """
    if not path.exists():
        raise DataError(f"{path}: no such file or folder; MNIST is wanted here")
    arrays = _read_idx_folder(path) if path.is_dir() else read_npz(path)
    for name, expected in MNIST_IDX_MD5.items():
        if name not in arrays:
            raise DataError(f"{path}: not MNIST: it has no {name}")
        array = arrays[name]
        if array.dtype != np.uint8 or idx_md5(array) != expected:
            raise DataError(
                f"{path}: not MNIST: {name} ({array.dtype}, {array.shape}) differs from the "
                "original; delete the file or give another with --mnist PATH"
            )
    return {name: arrays[name] for name in ARRAYS}


def load_digits() -> dict[str, Array]:
    """scikit-learn's digits as 28 x 28 images: 1,500 for training, 297 for testing.

    Each of the 8 x 8 pixels becomes 3 x 3, with a border of 2 as MNIST has one; the
    intensities 0-16 become 0-255. The split is a fixed permutation.
    """
    # From its file: to import scikit-learn takes longer than all else before a run.
    (package,) = importlib.util.find_spec("sklearn").submodule_search_locations  # type: ignore[union-attr, misc]
    digits = np.loadtxt(Path(package, "datasets", "data", "digits.csv.gz"), delimiter=",")
    images = np.rint(digits[:, :-1].reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
    images = np.pad(images.repeat(3, axis=1).repeat(3, axis=2), ((0, 0), (2, 2), (2, 2)))
    labels = digits[:, -1].astype(np.uint8)
    order = np.random.default_rng(0).permutation(len(labels))
    train, test = order[:1500], order[1500:]
    return {
        "x_train": images[train],
        "y_train": labels[train],
        "x_test": images[test],
        "y_test": labels[test],
    }


def idx_md5(array: Array) -> str:
    """MD5 of the idx file that holds this uint8 array (magic number, sizes, bytes)."""
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    digest = hashlib.md5(header, usedforsecurity=False)
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def content_sha256(arrays: Mapping[str, Array]) -> str:
    """SHA-256 over the arrays of a dataset: the four in a fixed order, then others and their names.

    Two models take the same arrays by other names.
    """
    others = sorted(arrays.keys() - set(ARRAYS))
    names = np.frombuffer("\n".join(others).encode(), np.uint8)
    values = [arrays[name] for name in (*ARRAYS, *others) if name in arrays]
    return arrays_sha256([*values, names] if others else values)


def read_verified(path: Path, sha256: str) -> dict[str, Array]:
    """The arrays of the dataset in `path`.

    Raises:
        DataError: As `read_npz`, or the content is not the one whose hash is given.
    """
    arrays = read_npz(path)
    if content_sha256(arrays) != sha256:
        raise DataError(f"{path}: content differs from the hash that came with it")
    return arrays


def read_npz(path: Path) -> dict[str, Array]:
    """All arrays of an npz, a dataset or what a worker has answered; never unpickles.

    Raises:
        DataError: Not an npz, truncated, holding objects, or unreasonably large.
    """
    try:
        if path.exists() and not path.is_file():
            raise DataError(f"{path}: not a plain file")
        with zipfile.ZipFile(path) as archive:
            claimed = sum(member.file_size for member in archive.infolist())
            if len(archive.infolist()) > MAX_ARRAYS:
                raise DataError(f"{path}: more than {MAX_ARRAYS:,} arrays")
            if claimed > MAX_BYTES:
                raise DataError(f"{path}: claims {claimed:,} bytes; at most {MAX_BYTES:,} are read")
            for _ in claims(archive):
                pass
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except DataError:
        raise
    except ArrayError as error:
        raise DataError(f"{path}: {error}") from error
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(
            f"{path}: not a readable npz of plain arrays ({reason}); delete it or give another file"
        ) from error
    return arrays


def _read_idx_folder(folder: Path) -> dict[str, Array]:
    return {name: _read_idx(folder, stem) for name, stem in IDX_FILES.items()}


def _read_idx(folder: Path, stem: str) -> Array:
    for path in (folder / stem, folder / f"{stem}.gz"):
        if not path.exists():
            continue
        if not path.is_file():
            raise DataError(f"{path}: not a plain file")
        try:
            with gzip.open(path) if path.suffix else path.open("rb") as file:
                raw = file.read(MAX_IDX_BYTES)
            axes = raw[3]
            shape = np.frombuffer(raw, ">u4", axes, offset=4)
            return np.frombuffer(raw, np.uint8, offset=4 + 4 * axes).reshape(shape)
        except Exception as error:
            raise DataError(f"{path}: not a readable idx file: {error}") from error
    raise DataError(f"{folder}: no {stem} or {stem}.gz in it; give a file or the idx files")


def _keras_cache() -> Path | None:
    home = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")
    cached = home / "datasets" / "mnist.npz"
    return cached if cached.exists() else None


def _download() -> Path:
    import pooch

    pooch.get_logger().setLevel(logging.WARNING)
    return Path(
        pooch.retrieve(
            MNIST_URL,
            known_hash=f"sha256:{MNIST_SHA256}",
            fname="mnist.npz",
            path=pooch.os_cache("keras-backend-bench"),
            downloader=pooch.HTTPDownloader(timeout=DOWNLOAD_TIMEOUT_SECONDS),
        )
    )


def _store(name: str, arrays: dict[str, Array], folder: Path, note: str = "") -> Dataset:
    images = {
        key: array[..., np.newaxis] if key.startswith("x_") else array
        for key, array in arrays.items()
    }
    return store(name, images, folder, note)


def store(name: str, arrays: Mapping[str, Array], folder: Path, note: str = "") -> Dataset:
    """Keep the arrays as a read-only npz named by their hash; an intact one is used again.

    Raises:
        StorageError: The disk does not take it.
    """
    sha256 = content_sha256(arrays)
    path = _stored_path(name, sha256, folder)
    if not _holds(path, sha256):
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)  # type: ignore[arg-type]
        with storage_errors(path):
            folder.mkdir(parents=True, exist_ok=True)
        write_atomically(path, buffer.getvalue(), mode=0o444)
    return replace(_dataset(name, path, arrays, sha256), note=note)


def _dataset(name: str, path: Path, arrays: Mapping[str, Array], sha256: str) -> Dataset:
    train, test = (
        next(len(array) for key, array in arrays.items() if f"x_{split}" in key) for split in SPLITS
    )
    return Dataset(name, path, sha256, train, test, PIXEL_SCALE if name in SHIPPED else 1)


def _stored_path(name: str, sha256: str, folder: Path) -> Path:
    return folder / f"{name}-{sha256[:16]}.npz"


def _holds(path: Path, sha256: str) -> bool:
    with contextlib.suppress(DataError, KeyError):
        return content_sha256(read_npz(path)) == sha256
    return False
