"""How often our interval holds the truth, measured, so that it can be published for spreads that are not normal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from d2lbench.analysis.statistics.estimates import Interval, t_interval
from d2lbench.analysis.statistics.proportions import wilson_interval

if TYPE_CHECKING:
    from collections.abc import Callable

    from d2lbench.analysis.statistics.samples import Floats

COVERAGE_KEY = 0xC07E7A6E


def coverage(
    draw: Callable[[np.random.Generator, tuple[int, int]], Floats], n: int, repetitions: int, level: float = 0.95
) -> Interval:
    """Share of `t_interval`s over n seeds that hold the true mean, with Wilson's 95 % interval of that share.

    `draw(generator, shape)` returns independent differences whose true mean is 0. The generator starts from a fixed
    key, so a published figure can be had again.
    """
    generator = np.random.Generator(np.random.Philox(key=COVERAGE_KEY))
    held = 0
    for differences in draw(generator, (repetitions, n)):
        interval = t_interval(differences, level)
        held += interval.low <= 0 <= interval.high
    return wilson_interval(held, repetitions)
