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
from d2lbench.analysis.statistics.estimates import Interval, prediction_interval
from d2lbench.analysis.tables import change_label, context_label
from d2lbench.core.spec import Config

if TYPE_CHECKING:
    from collections.abc import Iterator

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
        notes=tuple(_notes(entry, readings, known, len(grid.declared_seeds), unit=unit, ratio=ratio)),
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


def _inside(value: float, interval: Interval | None) -> bool | None:
    if interval is None:
        return None
    slack = TIE * max(abs(value), abs(interval.low), abs(interval.high))
    return interval.low - slack <= value <= interval.high + slack


def _notes(
    entry: Published, readings: list[Reading], interval: Interval | None, declared: int, *, unit: str, ratio: bool
) -> Iterator[str]:
    """Return what a reader must know of our side: what is missing, what stands for something else, the interval."""
    n, config = len(readings), entry.arm.config
    if n < declared:
        yield f"{n} of {declared} seeds"
    if n < FEWEST_SEEDS:
        yield "too few to predict another run"
    if diverged := sum(reading.diverged for reading in readings):
        yield f"{diverged} of {n} runs diverged and count as runs that learned nothing"
    if interval is not None and interval.low == interval.high:
        yield "all seeds agree, so the interval is a point"
    budget = config.epochs if isinstance(config, Config) and entry.metric.traits.censored else math.inf
    if late := sum(reading.value > budget for reading in readings):
        yield f"{late} of {n} runs never got there: counted as budget + 1"
    if interval is None or interval.low == interval.high:
        return
    if ratio:
        yield "geometric mean; the interval is one of logarithms"
    elif unit == "share" and n >= ENOUGH_TO_SEE and (interval.low < 0 or interval.high > 1):
        yield "the interval reaches beyond 0…1: our runs are not spread normally, and it says little"
