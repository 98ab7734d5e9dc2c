"""Facts about the digits that come with scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest

from d2lbench.catalogue import datasets


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
