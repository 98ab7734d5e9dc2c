"""Facts about every registered dataset that needs no file: what registering one promises."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
import torch

from d2lbench.catalogue import load

ENTRIES = {entry.name: entry for entry in load().entries("dataset")}
EMBEDDED = [entry for entry in ENTRIES.values() if entry.traits.embedded]
LINEAR = [entry for entry in EMBEDDED if entry.traits.task == "regression"]
#: Options beside the defaults under which the contract holds too.
VARIANTS = [
    ("digits", {"train_size": 50}),
    ("high-dim-linear", {"features": 3, "validation": 30}),
    ("polynomial", {"degree": 1}),
    ("polynomial", {"degree": 19, "validation": 10}),
    ("least-squares", {"condition": 1.0, "noise": 0.0}),
    ("sparse-linear", {"features": 12, "relevant": 12, "noise_features": 7, "correlation": 0.9}),
    ("sparse-linear", {"relevant": 0}),
    ("xor", {"noise": 0.0, "train_size": 7}),
    ("topics", {"vocabulary": 2, "length": 1}),
]
CASES = [(entry.name, {}) for entry in EMBEDDED] + VARIANTS

embedded = pytest.mark.parametrize("entry", EMBEDDED, ids=lambda entry: entry.name)
cases = pytest.mark.parametrize(("name", "options"), CASES, ids=[f"{name}-{options}" for name, options in CASES])


def rows(splits, part):
    """Return a split's examples as a sorted list of bytes: input and target."""
    x, y = splits.pool.x, splits.pool.y
    return sorted(x[row].tobytes() + y[row].tobytes() for row in getattr(splits, part))


def trait(entry, name, options):
    value = getattr(entry.traits, name)
    return value(options) if callable(value) else value


def test_the_datasets_are_those_that_the_questions_need():
    assert {
        "digits", "fashion-mnist", "mnist", "kmnist", "cifar10", "high-dim-linear", "polynomial", "least-squares",
        "sparse-linear", "xor", "topics",
    } <= ENTRIES.keys()  # fmt: skip


@pytest.mark.parametrize("entry", ENTRIES.values(), ids=lambda entry: entry.name)
def test_what_is_declared_is_whole_and_agrees_with_itself(entry):
    assert entry.traits.task in {"classification", "regression"}
    assert (entry.traits.classes == 0) == (entry.traits.task == "regression")
    assert entry.traits.sizes.keys() == {"train", "validation", "test"}
    assert {"train_size", "folds", "fold"} <= entry.options.keys()
    assert callable(entry.traits.check)
    assert bool(entry.traits.locate) != entry.traits.embedded
    assert len(entry.summary) < 120


def test_every_dataset_has_a_check_sum_of_its_own():
    sums = [entry.traits.checksum for entry in ENTRIES.values()]
    assert all(re.fullmatch("[0-9a-f]{64}", checksum) for checksum in sums)
    assert len(set(sums)) == len(sums)


@embedded
def test_the_splits_have_the_sizes_that_are_declared(entry):
    splits = entry.factory(4)
    sizes = {part: len(getattr(splits, part)) for part in ("train", "validation", "test")}
    assert sizes == entry.traits.sizes


@cases
def test_a_seed_gives_the_same_examples_every_time(name, options):
    one, again = (ENTRIES[name].factory(11, **options) for _ in range(2))
    for part in ("train", "validation", "test"):
        assert np.array_equal(getattr(one, part), getattr(again, part))
    assert one.pool.x.tobytes() == again.pool.x.tobytes()
    assert one.pool.y.tobytes() == again.pool.y.tobytes()


@embedded
def test_other_seeds_give_other_examples_in_every_split(entry):
    one, other = entry.factory(0), entry.factory(1)
    for part, size in entry.traits.sizes.items():
        if size:
            assert rows(one, part) != rows(other, part)


@cases
def test_no_example_is_in_two_splits_and_every_row_exists(name, options):
    splits = ENTRIES[name].factory(2, **options)
    found = np.concatenate([splits.train, splits.validation, splits.test])
    assert len(set(found)) == len(found)
    assert found.min() >= 0
    assert found.max() < len(splits.pool.x) == len(splits.pool.y)


@cases
def test_inputs_have_the_declared_shape_and_a_dtype_that_torch_takes(name, options):
    entry = ENTRIES[name]
    resolved = entry.resolve(options)
    pool = entry.factory(2, **options).pool
    assert pool.x.ndim == 2
    assert pool.x.shape[1] == math.prod(trait(entry, "shape", resolved))
    assert pool.x.dtype in (np.uint8, np.int32, np.float32)
    assert torch.from_numpy(pool.x).is_contiguous()
    assert np.isfinite(pool.x).all()
    assert pool.scale > 0


@cases
def test_targets_are_classes_or_finite_numbers_as_declared(name, options):
    entry = ENTRIES[name]
    splits = entry.factory(2, **options)
    y = splits.pool.y
    assert splits.pool.classes == entry.traits.classes
    if entry.traits.task == "regression":
        assert y.dtype == np.float32
        assert np.isfinite(y).all()
    else:
        assert y.dtype == np.int64
        assert set(y[splits.test]) == set(range(splits.pool.classes))


@pytest.mark.parametrize("entry", [e for e in EMBEDDED if e.traits.vocabulary], ids=lambda entry: entry.name)
def test_words_are_whole_numbers_below_the_vocabulary(entry):
    pool = entry.factory(3).pool
    assert pool.x.dtype == np.int32
    assert pool.scale == 1
    assert pool.x.min() >= 0
    assert pool.x.max() < trait(entry, "vocabulary", entry.resolve({}))


@embedded
def test_a_larger_training_set_contains_the_smaller_and_moves_nothing_else(entry):
    small, large = entry.factory(5, train_size=8), entry.factory(5, train_size=20)
    assert len(small.train) == 8
    assert len(large.train) == 20
    assert set(rows(small, "train")) <= set(rows(large, "train"))
    assert rows(small, "validation") == rows(large, "validation")
    assert rows(small, "test") == rows(large, "test")


@embedded
@pytest.mark.parametrize("options", [{}, {"train_size": 18}])
def test_folds_cut_the_training_examples_so_that_each_validates_once(entry, options):
    whole = entry.factory(6, **options)
    parts = [entry.factory(6, folds=4, fold=fold, **options) for fold in range(4)]
    validating = np.concatenate([part.validation for part in parts])
    assert sorted(validating) == sorted(whole.train)
    assert len({len(part.validation) for part in parts}) <= 2
    for part in parts:
        assert sorted(np.concatenate([part.train, part.validation])) == sorted(whole.train)
        assert np.array_equal(part.test, whole.test)


@embedded
def test_folds_are_drawn_by_the_seed_and_not_in_the_order_of_the_rows(entry):
    one, other = (entry.factory(seed, folds=5, fold=0) for seed in (0, 1))
    order = np.sort(entry.factory(0).train)
    assert set(one.validation) != set(order[: len(one.validation)])
    if entry.name != "digits":  # whose rows the seed has drawn already
        assert set(one.validation) != set(other.validation)


@pytest.mark.parametrize("entry", LINEAR, ids=lambda entry: entry.name)
def test_a_regression_tells_the_weights_and_the_bias_behind_it(entry):
    options = {"train_size": 5_000}
    splits = entry.factory(1, **options)
    x, y = splits.pool.x[splits.train].astype(float), splits.pool.y[splits.train]
    truth = splits.pool.truth
    assert truth.shape == (x.shape[1] + 1,)
    errors = y - (x @ truth[:-1] + truth[-1])
    noise = {"high-dim-linear": 0.01, "polynomial": 0.1, "least-squares": 0.7, "sparse-linear": 1.0}[entry.name]
    # The standard error of a standard deviation is σ/√(2n): a hundredth of σ at n = 5000.
    assert errors.std() == pytest.approx(noise, rel=0.05)
    assert abs(errors.mean()) < 5 * noise / math.sqrt(len(y))


#: An input and a target of seed 0, drawn when the generators were at version 2.
DRAWN = {
    "xor": (0.03102218, -1.270423, 1.0),
    "topics": (244.0, 6.0, 3.0),
    "high-dim-linear": (0.4454483, 1.051566, -0.1113063),
    "polynomial": (-1.547795, 1.197835, -4.433959),
    "least-squares": (-0.1985779, 1.197726, 1.568103),
    "sparse-linear": (-1.60619, 0.02132779, 2.989455),
}


@pytest.mark.parametrize("entry", [e for e in EMBEDDED if e.name != "digits"], ids=lambda entry: entry.name)
def test_a_generator_draws_what_its_version_has_always_drawn(entry):
    splits = entry.factory(0)
    row = splits.train[3]
    found = (*splits.pool.x[row][:2], splits.pool.y[row])
    assert found == pytest.approx(DRAWN[entry.name], rel=1e-5), "raise VERSION in datasets/drawn.py"
