"""Facts about estimates: what held-out examples promise, and whether a falling training loss is good news."""

from __future__ import annotations

import math

import numpy as np
import pytest

from d2lbench import catalogue
from d2lbench.catalogue.metrics import Record

REGISTRY = catalogue.load()


def read(name, record, **options):
    entry = REGISTRY.get("metric", name)
    return entry.factory(record, **entry.resolve(options))


def record(**series):
    return Record({name: (np.arange(len(y), dtype=float), np.array(y, dtype=float)) for name, y in series.items()})


def test_steps_that_lower_one_loss_and_raise_the_other_are_counted_in_the_last_half():
    run = record(train_loss=[9, 8, 7, 6, 5, 4, 3], test_loss=[0, 1, 2, 3, 4, 3, 5])
    assert read("opposed_share", run) == pytest.approx(2 / 3)  # of the steps to epochs 4, 5 and 6, two
    assert read("opposed_share", run, share=1.0) == pytest.approx(5 / 6)


def test_losses_that_move_together_never_oppose():
    together = record(train_loss=[3, 2, 4, 1], test_loss=[5, 4, 6, 3])
    assert read("opposed_share", together, share=1.0) == 0
    assert read("opposed_share", record(train_loss=[1, 2, 3], test_loss=[3, 2, 1]), share=1.0) == 0


def test_a_diverged_run_neither_falls_nor_promises_anything():
    diverged = Record({}, diverged=True, epochs=3, chance=0.1)
    assert read("opposed_share", diverged) == 0
    assert read("optimism", diverged) == 0
    assert math.isnan(read("opposed_share", record()))


def test_optimism_is_what_validation_promises_beyond_the_test():
    run = record(validation_accuracy=[0.1, 0.9], test_accuracy=[0.1, 0.8])
    assert read("optimism", run) == pytest.approx(0.1)


def test_uneven_gradients_count_alike_in_both_directions():
    up = record(**{"gradient_norm/1": [1e-3], "gradient_norm/2": [1e-1]})
    down = record(**{"gradient_norm/1": [1e-1], "gradient_norm/2": [1e-3]})
    assert read("gradient_norm_ratio", up, at="start") == pytest.approx(2)
    assert read("gradient_norm_ratio", down, at="start") == pytest.approx(-2)
    for run in (up, down):
        assert read("gradient_norm_ratio", run, at="start", absolute=True) == pytest.approx(2)


def test_the_gain_of_folds_is_how_much_nearer_to_zero_their_mean_lies():
    gain = REGISTRY.get("statistic", "fold_gain").factory
    assert gain(np.array([-0.3, 0.1, 0.2]), np.arange(3.0)) == pytest.approx(0.3)
    assert gain(np.array([0.0, 0.3]), np.arange(2.0)) == pytest.approx(-0.15)


def test_the_gain_of_folds_is_never_negative_on_average_over_which_fold_comes_first():
    gain = REGISTRY.get("statistic", "fold_gain").factory
    errors = np.random.default_rng(0).normal(size=(200, 5))
    for row in errors:
        assert np.mean([gain(np.roll(row, -k), np.arange(5.0)) for k in range(5)]) >= -1e-15
