"""Facts about datasets, on the real files."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import numpy as np
import pytest

from d2lbench.catalogue import datasets
from d2lbench.errors import DataError

FASHION_MNIST = Path(os.environ.get("D2LBENCH_DATA", "nowhere")) / "FashionMNIST" / "raw"
needs_images = pytest.mark.skipif(
    not (FASHION_MNIST / "t10k-labels-idx1-ubyte.gz").is_file(), reason="D2LBENCH_DATA names no Fashion-MNIST"
)


def test_digits_are_split_into_900_400_and_497_without_overlap():
    splits = datasets.digits(3)
    rows = [splits.train, splits.validation, splits.test]
    assert [len(part) for part in rows] == [900, 400, 497]
    assert sorted(np.concatenate(rows)) == list(range(1797))


def test_the_split_of_digits_is_stratified_and_drawn_by_the_seed():
    one, other = datasets.digits(0), datasets.digits(1)
    assert not np.array_equal(np.sort(one.test), np.sort(other.test))
    expected = np.bincount(one.pool.y) * 497 / 1797
    assert np.abs(np.bincount(one.pool.y[one.test]) - expected).max() <= 1


def test_every_image_of_digits_is_as_likely_to_be_tested_as_any_other():
    drawn = np.zeros(1797)
    for seed in range(400):
        drawn[datasets.digits(seed).test] += 1
    assert abs(drawn.mean() - 400 * 497 / 1797) < 1e-9
    spread = np.sqrt(400 * (497 / 1797) * (1 - 497 / 1797))  # of a binomial count
    assert np.abs(drawn - drawn.mean()).max() < 5 * spread


def test_the_rows_of_a_split_are_in_no_order_of_classes():
    splits = datasets.digits(2)
    labels = splits.pool.y[splits.train]
    assert np.abs(np.bincount(labels[:450], minlength=10) - np.bincount(labels[450:], minlength=10)).max() < 30


def test_digits_are_those_that_scikit_learn_loads():
    loaded = pytest.importorskip("sklearn.datasets").load_digits()
    pool = datasets.digits(0).pool
    assert np.array_equal(pool.x, loaded.data)
    assert np.array_equal(pool.y, loaded.target)


def test_a_smaller_subset_lies_within_a_larger_one_and_within_the_training_split():
    whole = datasets.digits(5)
    small, large = datasets.digits(5, train_size=100), datasets.digits(5, train_size=300)
    assert set(small.train) < set(large.train) < set(whole.train)
    assert np.array_equal(small.test, whole.test)


def test_missing_files_are_named_with_the_place_and_the_way_to_get_them(tmp_path, monkeypatch):
    monkeypatch.setenv("D2LBENCH_DATA", str(tmp_path))
    with pytest.raises(DataError) as error:
        datasets.locate_fashion_mnist()
    assert "train-images-idx3-ubyte.gz is not in" in str(error.value)
    assert str(tmp_path) in str(error.value)
    assert "download=True" in str(error.value)


def test_a_damaged_file_is_refused_with_both_sums(tmp_path, monkeypatch):
    monkeypatch.setenv("D2LBENCH_DATA", str(tmp_path))
    raw = tmp_path / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for name in datasets.FASHION_MNIST_MD5:
        (raw / name).write_bytes(gzip.compress(b"not images"))
    datasets._fashion_mnist_pool.cache_clear()
    with pytest.raises(DataError, match=r"is damaged \(MD5 [0-9a-f]{32}, expected 8d4fb7e6c68d591d4c3dfef9ec88bf0d\)"):
        datasets.fashion_mnist(0)


@needs_images
def test_fashion_mnist_keeps_one_validation_set_and_the_published_test_set():
    datasets._fashion_mnist_pool.cache_clear()
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
    for name in datasets.FASHION_MNIST_MD5:
        (raw / name.removesuffix(".gz")).write_bytes(gzip.decompress((FASHION_MNIST / name).read_bytes()))
    theirs = torchvision.datasets.FashionMNIST(root=tmp_path, train=False)
    splits = datasets.fashion_mnist(0)
    assert np.array_equal(splits.pool.x[splits.test], theirs.data.numpy().reshape(-1, 784))
    assert np.array_equal(splits.pool.y[splits.test], theirs.targets.numpy())
