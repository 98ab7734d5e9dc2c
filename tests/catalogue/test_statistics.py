"""Facts about the statistics that reduce a side to one number, against plain formulas and NumPy."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.stats import kendalltau

from d2lbench import catalogue
from d2lbench.catalogue.statistics import window_bounds

REGISTRY = catalogue.load()


def apply(name, values, positions=None, **options):
    entry = REGISTRY.get("statistic", name)
    places = np.arange(len(values), dtype=float) if positions is None else np.array(positions, dtype=float)
    return entry.factory(np.array(values, dtype=float), places, **options)


def test_the_slope_is_that_of_a_least_squares_line():
    x, y = [1, 2, 4, 8, 16], [0.3, -1.0, 2.0, 5.5, 3.0]
    assert apply("slope", y, x) == pytest.approx(np.polyfit(x, y, 1)[0])


def test_the_misfit_is_the_farthest_miss_of_that_line_as_a_share_of_the_largest_value():
    x, y = [1, 2, 4, 8, 16], [0.3, -1.0, 2.0, 5.5, 3.0]
    line = np.polyval(np.polyfit(x, y, 1), x)
    assert apply("misfit", y, x) == pytest.approx(np.abs(np.array(y) - line).max() / 5.5)
    assert apply("misfit", [3, 5, 9], [1, 2, 4]) == pytest.approx(0, abs=1e-15)


def test_the_area_is_the_mean_height_by_the_trapezoid_rule():
    assert apply("area", [0, 2, 2], [0, 1, 3]) == pytest.approx((1 + 4) / 3)
    assert apply("area", [0, 2, 2, 100], [0, 1, 3, 12], until=0.25) == pytest.approx((1 + 4) / 3)


def test_change_is_second_minus_first():
    assert apply("change", [3.0, 5.0]) == 2.0


def test_spread_and_mean_are_what_they_say():
    assert apply("spread", [1, 5, 2]) == 4
    assert apply("mean", [1, 5, 3]) == 3


def test_a_window_is_the_unbroken_run_around_the_best():
    values = [0.9, 0.5, 0.89, 0.9, 0.91, 0.2, 0.91]
    assert window_bounds(np.array(values), 0.03) == (2, 4)
    assert apply("window", values, within=0.03) == 3


def test_the_best_of_k_is_the_average_over_all_draws_without_replacement():
    values = [0.3, 0.9, 0.5, 0.7]
    by_hand = np.mean([max(draw) for draw in itertools.combinations(values, 2)])
    assert apply("best_of_k", values, k=2) == pytest.approx(by_hand)
    assert apply("best_of_k", values, k=9) == 0.9


def test_the_rank_correlation_is_kendalls():
    values, reference = [0.1, 0.4, 0.2, 0.9], [1, 2, 3, 4]
    assert apply("rank_correlation", values, reference) == pytest.approx(kendalltau(values, reference).statistic)


def test_a_ranking_without_order_correlates_with_nothing():
    assert apply("rank_correlation", [0.5, 0.5, 0.5], [1, 2, 3]) == 0.0
