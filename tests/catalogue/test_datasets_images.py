"""Facts about published sets of images: on the real files where there are some, on small ones made here otherwise."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from d2lbench.catalogue import datasets, load
from d2lbench.catalogue.datasets import images
from d2lbench.core.errors import DataError

FASHION_MNIST = Path(os.environ.get("D2LBENCH_DATA", "nowhere")) / "FashionMNIST" / "raw"
needs_images = pytest.mark.skipif(
    not (FASHION_MNIST / "t10k-labels-idx1-ubyte.gz").is_file(), reason="D2LBENCH_DATA names no Fashion-MNIST"
)
IDX = [images.FASHION_MNIST, images.MNIST, images.KMNIST]
idx = pytest.mark.parametrize("files", IDX, ids=lambda files: files.name)
PUBLISHED = ["fashion-mnist", "mnist", "kmnist", "cifar10"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("D2LBENCH_DATA", str(tmp_path))
    return tmp_path


def written_idx(raw, train, test, seed=0):
    """Write four gzip files of random images as MNIST has them; return the arrays and the sums of the files."""
    raw.mkdir(parents=True)
    draw = np.random.default_rng(seed)
    arrays = []
    for count in (train, test):
        arrays += [draw.integers(0, 256, (count, 28, 28), dtype=np.uint8), draw.integers(0, 10, count, dtype=np.uint8)]
    for name, array in zip(images.IDX_FILES, arrays, strict=True):
        sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
        (raw / name).write_bytes(gzip.compress(bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes()))
    sums = tuple(hashlib.md5((raw / name).read_bytes()).hexdigest() for name in images.IDX_FILES)  # noqa: S324
    return arrays, sums


def written_cifar10(path, each):
    """Write an archive as CIFAR-10's, its parts in a jumble; return labels, images (N, 3, 32, 32) and its sum."""
    draw = np.random.default_rng(1)
    labels = draw.integers(0, 10, (6, each), dtype=np.uint8)
    pixels = draw.integers(0, 256, (6, each, 3, 32, 32), dtype=np.uint8)
    with tarfile.open(path, "w:gz") as archive:
        for part in (4, 0, 5, 2, 1, 3):
            content = b"".join(
                bytes([label]) + image.tobytes() for label, image in zip(labels[part], pixels[part], strict=True)
            )
            name = "test_batch.bin" if part == 5 else f"data_batch_{part + 1}.bin"
            for inner, data in ((name, content), (f"about-{part}.txt", b"a text")):
                member = tarfile.TarInfo(f"cifar-10-batches-bin/{inner}")
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    found = hashlib.md5(path.read_bytes()).hexdigest()  # noqa: S324
    return labels.ravel(), pixels.reshape(-1, 3, 32, 32), found


@pytest.mark.parametrize("name", PUBLISHED)
def test_missing_files_are_named_with_the_place_and_the_way_to_get_them(folder, name):
    entry = load().get("dataset", name)
    expected = "cifar-10-binary.tar.gz is not in" if name == "cifar10" else "train-images-idx3-ubyte.gz is not in"
    for asked in (entry.traits.locate, lambda: entry.factory(0)):
        with pytest.raises(DataError) as error:
            asked()
        assert str(error.value).startswith(f"{name}: {expected}")
        assert str(folder) in str(error.value)
        assert "set D2LBENCH_DATA to a folder that" in str(error.value)
        assert 'fetch it once with: python -c "from torchvision.datasets' in str(error.value)


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("name", PUBLISHED)
def test_the_python_that_an_error_offers_names_things_that_torchvision_has(name):
    torchvision = pytest.importorskip("torchvision")
    with pytest.raises(DataError) as error:
        load().get("dataset", name).traits.locate()
    code = str(error.value).partition('python -c "')[2].removesuffix('"')
    statement, _, call = code.partition("; ")
    module, _, imported = statement.removeprefix("from ").partition(" import ")
    compile(call, "the error", "eval")
    assert module in {"torchvision.datasets", "torchvision.datasets.utils"}
    home = torchvision.datasets.utils if module.endswith("utils") else torchvision.datasets
    assert callable(getattr(home, imported))


@idx
def test_the_sums_are_those_that_torchvision_publishes(files):
    published = getattr(pytest.importorskip("torchvision.datasets"), files.published)
    assert tuple(published.resources) == tuple(zip(images.IDX_FILES, files.md5, strict=True))


@idx
def test_a_damaged_file_is_refused_with_both_sums(folder, files):
    raw = folder / files.published / "raw"
    raw.mkdir(parents=True)
    for name in images.IDX_FILES:
        (raw / name).write_bytes(gzip.compress(b"not images"))
    with pytest.raises(DataError, match=rf"{files.name}: .* is damaged \(MD5 [0-9a-f]{{32}}, expected {files.md5[0]}"):
        load().get("dataset", files.name).factory(0)


def test_a_damaged_archive_is_refused_with_both_sums(folder):
    (folder / images.CIFAR10_FILE).write_bytes(b"no archive")
    with pytest.raises(DataError, match=r"cifar10: .* is damaged \(MD5 [0-9a-f]{32}, expected c32a1d4ab5d03f12"):
        datasets.cifar10(0)


@idx
def test_idx_files_are_read_as_they_were_written(folder, files):
    arrays, sums = written_idx(folder / files.published / "raw", 30, 10)
    pool, train = replace(files, md5=sums).read(folder)
    assert train == 30
    assert np.array_equal(pool.x.reshape(-1, 28, 28), np.concatenate(arrays[::2]))
    assert np.array_equal(pool.y, np.concatenate(arrays[1::2]))
    assert pool.y.dtype == np.int64
    assert pool.scale * 255 == 1


def test_cifar10_is_read_in_the_order_of_its_parts_with_the_test_part_last(folder, monkeypatch):
    labels, pixels, found = written_cifar10(folder / images.CIFAR10_FILE, 4)
    monkeypatch.setattr(images, "CIFAR10_MD5", found)
    pool, train = images.read_cifar10(folder)
    assert train == 20
    assert np.array_equal(pool.y, labels)
    assert np.array_equal(pool.x.reshape(-1, 3, 32, 32), pixels)


def test_an_image_set_is_split_alike_whatever_it_is(folder, monkeypatch):
    *_, found = written_cifar10(folder / images.CIFAR10_FILE, 8)
    monkeypatch.setattr(images, "CIFAR10_MD5", found)
    one, other = (datasets.cifar10(seed, validation=10, train_size=20) for seed in (0, 1))
    assert np.array_equal(one.validation, other.validation)
    assert not np.array_equal(one.train, other.train)
    assert not set(one.train) & set(one.validation)
    assert list(one.test) == list(range(40, 48))
    folds = [datasets.cifar10(0, validation=10, train_size=20, folds=4, fold=fold) for fold in range(4)]
    assert sorted(np.concatenate([each.validation for each in folds])) == sorted(one.train)


def test_a_pool_is_read_once_a_folder(folder, monkeypatch):
    *_, found = written_cifar10(folder / images.CIFAR10_FILE, 2)
    monkeypatch.setattr(images, "CIFAR10_MD5", found)
    pool = datasets.cifar10(0, validation=0).pool
    (folder / images.CIFAR10_FILE).unlink()
    assert datasets.cifar10(1, validation=2).pool is pool


@needs_images
def test_fashion_mnist_keeps_one_validation_set_and_the_published_test_set():
    one, other = datasets.fashion_mnist(0, train_size=2000), datasets.fashion_mnist(1, train_size=2000)
    assert np.array_equal(one.validation, other.validation)
    assert len(one.validation) == 5000
    assert list(one.test) == list(range(60_000, 70_000))
    assert not np.array_equal(one.train, other.train)
    assert not set(one.train) & set(one.validation)


@needs_images
def test_without_validation_all_sixty_thousand_images_train():
    splits = datasets.fashion_mnist(0, validation=0)
    assert sorted(splits.train) == list(range(60_000))
    assert len(splits.validation) == 0


@needs_images
def test_fashion_mnist_is_what_torchvision_reads(tmp_path):
    torchvision = pytest.importorskip("torchvision")
    raw = tmp_path / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for name in images.IDX_FILES:
        (raw / name.removesuffix(".gz")).write_bytes(gzip.decompress((FASHION_MNIST / name).read_bytes()))
    theirs = torchvision.datasets.FashionMNIST(root=tmp_path, train=False)
    splits = datasets.fashion_mnist(0)
    assert np.array_equal(splits.pool.x[splits.test], theirs.data.numpy().reshape(-1, 784))
    assert np.array_equal(splits.pool.y[splits.test], theirs.targets.numpy())
