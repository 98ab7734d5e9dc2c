"""The tiny interval plot in the summary: an estimate and its interval in multiples of the claim's margin."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from d2lbench.report.format import fixed

if TYPE_CHECKING:
    from d2lbench.analysis.statistics import Part

WIDTH: Final = 132
HALF: Final = WIDTH / 2
MARGINS_SHOWN: Final = 4.0
EDGE: Final = 3.0


@dataclass(frozen=True)
class Spark:
    """Places in pixels from the left, as text.

    ``band`` is (left, width) or empty; ``dot`` is empty where the estimate lies off the plot; ``cut_left`` and
    ``cut_right`` say that something goes on there.
    """

    low: str
    high: str
    dot: str
    band: tuple[str, str] | tuple[()]
    cut_left: bool
    cut_right: bool


def spark(part: Part | None) -> Spark | None:
    """Place a part's interval on ±4 margins, or on its own length where the margin is 0."""
    if part is None:
        return None
    bounds = (part.interval95.low, part.estimate, part.interval95.high)
    if math.isnan(part.estimate) or any(map(math.isnan, bounds)):
        return None
    finite = [abs(value) for value in bounds if math.isfinite(value)]
    reach = MARGINS_SHOWN * part.margin or 1.15 * max(finite, default=0.0) or 1.0
    places = [HALF * (1 + value / reach) for value in bounds]
    low, dot, high = (fixed_place(place) for place in places)
    if not EDGE <= places[1] <= WIDTH - EDGE:
        dot = ""
    width = HALF * part.margin / reach
    band = (fixed_place(HALF - width), fixed_place(2 * width)) if part.margin > 0 else ()
    return Spark(low, high, dot, band, places[0] < EDGE, places[2] > WIDTH - EDGE)


def fixed_place(place: float) -> str:
    """Return a place inside the plot with one decimal."""
    return fixed(min(WIDTH - EDGE, max(EDGE, place)), 1)
