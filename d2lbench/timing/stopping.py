"""When enough windows have been timed: the median's interval by order statistics, a rule on its width, a deadline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import inf

import numpy as np
from scipy import stats

LEVEL = 0.95


@dataclass(frozen=True)
class Summary:
    """What windows say of one call's time; all in seconds but ``windows``.

    ``low`` and ``high`` bound the median with 95 % confidence or more, whatever the distribution; they are infinitely
    far apart below six windows. ``spread`` is the interquartile range.
    """

    median: float
    low: float
    high: float
    spread: float
    windows: int

    @property
    def precision(self) -> float:
        """The distance of the interval's farther end from the median, relative to the median."""
        return max(self.high - self.median, self.median - self.low) / self.median if self.median else inf

    def differs_from(self, other: Summary) -> bool:
        """Whether the two intervals do not touch: of equal kernels that many windows say so in less than 1 %.

        Two intervals of 95 % and of equal width part when the medians differ by 2 × 1.96 standard errors, which are
        2.77 standard errors of the difference: 0.6 % of pairs of equal kernels.
        """
        return self.high < other.low or other.high < self.low


@dataclass(frozen=True)
class Rule:
    """Stop when the median is known to ``precision`` (relative) from ``least`` windows or more."""

    precision: float
    least: int = 30
    every: int = 5

    def satisfied(self, seconds: Sequence[float]) -> bool:
        """Whether these windows suffice; asked only every few windows, since each look is a chance to stop by luck."""
        count = len(seconds)
        if count < self.least or (count - self.least) % self.every:
            return False
        return summarize(seconds).precision <= self.precision


#: A processor's clock moves with its neighbours and its heat; a GPU's events do not see the host.
RULES = {"cpu": Rule(0.02), "cuda": Rule(0.01)}


def summarize(seconds: Sequence[float], level: float = LEVEL) -> Summary:
    """Return the median of windows' seconds per call, its interval, the interquartile range and the count."""
    ordered = np.sort(np.asarray(seconds, dtype=np.float64))
    below = _rank(len(ordered), level)
    first, median, third = (float(value) for value in np.quantile(ordered, (0.25, 0.5, 0.75)))
    low, high = (float(ordered[below - 1]), float(ordered[-below])) if below else (-inf, inf)
    return Summary(median, low, high, third - first, len(ordered))


@lru_cache(maxsize=4096)
def _rank(count: int, level: float) -> int:
    """Return the largest r for which the r-th smallest and r-th largest of ``count`` hold the median at the level.

    The number of samples below the median is binomial with p = 1/2 (David and Nagaraja, Order Statistics, 2003,
    section 7.1); r = 0 where even the extremes do not reach the level.
    """
    rank = int(stats.binom.ppf((1 - level) / 2, count, 0.5))
    while rank and 2 * stats.binom.cdf(rank - 1, count, 0.5) > 1 - level:
        rank -= 1
    return rank
