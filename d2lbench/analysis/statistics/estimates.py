"""Estimates from one number per seed, each with its interval where it has one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from d2lbench.analysis.statistics.samples import has_no_variation, mean, sample, share, sign

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from d2lbench.analysis.statistics.evidence import Relation
    from d2lbench.analysis.statistics.samples import Floats


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


def expected_best_of(values: Sequence[float] | Floats, k: int) -> float:
    """Return the expected maximum of k of the observed values, drawn without replacement, in their unit.

    Unbiased for the expected best of k new tries, unlike drawing with replacement (Tang et al., Showing Your Work
    Doesn't Always Work, ACL 2020). Where lower is better, negate the values and the answer.

    Raises `ValueError` unless 1 ≤ k ≤ number of values.
    """
    ordered = np.sort(sample(values, "values"))
    if not 1 <= k <= ordered.size:
        message = f"k: a whole number from 1 to {ordered.size} (the values observed) is needed, given {k}"
        raise ValueError(message)
    draws = math.comb(ordered.size, k)
    return math.fsum(value * (math.comb(below, k - 1) / draws) for below, value in enumerate(ordered.tolist()))


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
