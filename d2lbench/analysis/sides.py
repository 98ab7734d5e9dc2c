"""One side of a comparison, reduced to one number per seed: select cells → metric → statistic along an axis."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from d2lbench.analysis.results import Reading, Results, decisive_seeds, rung_label
from d2lbench.catalogue.statistics import window_bounds
from d2lbench.core.kinds import StatisticTraits
from d2lbench.core.spec import Cell
from d2lbench.grid.claims.measures import metric_entry

if TYPE_CHECKING:
    from d2lbench.grid.claims.statement import Part, Side

#: Stands below every loss and norm before its logarithm is taken, so that an exact zero has one.
SMALLEST = 1e-12


@dataclass(frozen=True)
class SideValue:
    """A side at one seed. ``edge``: a pick lies on its ladder's end; ``cut``: a window runs into the ladder's end."""

    value: float
    diverged: bool = False
    pick: str = ""
    edge: bool = False
    cut: bool = False


class Reducer:
    """Reduces the sides of one part of a claim."""

    def __init__(self, results: Results, part: Part) -> None:
        self._results, self._part = results, part
        entry = results.registry.get(StatisticTraits, part.statistic.name)
        self._statistic = entry
        self._options: dict[str, Any] = {name: value for name, value in part.statistic.options if name != "reference"}
        # A regret is a difference itself, so that a ratio of it is one of what it compares.
        logs_first = entry.traits.linear or part.statistic.name == "regret"
        self._logs_first = part.as_ == "ratio" and logs_first
        self._logs_after = part.as_ == "ratio" and not logs_first
        metric = metric_entry(results.registry, part.metric)
        self._sign = -1 if metric.traits.better == "lower" else 1

    def __call__(self, side: Side, seed: int) -> SideValue | None:
        """Return the side's number at a seed; None where a run that it needs is missing or has no finite number."""
        reduced = {
            "": self._single,
            "contexts": self._arms,
            "arms": self._ranked if self._statistic.traits.reference else self._arms,
            "trials": self._regret if self._statistic.name == "regret" else self._trials,
            "epochs": self._epochs,
        }[self._part.along](side, seed)
        if reduced is None or not math.isfinite(reduced.value):
            return None
        if self._logs_after or (self._logs_first and self._part.along == ""):
            return SideValue(_log(reduced.value), *_flags(reduced))
        return reduced

    def constant(self, number: float) -> float:
        """Return a claim's constant on the scale on which sides are compared."""
        return _log(number) if self._part.as_ == "ratio" else number

    def _apply(self, values: Any, positions: Any) -> float:
        return float(self._statistic.factory(np.asarray(values, float), np.asarray(positions, float), **self._options))

    def _reading(self, side: Side, arm: Any, seed: int) -> Reading | None:
        return self._results.reading(arm, seed, self._part.metric, side.stage, self._part.select)

    def _single(self, side: Side, seed: int) -> SideValue | None:
        reading = self._reading(side, side.arm, seed)
        if reading is None:
            return None
        return _value(side.arm, reading)

    def _arms(self, side: Side, seed: int) -> SideValue | None:
        readings = [self._reading(side, arm, seed) for arm in side.arms]
        known = [reading for reading in readings if reading is not None]
        if len(known) < len(readings):
            return None
        values = [_log(reading.value) if self._logs_first else reading.value for reading in known]
        singles = [_value(arm, reading) for arm, reading in zip(side.arms, known, strict=True)]
        return SideValue(
            self._apply(values, [point.position for point in side.points]),
            any(single.diverged for single in singles),
            "; ".join(single.pick for single in singles if single.pick),
            any(single.edge for single in singles),
        )

    def _ranked(self, side: Side, seed: int) -> SideValue | None:
        """Rank the arms at this seed against the mean of the reference over the other seeds (of all, if so asked)."""
        written: Any = dict(self._part.statistic.options).get("reference")
        reference: dict[str, str] = dict(written) if written else {"stage": "tuned", "seeds": "others"}
        others = [s for s in decisive_seeds(self._results.grid) if s != seed or reference.get("seeds") != "others"]
        values = [self._reading(side, arm, seed) for arm in side.arms]
        stage = reference.get("stage", "tuned")
        part = self._part
        table = [[self._results.reading(arm, s, part.metric, stage, part.select) for s in others] for arm in side.arms]
        read = [*values, *(reading for row in table for reading in row)]
        if any(reading is None or math.isnan(reading.value) for reading in read):
            return None
        means = [float(np.mean([reading.value for reading in row if reading is not None])) for row in table]
        return SideValue(
            self._apply([reading.value for reading in values if reading is not None], means),
            any(reading.diverged for reading in values if reading),
            edge=any(reading.edge for reading in values if reading),
        )

    def _trials(self, side: Side, seed: int) -> SideValue | None:
        cells = [Cell(rung.config(seed), seed) for rung in side.rungs]
        values = [self._results.read(cell, self._part.metric) for cell in cells]
        if any(value is None or math.isnan(value) for value in values):
            return None
        positions = [rung.position(self._part.over) for rung in side.rungs]
        places = [float(k) if position is None else position for k, position in enumerate(positions)]
        if self._statistic.name == "best_of_k":  # its best is the highest
            return SideValue(self._sign * self._apply([self._sign * value for value in values], places))
        if self._statistic.name == "window":
            oriented = np.asarray([self._sign * value for value in values], float)
            first, last = window_bounds(oriented, float(self._options["within"]))
            return SideValue(self._apply(oriented, places), cut=first == 0 or last == len(values) - 1)
        return SideValue(self._apply([_log(value) for value in values] if self._logs_first else values, places))

    def _regret(self, side: Side, seed: int) -> SideValue | None:
        """What the judged rung gives away against the picked one, positive when the pick is better."""
        picked = self._results.reading(side.arm, seed, self._part.metric, "tuned", self._part.select)
        judged_cell = self._judged(side, seed)
        if picked is None or judged_cell is None:
            return None
        judged = self._results.read(judged_cell, self._part.metric)
        run = self._results.run(judged_cell)
        if judged is None or run is None:
            return None
        single = _value(side.arm, picked)
        pair = [_log(level) if self._logs_first else level for level in (picked.value, float(judged))]
        value = self._apply([self._sign * level for level in pair], [0, 1])
        return SideValue(value, single.diverged or run.status == "diverged", single.pick, single.edge)

    def _judged(self, side: Side, seed: int) -> Cell | None:
        at = self._options.get("at")
        if at is None:
            return side.arm.default(seed)
        for rung in side.rungs or side.arm.rungs:
            position = rung.position(self._part.over)
            if position is not None and math.isclose(position, at, rel_tol=1e-9):
                return Cell(rung.config(seed), seed)
        return None

    def _epochs(self, side: Side, seed: int) -> SideValue | None:
        cell, pick = self._results.cell(side.arm, seed, side.stage, self._part.select)
        values = None if cell is None else self._results.read(cell, self._part.metric)
        if cell is None or values is None or len(values) == 0:
            return None
        run = self._results.run(cell)
        edge = self._results.on_the_edge(side.arm, seed, self._part.select) if pick is not None else False
        reading = Reading(0.0, run is not None and run.status == "diverged", pick, edge)
        single = _value(side.arm, reading)
        logged = np.log(np.maximum(values, SMALLEST)) if self._logs_first else values
        value = self._apply(logged, self._results.positions(cell, self._part.metric))
        return SideValue(value, single.diverged, single.pick, single.edge)


def _value(arm: Any, reading: Reading) -> SideValue:
    pick = "" if reading.pick is None else rung_label(arm, reading.pick)
    return SideValue(reading.value, reading.diverged, pick, reading.edge)


def _flags(side: SideValue) -> tuple[bool, str, bool, bool]:
    return side.diverged, side.pick, side.edge, side.cut


def _log(value: float) -> float:
    return math.log(max(value, SMALLEST))
