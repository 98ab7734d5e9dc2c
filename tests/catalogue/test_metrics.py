"""Facts about metrics: what they read of a record, and what stands in for a diverged run."""

from __future__ import annotations

import math

import numpy as np
import pytest

from d2lbench import catalogue
from d2lbench.catalogue.metrics import LOG10_OF_ZERO, Record
from d2lbench.core.spec import Component

REGISTRY = catalogue.load()


def read(name, record, **options):
    entry = REGISTRY.get("metric", name)
    return entry.factory(record, **entry.resolve(options))


def record(**series):
    return Record({name: (np.arange(len(y), dtype=float), np.array(y, dtype=float)) for name, y in series.items()})


def test_a_metric_reads_the_last_value_unless_told_otherwise():
    finished = record(test_accuracy=[0.1, 0.9, 0.8])
    assert read("test_accuracy", finished) == 0.8
    assert read("test_accuracy", finished, at="best") == 0.9
    assert read("test_accuracy", finished, at="start") == 0.1
    assert list(read("test_accuracy", finished, at="each")) == [0.1, 0.9, 0.8]


def test_best_is_the_smallest_loss_and_the_largest_accuracy():
    assert read("test_loss", record(test_loss=[2.0, 0.5, 0.7]), at="best") == 0.5


def test_a_diverged_run_counts_at_chance_and_at_the_larger_loss():
    series = {"test_accuracy": (np.array([0.0, 1.0]), np.array([0.1, np.nan]))}
    series["test_loss"] = (np.array([0.0, 1.0]), np.array([2.3, np.nan]))
    diverged = Record(series, diverged=True, epochs=1, chance=0.1, constant_loss=2.3, last_finite_loss=7.5)
    assert read("test_accuracy", diverged) == 0.1
    assert read("test_loss", diverged) == 7.5
    assert read("gap", diverged) == 0.0
    assert list(read("test_accuracy", diverged, at="each")) == [0.1, 0.1]


def test_the_gap_is_training_minus_test_accuracy():
    assert read("gap", record(train_accuracy=[0.1, 1.0], test_accuracy=[0.1, 0.75])) == 0.25


def test_epochs_to_target_is_censored_at_budget_plus_one():
    x, y = np.array([0.0, 2.0, 4.0]), np.array([0.1, 0.5, 0.9])
    trained = Record({"validation_accuracy": (x, y)}, epochs=4)
    assert read("epochs_to_target", trained, target=0.5) == 2
    assert read("epochs_to_target", trained, target=0.95) == 5


def test_a_vanished_gradient_still_has_a_logarithm():
    assert read("log10_gradient_norm", record(**{"gradient_norm/1": [1e-25]}), at="start") == pytest.approx(-25)
    assert read("log10_gradient_norm", record(**{"gradient_norm/1": [0.0]}), at="start") == LOG10_OF_ZERO


def test_a_ratio_between_layers_is_last_over_first_in_decades():
    layers = {"activation_variance/1": [1.0], "activation_variance/2": [0.5], "activation_variance/10": [0.01]}
    assert read("activation_variance_ratio", record(**layers), at="start") == pytest.approx(-2)


def test_late_variation_is_free_of_the_trend_and_of_the_scale():
    falling = [10.0 - k for k in range(10)]
    jumping = [5 + (-1) ** k for k in range(10)]
    assert read("late_variation", record(batch_loss=falling)) < 1e-9
    shaken = read("late_variation", record(batch_loss=jumping))
    assert shaken > 0.1
    assert read("late_variation", record(batch_loss=[7 * y for y in jumping])) == pytest.approx(shaken)


def test_a_series_that_was_not_recorded_reads_nan():
    assert math.isnan(read("weight_norm", record()))


@pytest.mark.parametrize("entry", REGISTRY.entries("metric"), ids=lambda entry: entry.name)
def test_every_metric_declares_how_sides_differ_and_both_margins(entry):
    assert entry.traits.as_ in {"difference", "ratio"}
    assert set(entry.traits.margins) == {"quick", "full"}
    assert entry.traits.better in {"higher", "lower", None}
    options = {"target": 0.9} if "target" in entry.options else {}
    columns = entry.traits.series(Component("metric", entry.name, tuple(entry.resolve(options).items())))
    assert columns
    assert all(isinstance(column, str) for column in columns)
    assert entry.summary


def test_what_compares_training_with_test_does_so_where_both_were_looked_at():
    series = {
        "train_accuracy": (np.array([0.0, 4.0, 7.0]), np.array([0.1, 0.8, 0.9])),
        "test_accuracy": (np.array([0.0, 2.0, 4.0, 6.0, 7.0]), np.array([0.1, 0.5, 0.6, 0.65, 0.6])),
        "train_loss": (np.array([0.0, 4.0, 7.0]), np.array([2.0, 1.0, 0.5])),
        "test_loss": (np.array([0.0, 2.0, 4.0, 6.0, 7.0]), np.array([2.0, 9.0, 1.5, 0.0, 1.6])),
    }
    run = Record(series=series, epochs=7)
    assert REGISTRY.get("metric", "gap").factory(run, at="each") == pytest.approx([0.0, 0.2, 0.3])
    assert REGISTRY.get("metric", "gap").factory(run) == pytest.approx(0.3)
    assert REGISTRY.get("metric", "opposed_share").factory(run, share=1.0) == 0.5  # rose from 1.5 to 1.6 while it fell
