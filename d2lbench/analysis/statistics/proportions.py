"""Intervals of shares: of one, and of the difference of two that were seen on the same seeds."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

from statsmodels.stats.proportion import proportion_confint

from d2lbench.analysis.statistics.estimates import Interval
from d2lbench.analysis.statistics.samples import share

if TYPE_CHECKING:
    from collections.abc import Sequence


def wilson_interval(successes: int, trials: int, level: float = 0.95) -> Interval:
    """Wilson's score interval of a share, 0…1 (Wilson, Probable inference, 1927).

    Raises `ValueError` unless 0 ≤ successes ≤ trials and trials ≥ 1.
    """
    if trials < 1 or not 0 <= successes <= trials:
        message = f"successes of trials: 0 ≤ successes ≤ trials with trials ≥ 1, given {successes} of {trials}"
        raise ValueError(message)
    low, high = proportion_confint(successes, trials, alpha=1 - share(level), method="wilson")
    return Interval(successes / trials, float(low), float(high), level)


def newcombe_paired(both: int, first_only: int, second_only: int, neither: int, level: float = 0.95) -> Interval:
    """Difference of two paired shares (first - second, -1…1) with Newcombe's interval, method 10.

    Wilson's bounds of the two shares are combined by squares, with the correlation of the pairs taken from the table
    and shrunk by a continuity correction where positive (Newcombe, Improved confidence intervals for the difference
    between binomial proportions based on paired data, Statistics in Medicine 17, 1998, 2635-2650).

    Raises `ValueError` for a negative count or an empty table.
    """
    table = (both, first_only, second_only, neither)
    pairs = sum(table)
    if min(table) < 0 or pairs == 0:
        message = f"table of pairs: four counts ≥ 0, not all 0, are needed, given {table}"
        raise ValueError(message)
    first = wilson_interval(both + first_only, pairs, level)
    second = wilson_interval(both + second_only, pairs, level)
    correlation = _corrected_correlation(both, first_only, second_only, neither)
    difference = (first_only - second_only) / pairs
    below = _combined(first.estimate - first.low, second.high - second.estimate, correlation)
    above = _combined(first.high - first.estimate, second.estimate - second.low, correlation)
    return Interval(difference, max(-1.0, difference - below), min(1.0, difference + above), level)


def rate_difference(pairs: Sequence[tuple[bool, bool]], level: float = 0.95) -> Interval:
    """Newcombe's interval from one (first side, second side) flag per seed, such as "diverged"."""
    counts = Counter((bool(one), bool(other)) for one, other in pairs)
    return newcombe_paired(counts[True, True], counts[True, False], counts[False, True], counts[False, False], level)


def _corrected_correlation(both: int, first_only: int, second_only: int, neither: int) -> float:
    """Phi of the table; its numerator loses n/2 where positive, down to 0. Zero where a margin is empty."""
    margins = (both + first_only) * (second_only + neither) * (both + second_only) * (first_only + neither)
    if margins == 0:
        return 0.0
    product = both * neither - first_only * second_only
    correction = (both + first_only + second_only + neither) / 2
    shrunk = max(product - correction, 0.0) if product > 0 else product
    return shrunk / math.sqrt(margins)


def _combined(one: float, other: float, correlation: float) -> float:
    # Never negative in exact arithmetic; rounding may leave -1e-18 where both distances are 0 or equal.
    return math.sqrt(max(0.0, one**2 - 2 * correlation * one * other + other**2))
