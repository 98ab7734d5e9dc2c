"""Published numbers beside ours: the interval, what lies inside it, and what a reader is told of our side."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from d2lbench.analysis.assemble import section
from d2lbench.analysis.published import beside_published

ENTRY = """
[vary]
optimizer = ["adam"]
[[published]]
id = "theirs"
says = "It ended there."
source = "a book, page 7"
metric = "test_accuracy"
arm = { optimizer = "adam" }
approximate = true
differs = ["another order"]
"""
SEEDS = 12


def view(grid_of, results_of, ours, theirs, **options):
    """Return what stands beside published numbers, where our arm ends at one of ``ours`` for each seed."""
    grid = grid_of(f"{ENTRY}value = {list(theirs)}\n", **options)
    found = {"baseline": lambda _: {"test_accuracy": 0.0}, "adam": lambda seed: ours[seed]}

    def finals(label, _, seed):
        value = found[label](seed)
        return value if isinstance(value, dict) or value is None else {"test_accuracy": float(value)}

    (entry,) = beside_published(results_of(grid, finals))
    return entry


def test_the_interval_is_scipys_for_one_more_normal_draw(grid_of, results_of):
    ours = np.random.default_rng(5).normal(0.85, 0.01, SEEDS)
    entry = view(grid_of, results_of, ours, [0.85], seeds=SEEDS)
    # Hahn and Meeker, Statistical Intervals (1991), equation 4.2 with one future observation.
    spread = ours.std(ddof=1) * math.sqrt(1 + 1 / SEEDS)
    expected = stats.t.interval(0.95, SEEDS - 1, loc=ours.mean(), scale=spread)
    assert (entry.low, entry.high) == pytest.approx(expected, rel=1e-12)
    assert entry.mean == pytest.approx(ours.mean(), rel=1e-12)
    assert entry.values == tuple(ours)


def test_each_published_number_is_inside_or_outside(grid_of, results_of):
    ours = np.linspace(0.80, 0.90, SEEDS)
    known = view(grid_of, results_of, ours, [0.5], seeds=SEEDS)
    theirs = [known.low - 1e-6, known.low, 0.85, known.high, known.high + 1e-6]
    entry = view(grid_of, results_of, ours, theirs, seeds=SEEDS)
    assert [inside for _, inside in entry.published] == [False, True, True, True, False]
    assert [value for value, _ in entry.published] == theirs


def test_a_perfect_repetition_lies_inside_nineteen_times_in_twenty(grid_of, results_of):
    draws = np.random.default_rng(11).normal(0.85, 0.01, (300, SEEDS + 40))
    inside = []
    for row in draws:
        entry = view(grid_of, results_of, row[:SEEDS], row[SEEDS:].tolist(), seeds=SEEDS)
        inside += [found for _, found in entry.published]
    assert len(inside) == 12_000
    assert 0.94 <= np.mean(inside) <= 0.96


def test_what_was_written_of_it_is_kept(grid_of, results_of):
    entry = view(grid_of, results_of, [0.8, 0.9], [0.85], seeds=2)
    assert (entry.id, entry.grid, entry.says, entry.source) == ("theirs", "test", "It ended there.", "a book, page 7")
    assert (entry.arm, entry.metric, entry.unit) == ("adam", "test_accuracy", "share")
    assert (entry.approximate, entry.differs, entry.notes) == (True, ("another order",), ())


@pytest.mark.parametrize(
    ("ours", "n", "notes"),
    [
        ([None, None, None], 0, ("0 of 3 seeds", "too few to predict another run")),
        ([0.8, None, None], 1, ("1 of 3 seeds", "too few to predict another run")),
        ([0.8, None, 0.9], 2, ("2 of 3 seeds",)),
        ([0.8, math.nan, 0.9], 2, ("2 of 3 seeds",)),
        ([0.8, 0.85, 0.9], 3, ()),
    ],
)
def test_seeds_that_are_missing_are_told_and_one_predicts_nothing(grid_of, results_of, ours, n, notes):
    entry = view(grid_of, results_of, ours, [0.85], seeds=3)
    assert (len(entry.values), entry.notes) == (n, notes)
    assert [inside for _, inside in entry.published] == [None if n < 2 else True]
    assert math.isnan(entry.low) == math.isnan(entry.high) == (n < 2)
    assert math.isnan(entry.mean) == (n == 0)


def test_a_single_declared_seed_is_too_few_and_not_missing(grid_of, results_of):
    assert view(grid_of, results_of, [0.8], [0.8], seeds=1).notes == ("too few to predict another run",)


def test_seeds_that_the_file_does_not_declare_do_not_count(grid_of, results_of):
    entry = view(grid_of, results_of, [0.8, 0.9, 0.1, 0.1], [0.85], seeds=2, run=4)
    assert entry.values == (0.8, 0.9)
    assert entry.notes == ()


def test_a_diverged_run_counts_at_chance_and_is_told(grid_of, results_of):
    lost = {"status": "diverged", "test_accuracy": [0.1, math.nan]}
    entry = view(grid_of, results_of, [0.8, lost, 0.9], [0.85], seeds=3)
    assert entry.values == (0.8, 0.1, 0.9)
    assert entry.notes == ("1 of 3 runs diverged and count as runs that learned nothing",)


def test_seeds_that_agree_leave_a_point_which_only_the_same_number_hits(grid_of, results_of):
    entry = view(grid_of, results_of, [0.1] * 3, [0.1, 0.1 + 1e-9], seeds=3)
    assert (entry.low, entry.high) == pytest.approx((0.1, 0.1))
    assert [inside for _, inside in entry.published] == [True, False]
    assert entry.notes == ("all seeds agree, so the interval is a point",)


def test_losses_are_predicted_by_their_logarithms(grid_of, results_of):
    """A log-normal spread: the interval is that of Student in logarithms, and never below zero."""
    losses = [0.02, 0.3, 0.05, 1.2, 0.1, 0.7]
    grid = grid_of(f"{ENTRY}value = 0.5\n".replace('"test_accuracy"', '"test_loss"'), seeds=6)
    (entry,) = beside_published(results_of(grid, lambda _, __, seed: {"test_loss": losses[seed]}))
    logs = np.log(losses)
    spread = stats.t.ppf(0.975, 5) * logs.std(ddof=1) * (1 + 1 / 6) ** 0.5
    assert entry.mean == pytest.approx(np.exp(logs.mean()), rel=1e-12)
    assert (entry.low, entry.high) == pytest.approx(np.exp([logs.mean() - spread, logs.mean() + spread]), rel=1e-12)
    assert entry.notes == ("geometric mean; the interval is one of logarithms",)


def test_an_interval_that_no_accuracy_fills_is_told(grid_of, results_of):
    entry = view(grid_of, results_of, [0.1, 0.1, 0.1, 0.8, 0.8, 0.8], [0.7], seeds=6)
    assert entry.notes == ("the interval reaches beyond 0…1: our runs are not spread normally, and it says little",)


def test_no_verdict_and_no_claim_comes_of_it(grid_of, results_of):
    class Unseen:
        def claim_seen(self, *_):
            raise AssertionError

    grid = grid_of(f"{ENTRY}value = 0.5\n", seeds=2)
    found = section(results_of(grid, lambda *_: {"test_accuracy": 0.8, "train_accuracy": 0.8}), Unseen())
    assert found.claims == ()
    assert [entry.id for entry in found.published] == ["theirs"]


def test_a_setting_tells_only_what_is_done(grid_of, results_of):
    def keys(rest):
        grid = grid_of(rest, seeds=2)
        return dict(section(results_of(grid, lambda *_: {"test_accuracy": 0.8}), None).setting)

    assert not keys("").keys() & {"stopping", "clip_norm", "rebuild_at", "replica"}
    told = keys("[base.stopping]\nname = 'patience'\n")
    assert told["stopping"] == "patience(metric=validation_loss, min_delta=0, patience=5)"


def test_a_target_that_a_run_never_reached_is_told(grid_of, results_of):
    metric = '{ name = "epochs_to_target", target = 0.5, split = "test" }'
    grid = grid_of(ENTRY.replace('"test_accuracy"', metric) + "value = 2\n", seeds=3)
    curves = {0: [0.1, 0.6, 0.7, 0.7, 0.7], 1: [0.1, 0.1, 0.1, 0.1, 0.6], 2: [0.1, 0.1, 0.1, 0.1, 0.1]}
    (entry,) = beside_published(results_of(grid, lambda _, __, seed: {"test_accuracy": curves[seed]}))
    assert (entry.values, entry.unit) == ((1.0, 4.0, 5.0), "epochs")
    assert entry.notes == ("1 of 3 runs never got there: counted as budget + 1",)
