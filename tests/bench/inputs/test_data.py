import gzip
import hashlib
import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.contract.errors import DataError, StorageError
from bench.inputs import datasets


@pytest.fixture
def small_mnist(monkeypatch: pytest.MonkeyPatch) -> dict[str, NDArray[Any]]:
    """Four small arrays that pass for MNIST: the expected sums are set to theirs.

    The sums come from idx files put together here byte by byte, not from the code under test.
    """
    generator = np.random.default_rng(0)
    arrays = {
        "x_train": generator.integers(0, 256, (20, 28, 28)).astype(np.uint8),
        "y_train": generator.integers(0, 10, 20).astype(np.uint8),
        "x_test": generator.integers(0, 256, (5, 28, 28)).astype(np.uint8),
        "y_test": generator.integers(0, 10, 5).astype(np.uint8),
    }
    monkeypatch.setattr(
        datasets,
        "MNIST_IDX_MD5",
        {name: hashlib.md5(idx_bytes(array)).hexdigest() for name, array in arrays.items()},  # noqa: S324
    )
    monkeypatch.setenv("KERAS_HOME", "/nowhere")
    return arrays


def idx_bytes(array: NDArray[Any]) -> bytes:
    sizes = b"".join(int(size).to_bytes(4, "big") for size in array.shape)
    return b"\0\0\x08" + bytes([array.ndim]) + sizes + array.tobytes()


def save(path: Path, arrays: dict[str, NDArray[Any]]) -> Path:
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path


def offline(*_: object) -> Path:
    raise ConnectionError("no network")


def captive_portal(*_: object) -> Path:
    raise ValueError("SHA256 hash of downloaded file does not match")


def test_idx_sum_is_that_of_the_file() -> None:
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    expected = hashlib.md5(idx_bytes(array)).hexdigest()  # noqa: S324
    assert datasets.idx_md5(array) == expected


def test_an_empty_label_file_of_mnist_has_the_published_form() -> None:
    # Magic number 2049 and the count, as the MNIST page documents them.
    labels = np.zeros(60_000, np.uint8)
    assert idx_bytes(labels)[:8] == (2049).to_bytes(4, "big") + (60_000).to_bytes(4, "big")


def test_npz_is_accepted(small_mnist: dict[str, NDArray[Any]], tmp_path: Path) -> None:
    arrays = datasets.load_mnist(save(tmp_path / "m.npz", small_mnist))
    assert all(np.array_equal(arrays[name], small_mnist[name]) for name in datasets.ARRAYS)


@pytest.mark.parametrize("packed", [False, True])
def test_idx_folder_is_accepted(
    small_mnist: dict[str, NDArray[Any]], tmp_path: Path, packed: bool
) -> None:
    for name, stem in datasets.IDX_FILES.items():
        raw = idx_bytes(small_mnist[name])
        path = tmp_path / (stem + ".gz" if packed else stem)
        path.write_bytes(gzip.compress(raw) if packed else raw)
    arrays = datasets.load_mnist(tmp_path)
    assert all(np.array_equal(arrays[name], small_mnist[name]) for name in datasets.ARRAYS)


def test_one_changed_pixel_is_found(small_mnist: dict[str, NDArray[Any]], tmp_path: Path) -> None:
    small_mnist["x_test"][3, 14, 14] ^= 1
    with pytest.raises(DataError, match="not MNIST: x_test"):
        datasets.load_mnist(save(tmp_path / "m.npz", small_mnist))


def test_one_changed_label_is_found(small_mnist: dict[str, NDArray[Any]], tmp_path: Path) -> None:
    small_mnist["y_train"][0] ^= 1
    with pytest.raises(DataError, match="not MNIST: y_train"):
        datasets.load_mnist(save(tmp_path / "m.npz", small_mnist))


def test_other_dtype_is_refused(small_mnist: dict[str, NDArray[Any]], tmp_path: Path) -> None:
    small_mnist["x_train"] = small_mnist["x_train"].astype(np.float32)
    with pytest.raises(DataError, match="float32"):
        datasets.load_mnist(save(tmp_path / "m.npz", small_mnist))


def test_a_missing_array_is_named(small_mnist: dict[str, NDArray[Any]], tmp_path: Path) -> None:
    del small_mnist["y_test"]
    with pytest.raises(DataError, match="no y_test"):
        datasets.load_mnist(save(tmp_path / "m.npz", small_mnist))


def test_what_is_no_npz_is_one_clear_line(
    small_mnist: dict[str, NDArray[Any]], tmp_path: Path
) -> None:
    whole = save(tmp_path / "whole.npz", small_mnist).read_bytes()
    for content in (b"", b"<html>404</html>", whole[: len(whole) // 2], b"\x80\x04N."):
        path = tmp_path / "bad.npz"
        path.write_bytes(content)
        with pytest.raises(DataError) as caught:
            datasets.load_mnist(path)
        assert "\n" not in str(caught.value)
        assert str(path) in str(caught.value)


def test_every_truncation_of_an_npz_is_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, x=np.arange(3, dtype=np.uint8))
    whole, path = buffer.getvalue(), tmp_path / "cut.npz"
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(DataError):
            datasets.read_npz(path)


@pytest.mark.parametrize("suffix", ["npz", "gz"])
def test_flipped_bytes_of_a_packed_file_are_refused_or_change_nothing(
    tmp_path: Path, suffix: str
) -> None:
    array = np.random.default_rng(0).integers(0, 9, (3, 7), dtype=np.uint8)
    path = tmp_path / f"{datasets.IDX_FILES['x_test']}.{suffix}"
    if suffix == "npz":
        np.savez_compressed(path, x=array)
    else:
        path.write_bytes(gzip.compress(idx_bytes(array)))
    whole = path.read_bytes()
    for position in range(len(whole)):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 5]) + whole[position + 1 :])
        try:
            if suffix == "npz":
                datasets.read_npz(path)
            else:
                datasets._read_idx(tmp_path, datasets.IDX_FILES["x_test"])
        except DataError as error:
            assert "\n" not in str(error)  # noqa: PT017 - what is not refused is hashed later


def test_fault_27_pickled_arrays_are_refused_and_never_run(tmp_path: Path) -> None:
    canary = tmp_path / "canary"

    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (canary,))

    np.savez(tmp_path / "bomb.npz", x_train=np.array([Bomb()], dtype=object))
    with pytest.raises(DataError, match="allow_pickle"):
        datasets.load_mnist(tmp_path / "bomb.npz")
    assert not canary.exists()


def test_fault_27_giant_arrays_are_refused_before_they_are_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    half = np.zeros(10_000, np.uint8)
    np.savez_compressed(tmp_path / "big.npz", x=half, y=half)
    monkeypatch.setattr(datasets, "MAX_BYTES", 20_256)
    assert datasets.read_npz(tmp_path / "big.npz").keys() == {"x", "y"}
    monkeypatch.setattr(datasets, "MAX_BYTES", 20_255)
    with pytest.raises(DataError, match=r"claims 20,256 bytes; at most 20,255 are read"):
        datasets.read_npz(tmp_path / "big.npz")


def test_fault_27_an_idx_file_without_end_is_not_read_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    header = bytes([0, 0, 8, 1]) + np.array([2000], ">u4").tobytes()
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(header + bytes(2000)))
    monkeypatch.setattr(datasets, "MAX_IDX_BYTES", 1000)
    with pytest.raises(DataError, match="not a readable idx file"):
        datasets.load_mnist(tmp_path)


def test_a_path_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nothing\.npz: no such file"):
        datasets.load_mnist(tmp_path / "nothing.npz")


def test_incomplete_idx_folder_names_the_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no train-images-idx3-ubyte"):
        datasets.load_mnist(tmp_path)


def test_digits_are_those_of_scikit_learn() -> None:
    """Whose file is read without it."""
    from sklearn.datasets import load_digits

    ours, theirs = datasets.load_digits(), load_digits()
    order = np.random.default_rng(0).permutation(1797)
    pixels = np.concatenate([ours["x_train"], ours["x_test"]])[:, 2:-2:3, 2:-2:3]
    assert np.array_equal(pixels, np.rint(theirs.images * 255 / 16)[order])
    assert np.array_equal(np.concatenate([ours["y_train"], ours["y_test"]]), theirs.target[order])


def test_digits_are_real_images_of_the_same_form() -> None:
    digits = datasets.load_digits()
    assert digits["x_train"].shape == (1500, 28, 28)
    assert digits["x_test"].shape == (297, 28, 28)
    assert digits["x_train"].dtype == digits["y_train"].dtype == np.uint8
    assert digits["x_train"].max() == 255
    assert not digits["x_train"][:, :2].any()
    assert sorted(np.unique(digits["y_test"])) == list(range(10))
    together = np.concatenate([digits["x_train"], digits["x_test"]]).reshape(1797, -1)
    assert len(np.unique(together, axis=0)) == 1797


def test_auto_takes_mnist_where_it_is(small_mnist: dict[str, NDArray[Any]], tmp_path: Path) -> None:
    path = save(tmp_path / "m.npz", small_mnist)
    dataset = datasets.prepare("auto", path, tmp_path / "data")
    assert (dataset.name, dataset.note, dataset.train_examples) == ("mnist", "", 20)
    assert datasets.read_npz(dataset.path)["x_train"].shape == (20, 28, 28, 1)


@pytest.mark.parametrize("download", [offline, captive_portal])
def test_auto_falls_back_to_digits_aloud(
    small_mnist: dict[str, NDArray[Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    download: object,
) -> None:
    monkeypatch.setattr(datasets, "_download", download)
    dataset = datasets.prepare("auto", None, tmp_path)
    assert dataset.name == "digits"
    assert "could not be downloaded" in dataset.note


def test_mnist_that_was_asked_for_is_never_replaced(
    small_mnist: dict[str, NDArray[Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets, "_download", offline)
    with pytest.raises(DataError, match="--mnist PATH"):
        datasets.prepare("mnist", None, tmp_path)


def test_auto_does_not_replace_a_file_that_the_user_named(tmp_path: Path) -> None:
    (tmp_path / "m.npz").write_bytes(b"<html>")
    with pytest.raises(DataError):
        datasets.prepare("auto", tmp_path / "m.npz", tmp_path)


def test_the_keras_cache_is_used(
    small_mnist: dict[str, NDArray[Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "datasets").mkdir()
    save(tmp_path / "datasets" / "mnist.npz", small_mnist)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(datasets, "_download", offline)
    assert datasets.prepare("mnist", None, tmp_path / "data").name == "mnist"


def test_fault_26_it_is_downloaded_once_and_workers_get_a_file_and_its_hash(
    small_mnist: dict[str, NDArray[Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the coordinator, before any worker is started; none of them can write what they read."""
    downloads = []

    def download() -> Path:
        downloads.append(1)
        save(tmp_path / "mnist.npz", small_mnist)
        return tmp_path / "mnist.npz"

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(datasets, "_download", download)
    dataset = datasets.prepare("mnist", None, tmp_path / "data")
    requests = [dataset.request("two_layer", "stock") for _ in range(3)]
    assert len(downloads) == 1
    assert {(each.data, each.data_sha256) for each in requests} == {
        (str(dataset.path), dataset.sha256)
    }
    assert dataset.path.stat().st_mode & 0o222 == 0


def test_the_prepared_file_is_used_again_and_mended(tmp_path: Path) -> None:
    first = datasets.prepare("digits", None, tmp_path)
    stamp = first.path.stat().st_mtime_ns
    again = datasets.prepare("digits", None, tmp_path)
    assert (again.path, again.sha256) == (first.path, first.sha256)
    assert again.path.stat().st_mtime_ns == stamp
    first.path.chmod(0o644)
    first.path.write_bytes(b"damaged")
    mended = datasets.prepare("digits", None, tmp_path)
    assert datasets.content_sha256(datasets.read_npz(mended.path)) == first.sha256
    assert mended.path.stat().st_mode & 0o222 == 0


def test_a_resumed_run_finds_its_dataset_without_the_file_it_came_from(tmp_path: Path) -> None:
    prepared = datasets.prepare("digits", None, tmp_path)
    found = datasets.stored("digits", prepared.sha256, tmp_path)
    assert found is not None
    assert (found.path, found.train_examples) == (prepared.path, 1500)
    assert (found.test_examples, found.scale) == (297, 255)
    assert datasets.stored("digits", "0" * 64, tmp_path) is None


def test_a_folder_that_cannot_be_written_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot be written"):
        datasets.prepare("digits", None, tmp_path / "file")


def test_fault_27_a_pipe_is_no_dataset(tmp_path: Path) -> None:
    """Nobody ever writes into it."""
    os.mkfifo(tmp_path / "pipe.npz")
    os.mkfifo(tmp_path / "train-images-idx3-ubyte")
    for path in (tmp_path / "pipe.npz", tmp_path):
        with pytest.raises(DataError, match="not a plain file"):
            datasets.load_mnist(path)


def test_fault_27_a_dataset_of_too_many_arrays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrays = {f"x{number}": np.zeros(1) for number in range(4)}
    np.savez(tmp_path / "many.npz", **arrays)  # type: ignore[arg-type]
    monkeypatch.setattr(datasets, "MAX_ARRAYS", 4)
    assert datasets.read_npz(tmp_path / "many.npz").keys() == arrays.keys()
    monkeypatch.setattr(datasets, "MAX_ARRAYS", 3)
    with pytest.raises(DataError, match="more than 3 arrays"):
        datasets.read_npz(tmp_path / "many.npz")
