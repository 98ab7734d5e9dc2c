"""What pairs of times say of a ratio."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Ratio:
    """The median of paired ratios, their range, and Student's 95 % interval of their geometric mean.

    With one pair there is no interval: both of its ends are then not a number.
    """

    median: float
    least: float
    most: float
    low: float
    high: float
    pairs: int


def ratio_of(ours: Sequence[float], theirs: Sequence[float]) -> Ratio:
    """Return how many times as long they take, pair by pair; both in seconds per unit.

    Raises
    ------
    ValueError
        The sides differ in length, are empty, or hold something that is no positive number.
    """
    if len(ours) != len(theirs) or not ours:
        problem = f"pairs of times: given {len(ours)} of ours and {len(theirs)} of theirs; allowed: as many, 1 or more"
        raise ValueError(problem)
    for seconds in (*ours, *theirs):
        if not 0 < seconds < math.inf:
            problem = f"pairs of times: given {seconds}; allowed: seconds above 0"
            raise ValueError(problem)
    ratios = [other / own for own, other in zip(ours, theirs, strict=True)]
    low, high = interval_of_logs(ratios)
    return Ratio(statistics.median(ratios), min(ratios), max(ratios), low, high, len(ratios))


def interval_of_logs(ratios: Sequence[float]) -> tuple[float, float]:
    """Return Student's 95 % interval of the geometric mean: of the mean of the logarithms, which is where it is fair.

    Twice as fast and half as fast are equally far from 1 there.
    """
    if len(ratios) < 2:
        return math.nan, math.nan
    from scipy.stats import t

    logs = [math.log(ratio) for ratio in ratios]
    reach = t.ppf(0.975, len(logs) - 1) * statistics.stdev(logs) / math.sqrt(len(logs))
    centre = statistics.fmean(logs)
    return math.exp(centre - reach), math.exp(centre + reach)
