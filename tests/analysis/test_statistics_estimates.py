"""Estimates against formulas worked out another way, and the coverage of the intervals."""

from __future__ import annotations

import itertools
import math
import statistics

import numpy as np
import pytest
from scipy import stats

from d2lbench.analysis.statistics.estimates import (
    crossed_bootstrap,
    hodges_lehmann,
    interquartile_mean,
    is_fragile,
    paired_correlation,
    prediction_interval,
    probability_of_winning,
    t_interval,
    wilson_interval,
)
from d2lbench.catalogue.statistics import expected_best_of


@pytest.mark.parametrize("level", [0.9, 0.95, 0.995])
def test_the_interval_of_the_mean_is_students(level: float) -> None:
    differences = np.random.default_rng(1).normal(0.3, 2.0, 12)
    low, high = stats.t.interval(level, 11, loc=differences.mean(), scale=stats.sem(differences))
    ours = t_interval(differences, level)
    assert (ours.estimate, ours.low, ours.high) == pytest.approx((differences.mean(), low, high))
    assert ours.level == level


def coverage(draw, n: int, repetitions: int):
    """Return the share of intervals over n differences, whose true mean is 0, that hold it; with Wilson's interval."""
    generator = np.random.Generator(np.random.Philox(key=0xC07E7A6E))
    intervals = [t_interval(differences) for differences in draw(generator, (repetitions, n))]
    return wilson_interval(sum(interval.low <= 0 <= interval.high for interval in intervals), repetitions)


@pytest.mark.parametrize("n", [12, 20])
def test_coverage_on_normal_differences_is_the_promised_one(n: int) -> None:
    # 20,000 intervals: a standard error of 0.15 points. Normal instead of Student quantiles would cover 92.4 % at 12.
    covered = coverage(lambda generator, shape: generator.normal(0.0, 3.0, shape), n, 20_000)
    assert 0.94 <= covered.estimate <= 0.96


def test_coverage_is_lower_on_skewed_differences_and_can_be_published() -> None:
    covered = coverage(lambda generator, shape: generator.exponential(1.0, shape) - 1.0, 12, 10_000)
    # The misses are lopsided: a skewed sample whose mean comes out low looks calm too, so its interval is short.
    assert 0.88 <= covered.low < covered.estimate < covered.high <= 0.93


def test_a_new_seed_falls_into_the_prediction_interval_as_often_as_promised() -> None:
    generator = np.random.default_rng(2)
    runs = generator.normal(0.85, 0.01, (10_000, 13))
    inside = 0
    for *seen, new in runs.tolist():
        interval = prediction_interval(seen)
        inside += interval.low <= new <= interval.high
    assert 0.94 <= inside / 10_000 <= 0.96


@pytest.mark.parametrize("interval", [t_interval, prediction_interval])
def test_without_seed_variation_the_interval_is_the_point(interval: type) -> None:
    assert interval([0.1] * 12).low == interval([0.1] * 12).high == pytest.approx(0.1)


@pytest.mark.parametrize("interval", [t_interval, prediction_interval])
def test_one_seed_says_nothing_about_spread(interval: type) -> None:
    only = interval([0.1])
    assert (only.estimate, only.low, only.high) == (0.1, -math.inf, math.inf)


@pytest.mark.parametrize("level", [0.0, 1.0, 95.0])
def test_a_level_that_is_no_share_is_refused(level: float) -> None:
    with pytest.raises(ValueError, match=r"level: a share strictly between 0 and 1 is needed \(0.95, not 95\)"):
        t_interval([1.0, 2.0], level)


def test_the_interquartile_mean_leaves_out_a_quarter_at_each_end() -> None:
    assert interquartile_mean([-1e9, -5, 1, 2, 3, 4, 9, 1e9]) == 2.5
    assert interquartile_mean([7.0]) == 7.0


def test_hodges_lehmann_is_the_median_of_all_pairwise_averages() -> None:
    values = np.random.default_rng(6).normal(size=11).tolist()
    averages = [(one + other) / 2 for one, other in itertools.combinations_with_replacement(values, 2)]
    assert hodges_lehmann(values) == pytest.approx(statistics.median(averages))


def test_a_tie_is_half_a_win() -> None:
    assert probability_of_winning([1.0, 0.0, -1.0, 3.0]) == 0.625
    assert probability_of_winning([0.0, 0.0]) == 0.5


def test_one_outlier_makes_the_mean_fragile() -> None:
    assert is_fragile([100.0] + [-1.0] * 11)
    assert not is_fragile([1.0] * 12)
    assert not is_fragile([0.0] * 12)


def test_an_empty_middle_half_is_fragile_for_a_claim_of_direction_only() -> None:
    mostly_zero = [1.0] * 3 + [0.0] * 9
    assert is_fragile(mostly_zero, "greater")
    assert not is_fragile(mostly_zero, "same")
    assert not is_fragile(mostly_zero, "no_worse")


def test_the_correlation_of_pairs_is_pearsons() -> None:
    generator = np.random.default_rng(7)
    common = generator.normal(size=20)
    first, second = common + generator.normal(size=20), common + generator.normal(size=20)
    assert paired_correlation(first, second) == pytest.approx(stats.pearsonr(first, second).statistic)


def test_a_side_that_does_not_vary_has_no_correlation() -> None:
    assert paired_correlation([1.0, 1.0, 1.0], [1.0, 2.0, 3.0]) is None
    assert paired_correlation([1.0], [2.0]) is None
    with pytest.raises(ValueError, match="paired sides need the same seeds, given 2 and 3 values"):
        paired_correlation([1.0, 2.0], [1.0, 2.0, 3.0])


@pytest.mark.parametrize("k", [1, 2, 5, 7])
def test_the_expected_best_of_k_averages_over_all_subsets(k: int) -> None:
    values = np.random.default_rng(8).normal(size=7).tolist()
    by_hand = statistics.fmean(max(subset) for subset in itertools.combinations(values, k))
    assert expected_best_of(values, k) == pytest.approx(by_hand)


@pytest.mark.parametrize("k", [0, 4])
def test_the_best_of_more_than_was_tried_is_refused(k: int) -> None:
    with pytest.raises(ValueError, match=r"k: a whole number from 1 to 3 \(the values observed\) is needed, given"):
        expected_best_of([1.0, 2.0, 3.0], k)


def test_the_bootstrap_over_examples_alone_has_the_width_of_their_standard_error() -> None:
    generator = np.random.default_rng(9)
    right, other = generator.random(2_000) < 0.8, generator.random(2_000) < 0.7
    first, second = np.tile(right, (6, 1)), np.tile(other, (6, 1))  # every seed gets the same examples right
    interval = crossed_bootstrap(first, second)
    difference = right.astype(float) - other.astype(float)
    assert interval.estimate == pytest.approx(difference.mean())
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * stats.sem(difference), rel=0.1)


def test_the_crossed_bootstrap_is_wider_than_the_spread_of_seeds_or_examples_alone() -> None:
    generator = np.random.default_rng(10)
    seeds, examples = generator.normal(0, 0.1, (12, 1)), generator.uniform(0, 1, 500)
    first = generator.random((12, 500)) < examples + seeds
    second = generator.random((12, 500)) < examples - 0.05
    interval = crossed_bootstrap(first, second)
    difference = first.astype(float) - second.astype(float)
    half = (interval.high - interval.low) / 2
    assert half > 1.6 * stats.sem(difference.mean(axis=1))
    assert half > 1.6 * stats.sem(difference.mean(axis=0))
    assert interval == crossed_bootstrap(first, second)


def test_arms_that_never_differ_have_an_empty_interval() -> None:
    same = np.random.default_rng(11).random((3, 40)) < 0.5
    interval = crossed_bootstrap(same, same, resamples=50)
    assert (interval.low, interval.estimate, interval.high) == (0.0, 0.0, 0.0)


def test_correctness_tables_must_match() -> None:
    with pytest.raises(ValueError, match=r"two \(seeds, examples\) tables of one shape, given \(2, 3\) and \(3, 2\)"):
        crossed_bootstrap(np.ones((2, 3), dtype=bool), np.ones((3, 2), dtype=bool))
