"""Estimates, each with its interval where it has one: of paired differences, of accuracies, of shares."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from scipy import special
from statsmodels.stats.proportion import proportion_confint

from d2lbench.analysis.statistics.samples import has_no_variation, mean, sample, share, sign

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from d2lbench.analysis.statistics.samples import Floats, Relation

RESAMPLES = 4_000
BOOTSTRAP_KEY = 0xC0055ED  # any constant: a report must come out the same twice


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate between its bounds, all in one unit; `level` is the nominal coverage, a share such as 0.95."""

    estimate: float
    low: float
    high: float
    level: float


def t_interval(differences: Sequence[float] | Floats, level: float = 0.95) -> Interval:
    """Student's interval of the mean (Student, The probable error of a mean, 1908), in the unit of `differences`.

    When all seeds agree it shrinks to the point they agree on: there is no seed variation to build it from. One seed
    alone leaves the spread unknown, so its interval is the whole line.
    """
    return _student(differences, level, lambda n: 1 / n)


def prediction_interval(values: Sequence[float] | Floats, level: float = 0.95) -> Interval:
    """Where one new seed would fall, assuming a normal spread: mean ± t·s·√(1 + 1/n), in the unit of `values`.

    A published number is one run, so this is what it is compared with (Hahn and Meeker, Statistical Intervals,
    1991). One seed and constant seeds are treated as in `t_interval`.
    """
    return _student(values, level, lambda n: 1 + 1 / n)


def interquartile_mean(differences: Sequence[float] | Floats) -> float:
    """Mean of the middle half, ⌊n/4⌋ seeds cut off at each end (Agarwal et al., NeurIPS 2021)."""
    values = sample(differences)
    cut = values.size // 4
    # As scipy.stats.trim_mean to the bit, without its checks, which took two fifths of the time of a verdict.
    return float(np.partition(values, (cut, values.size - cut - 1))[cut : values.size - cut].mean())


def hodges_lehmann(differences: Sequence[float] | Floats) -> float:
    """Median of the averages of all pairs, each value paired with itself too (Hodges and Lehmann, 1963)."""
    values = sample(differences)
    first, second = np.triu_indices(values.size)
    return float(np.median((values[first] + values[second]) / 2))


def probability_of_winning(differences: Sequence[float] | Floats) -> float:
    """Share of seeds in which the first side is ahead, a tie counting one half; 0…1."""
    values = sample(differences)
    return float((values > 0).mean() + (values == 0).mean() / 2)


def is_fragile(differences: Sequence[float] | Floats, relation: Relation = "greater") -> bool:
    """Say whether mean, interquartile mean and Hodges-Lehmann estimate disagree in sign.

    The signs are those of the difference itself, whatever is claimed: the stricter reading, under which an equivalence
    fails when its estimates lie on both sides of 0, however small they are. For a claim of direction ("greater") a zero
    disagrees with a sign, since a middle half without any effect carries no direction; the others need opposite signs.
    """
    values = sample(differences)
    scale = float(np.abs(values).max())
    signs = {sign(estimate, scale) for estimate in (mean(values), interquartile_mean(values), hodges_lehmann(values))}
    return len(signs) > 1 if relation == "greater" else {-1, 1} <= signs


def paired_correlation(first: Sequence[float] | Floats, second: Sequence[float] | Floats) -> float | None:
    """Pearson's correlation of the two sides over the seeds they share: how much pairing bought.

    None where it has no value: fewer than two seeds, or a side that does not vary.
    """
    one, other = sample(first, "first side"), sample(second, "second side")
    if one.size != other.size:
        message = f"paired sides need the same seeds, given {one.size} and {other.size} values"
        raise ValueError(message)
    if one.size == 1 or has_no_variation(one) or has_no_variation(other):
        return None
    return float(np.corrcoef(one, other)[0, 1])


@lru_cache(maxsize=4096)
def t_quantile(tail: float, degrees: int) -> float:
    """Return t such that Student's t with so many degrees of freedom exceeds it with probability `tail`."""
    return -float(special.stdtrit(degrees, tail))


def _student(values: Sequence[float] | Floats, level: float, variance_factor: Callable[[int], float]) -> Interval:
    vector = sample(values)
    tail = (1 - share(level)) / 2
    centre = mean(vector)
    if has_no_variation(vector):
        return Interval(centre, centre, centre, level)
    if vector.size == 1:
        return Interval(centre, -math.inf, math.inf, level)
    spread = float(vector.std(ddof=1))
    half = t_quantile(tail, vector.size - 1) * spread * math.sqrt(variance_factor(vector.size))
    return Interval(centre, centre - half, centre + half, level)


def crossed_bootstrap(
    first: NDArray[np.bool_], second: NDArray[np.bool_], level: float = 0.95, resamples: int = RESAMPLES
) -> Interval:
    """Difference of accuracies (first - second, a share) on data like the test set, over seeds like these.

    `first` and `second` say which example each seed's run got right, shape (seeds, examples): the same seeds and the
    same examples in the same places. Seeds and examples are drawn with replacement independently of each other, and the
    bounds are percentiles (Owen, The pigeonhole bootstrap, 2007; slightly too wide rather than too narrow).

    Meaningless where each seed has a test set of its own. Raises `ValueError` for shapes that differ or hold nothing.
    """
    if first.shape != second.shape or len(first.shape) != len(("seeds", "examples")) or first.size == 0:
        message = f"correctness: two (seeds, examples) tables of one shape, given {first.shape} and {second.shape}"
        raise ValueError(message)
    difference = first.astype(np.float64) - second.astype(np.float64)  # (S, E)
    seeds, examples = difference.shape
    generator = np.random.Generator(np.random.Philox(key=BOOTSTRAP_KEY))
    means = np.empty(resamples)
    for draw in range(resamples):
        seed_counts = np.bincount(generator.integers(0, seeds, seeds), minlength=seeds)  # (S,)
        example_counts = np.bincount(generator.integers(0, examples, examples), minlength=examples)  # (E,)
        means[draw] = seed_counts @ difference @ example_counts
    tail = (1 - share(level)) / 2
    low, high = np.quantile(means / difference.size, [tail, 1 - tail])
    return Interval(float(difference.mean()), float(low), float(high), level)


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
