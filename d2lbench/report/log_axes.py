"""Ticks of logarithmic axes of times: a handful of round numbers, however wide or narrow the axis is."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from d2lbench.report.format import duration

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Multiples of powers of ten, from the coarsest choice to the finest.
CHOICES: Final = (
    (1.0,),
    (1.0, 3.0),
    (1.0, 2.0, 5.0),
    (1.0, 1.5, 2.0, 3.0, 5.0, 7.0),
    tuple(k / 4 for k in range(4, 40)),
)
FEWEST, MOST = 3, 6


def round_numbers(low: float, high: float) -> list[float]:
    """Return three to six round numbers between two positive ones, or as many as there are; rather powers of ten.

    Where even powers of ten are too many, every second, third … of them is kept.
    """
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    found: list[float] = []
    for choice in CHOICES:
        found = [
            place
            for exponent in range(first, last + 1)
            for part in choice
            if low <= (place := float(f"{part}e{exponent}")) <= high
        ]
        if len(found) >= FEWEST:
            break
    return found[:: max(1, math.ceil(len(found) / MOST))]


def time_axis(axes: Axes, low: float, high: float) -> None:
    """Make the horizontal axis one of times in seconds, from ``low`` to ``high``."""
    from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

    places = round_numbers(low, high)
    axes.set_xlim(low, high)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_locator(FixedLocator(places))
    axes.xaxis.set_major_formatter(FixedFormatter([duration(place) for place in places]))
