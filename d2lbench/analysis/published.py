"""Our runs beside numbers that somebody else found: whether theirs lies where one more run of ours would end.

A published number is one run, so it is held against the prediction interval of one run, not against the interval of
our mean, which a perfect repetition misses more often than not. No verdict follows, and no correction is shared: seeds
differ, and often a setting does.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from d2lbench.analysis.headlines import unit_of
from d2lbench.analysis.model import PublishedView
from d2lbench.analysis.results import decisive_seeds
from d2lbench.analysis.statistics import Interval, prediction_interval
from d2lbench.analysis.tables import change_label, context_label
from d2lbench.core.spec import Config

if TYPE_CHECKING:
    from d2lbench.analysis.results import Reading, Results
    from d2lbench.grid.claims.statement import Published

#: One seed has no spread from which another could be predicted.
FEWEST_SEEDS = 2
#: With fewer seeds an interval is wide for lack of them, whatever the spread.
ENOUGH_TO_SEE = 6
#: Means are summed in binary: a number nearer to a bound than this share of it lies on the bound.
TIE = 1e-12


def beside_published(results: Results) -> tuple[PublishedView, ...]:
    """Return every published number of a grid with the prediction interval of our runs, in the metric's unit."""
    return tuple(_view(results, entry) for entry in results.grid.published)


def _view(results: Results, entry: Published) -> PublishedView:
    grid, seeds = results.grid, decisive_seeds(results.grid)
    found = (results.reading(entry.arm, seed, entry.metric, "default", None) for seed in seeds)
    readings = [reading for reading in found if reading is not None and math.isfinite(reading.value)]
    values = tuple(reading.value for reading in readings)
    ratio = entry.metric.traits.as_ == "ratio" and all(value > 0 for value in values)
    known = _interval(values, ratio=ratio) if len(values) >= FEWEST_SEEDS else None
    unit = unit_of(entry.metric, [entry.arm.config])
    return PublishedView(
        id=entry.id,
        grid=grid.name,
        says=entry.says,
        source=entry.source,
        scale=grid.scale,
        metric=entry.metric.label(),
        unit=unit,
        arm=" · ".join(filter(None, (context_label(entry.arm.context), change_label(grid, entry.arm)))),
        values=values,
        mean=_mean(values, ratio=ratio),
        low=known.low if known else math.nan,
        high=known.high if known else math.nan,
        published=tuple((value, _inside(value, known)) for value in entry.values),
        approximate=entry.approximate,
        differs=entry.differs,
        notes=(
            *_notes(readings, known, len(grid.declared_seeds)),
            *_censored(entry, values),
            *_shape(known, unit, len(values), ratio=ratio),
        ),
    )


def _mean(values: tuple[float, ...], *, ratio: bool) -> float:
    """Return the mean over seeds: the geometric one of losses and norms, which differ by factors."""
    if not values:
        return math.nan
    if ratio:
        return math.exp(math.fsum(map(math.log, values)) / len(values))
    return math.fsum(values) / len(values)


def _interval(values: tuple[float, ...], *, ratio: bool) -> Interval:
    if not ratio:
        return prediction_interval(values)
    logs = prediction_interval([math.log(value) for value in values])
    return replace(logs, low=math.exp(logs.low), high=math.exp(logs.high))


def _shape(interval: Interval | None, unit: str, n: int, *, ratio: bool) -> list[str]:
    """Return what the interval's making means for a reader."""
    if interval is None or interval.low == interval.high:
        return []
    if ratio:
        return ["geometric mean; the interval is one of logarithms"]
    if unit == "share" and n >= ENOUGH_TO_SEE and (interval.low < 0 or interval.high > 1):
        return ["the interval reaches beyond 0…1: our runs are not spread normally, and it says little"]
    return []


def _inside(value: float, interval: Interval | None) -> bool | None:
    if interval is None:
        return None
    slack = TIE * max(abs(value), abs(interval.low), abs(interval.high))
    return interval.low - slack <= value <= interval.high + slack


def _notes(readings: list[Reading], interval: Interval | None, declared: int) -> list[str]:
    """Return what a reader must know of our side: seeds that are missing, runs that diverged, no spread at all."""
    n = len(readings)
    notes = [f"{n} of {declared} seeds"] if n < declared else []
    if n < FEWEST_SEEDS:
        notes.append("too few to predict another run")
    diverged = sum(reading.diverged for reading in readings)
    if diverged:
        notes.append(f"{diverged} of {n} runs diverged and count as runs that learned nothing")
    if interval is not None and interval.low == interval.high:
        notes.append("all seeds agree, so the interval is a point")
    return notes


def _censored(entry: Published, values: tuple[float, ...]) -> list[str]:
    """Return how many runs never got to what the metric waits for."""
    config = entry.arm.config
    if not isinstance(config, Config) or not entry.metric.traits.censored:
        return []
    late = sum(value > config.epochs for value in values)
    return [f"{late} of {len(values)} runs never got there: counted as budget + 1"] if late else []
