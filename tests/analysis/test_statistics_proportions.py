"""Intervals of shares against the examples that their authors worked out."""

from __future__ import annotations

import pytest

from d2lbench.analysis.statistics.estimates import newcombe_paired, rate_difference, wilson_interval


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    # Newcombe, Two-sided confidence intervals for the single proportion, Statistics in Medicine 17 (1998) 857-872,
    # table I, method 3 (score without continuity correction).
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0000, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_gives_the_published_bounds(successes: int, trials: int, low: float, high: float) -> None:
    interval = wilson_interval(successes, trials)
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=5e-5)
    assert interval.estimate == successes / trials


@pytest.mark.parametrize(("successes", "trials"), [(0, 0), (-1, 4), (5, 4)])
def test_impossible_counts_are_refused(successes: int, trials: int) -> None:
    with pytest.raises(ValueError, match=f"given {successes} of {trials}"):
        wilson_interval(successes, trials)


@pytest.mark.parametrize(
    ("table", "low", "high", "places"),
    [
        # Altman, Machin, Bryant and Gardner, Statistics with Confidence, 2nd edition (2000), table 6.2: thallium scans.
        ((14, 5, 0, 22), 0.011, 0.226, 3),
        # Fagerland, Lydersen and Laake, Statistical Analysis of Contingency Tables (2017), chapter 8, "Newcombe
        # square-and-add", as printed by their R package contingencytables: response to therapy (Cavo et al., 2012).
        ((59, 6, 16, 80), -0.1186, -0.0046, 4),
    ],
)
def test_newcombe_gives_the_published_bounds(
    table: tuple[int, int, int, int], low: float, high: float, places: int
) -> None:
    interval = newcombe_paired(*table)
    assert round(interval.low, places) == low
    assert round(interval.high, places) == high


def test_swapping_the_sides_mirrors_newcombes_interval() -> None:
    one, other = newcombe_paired(3, 7, 2, 8), newcombe_paired(3, 2, 7, 8)
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low))


@pytest.mark.parametrize("table", [(12, 0, 0, 0), (0, 12, 0, 0), (0, 0, 12, 0), (0, 0, 0, 12), (6, 0, 0, 6)])
def test_newcombes_interval_stays_between_minus_one_and_one(table: tuple[int, int, int, int]) -> None:
    interval = newcombe_paired(*table)
    assert -1 <= interval.low <= interval.estimate <= interval.high <= 1


def test_flags_per_seed_are_counted_into_the_table() -> None:
    flags = [(True, True)] * 14 + [(True, False)] * 5 + [(False, False)] * 22
    assert rate_difference(flags) == newcombe_paired(14, 5, 0, 22)


@pytest.mark.parametrize("table", [(0, 0, 0, 0), (1, -1, 2, 3)])
def test_tables_that_cannot_be_are_refused(table: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="four counts ≥ 0, not all 0"):
        newcombe_paired(*table)
