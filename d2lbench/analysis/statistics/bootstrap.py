"""Uncertainty over seeds and test examples at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from d2lbench.analysis.statistics.estimates import Interval
from d2lbench.analysis.statistics.samples import share

if TYPE_CHECKING:
    from numpy.typing import NDArray

RESAMPLES = 4_000
BOOTSTRAP_KEY = 0xC0055ED  # any constant: a report must come out the same twice


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
