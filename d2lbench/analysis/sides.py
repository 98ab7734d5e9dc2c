"""One side of a comparison, reduced to one number per seed: select cells → metric → statistic along an axis."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from d2lbench.analysis.results import Reading, Results, decisive_seeds, rung_label
from d2lbench.catalogue.statistics import window_bounds
from d2lbench.core.spec import Cell
from d2lbench.grid.claims.statement import Side

if TYPE_CHECKING:
    from d2lbench.grid.claims.statement import Measure

#: Stands below every loss and norm before its logarithm is taken, so that an exact zero has one.
SMALLEST = 1e-12


class Reducer:
    """Reduces the sides of one part of a claim."""

    def __init__(self, results: Results, measure: Measure) -> None:
        self._results, self._measure = results, measure
        self._metric, self._statistic = measure.metric, measure.statistic
        self._options: dict[str, Any] = {name: x for name, x in measure.statistic.options if name != "reference"}
        # A regret is a difference itself, so that a ratio of it is one of what it compares.
        logs_first = self._statistic.traits.linear or self._statistic.name == "regret"
        self._logs_first = measure.as_ == "ratio" and logs_first
        self._logs_after = measure.as_ == "ratio" and not logs_first

    def __call__(self, side: Side | float, seed: int) -> Reading | None:
        """Return a side's number at a seed; None where a run that it needs is missing or has no finite number.

        A constant is told on the scale on which sides are compared.
        """
        if not isinstance(side, Side):
            return Reading(_log(side) if self._measure.as_ == "ratio" else side)
        reduced = {
            "": self._single,
            "contexts": self._arms,
            "arms": self._ranked if self._statistic.traits.reference else self._arms,
            "trials": self._regret if self._statistic.name == "regret" else self._trials,
            "epochs": self._epochs,
        }[self._measure.along](side, seed)
        if reduced is None or not math.isfinite(reduced.value):
            return None
        if self._logs_after or (self._logs_first and self._measure.along == ""):
            return replace(reduced, value=_log(reduced.value))
        return reduced

    def _apply(self, values: Any, positions: Any) -> float:
        reduce = self._statistic.factory
        return float(reduce(np.asarray(values, float), np.asarray(positions, float), **self._options))

    def _readings(self, side: Side, seed: int) -> list[Reading] | None:
        """Return the readings of a side's arms at a seed; None where one is missing."""
        select = self._measure.select
        found = [self._results.reading(arm, seed, self._metric, side.stage, select) for arm in side.arms]
        known = [reading for reading in found if reading is not None]
        return known if len(known) == len(found) else None

    def _single(self, side: Side, seed: int) -> Reading | None:
        readings = self._readings(side, seed)
        return None if readings is None else readings[0]

    def _arms(self, side: Side, seed: int) -> Reading | None:
        readings = self._readings(side, seed)
        if readings is None:
            return None
        values = [_log(reading.value) if self._logs_first else reading.value for reading in readings]
        return Reading(
            self._apply(values, [point.position for point in side.points]),
            any(reading.diverged for reading in readings),
            "; ".join(reading.pick for reading in readings if reading.pick),
            any(reading.edge for reading in readings),
        )

    def _ranked(self, side: Side, seed: int) -> Reading | None:
        """Rank the arms at this seed against the mean of the reference over the other seeds."""
        reference = replace(side, stage=(self._statistic.get("reference") or {"stage": "tuned"})["stage"])
        others = [other for other in decisive_seeds(self._results.grid) if other != seed]
        table = [self._readings(side, seed), *(self._readings(reference, other) for other in others)]
        known = [row for row in table if row is not None]
        if len(known) < len(table) or any(math.isnan(reading.value) for row in known for reading in row):
            return None
        readings, *rest = known
        means = [float(np.mean([row[arm].value for row in rest])) for arm in range(len(readings))]
        return Reading(
            self._apply([reading.value for reading in readings], means),
            any(reading.diverged for reading in readings),
            edge=any(reading.edge for reading in readings),
        )

    def _trials(self, side: Side, seed: int) -> Reading | None:
        values = [self._results.read(Cell(rung.config(seed), seed), self._metric) for rung in side.rungs]
        if any(value is None or math.isnan(value) for value in values):
            return None
        positions = [rung.position(self._measure.over) for rung in side.rungs]
        places = [float(k) if position is None else position for k, position in enumerate(positions)]
        sign = self._metric.sign
        if self._statistic.name == "best_of_k":  # its best is the highest
            return Reading(sign * self._apply([sign * value for value in values], places))
        if self._statistic.name == "window":
            oriented = np.asarray([sign * value for value in values], float)
            first, last = window_bounds(oriented, float(self._options["within"]))
            return Reading(self._apply(oriented, places), cut=first == 0 or last == len(values) - 1)
        return Reading(self._apply([_log(value) for value in values] if self._logs_first else values, places))

    def _regret(self, side: Side, seed: int) -> Reading | None:
        """What the judged rung gives away against the picked one, positive when the pick is better."""
        picked = self._results.reading(side.arm, seed, self._metric, "tuned", self._measure.select)
        cell = self._judged(side, seed)
        run = None if cell is None else self._results.run(cell)
        if picked is None or cell is None or run is None:
            return None
        levels = (picked.value, float(self._results.read(cell, self._metric)))
        pair = [self._metric.sign * (_log(level) if self._logs_first else level) for level in levels]
        diverged = picked.diverged or run.status == "diverged"
        return replace(picked, value=self._apply(pair, [0, 1]), diverged=diverged)

    def _judged(self, side: Side, seed: int) -> Cell | None:
        at = self._options.get("at")
        if at is None:
            return side.arm.default(seed)
        for rung in side.rungs or side.arm.rungs:
            position = rung.position(self._measure.over)
            if position is not None and math.isclose(position, at, rel_tol=1e-9):
                return Cell(rung.config(seed), seed)
        return None

    def _epochs(self, side: Side, seed: int) -> Reading | None:
        select = self._measure.select
        cell, pick = self._results.cell(side.arm, seed, side.stage, select)
        run = None if cell is None else self._results.run(cell)
        if cell is None or run is None:
            return None
        values = self._results.read(cell, self._metric)
        if len(values) == 0:
            return None
        logged = np.log(np.maximum(values, SMALLEST)) if self._logs_first else values
        value = self._apply(logged, self._results.positions(cell, self._metric))
        edge = pick is not None and self._results.on_the_edge(side.arm, seed, select)
        return Reading(value, run.status == "diverged", "" if pick is None else rung_label(side.arm, pick), edge)


def _log(value: float) -> float:
    return math.log(max(value, SMALLEST))
