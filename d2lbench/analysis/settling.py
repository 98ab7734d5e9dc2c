"""Shown beside a comparison: whether training had settled, and whether the effect outlives other test examples."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from d2lbench.analysis.results import decisive_seeds
from d2lbench.analysis.statistics.estimates import crossed_bootstrap
from d2lbench.core.kinds import DatasetTraits
from d2lbench.core.spec import Config
from d2lbench.grid.claims.statement import Side

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from d2lbench.analysis.model import SeedRow
    from d2lbench.analysis.results import Results
    from d2lbench.grid.arms import Arm
    from d2lbench.grid.claims.statement import Measure, Metric, Part

#: The end of training over which a metric should have stopped moving, as a share of the epochs.
LATE = 0.1
#: Where evaluations are rare, the last one before that may lie this far from the end; beyond, nothing is said.
LATE_AT_MOST = 0.25


def settled(results: Results, part: Part) -> float | None:
    """Return how much the metric still moves over the last 10 % of training, in its unit; the worse side's mean.

    None where the metric has no curve, the statistic does not read its end, or no evaluation lies near the end.
    """
    metric = part.measure.metric
    if part.measure.along not in {"", "contexts", "arms"} or not metric.traits.curve:
        return None
    if metric.get("at", "last") != "last":
        return None
    moves = []
    for side in part.sides:
        changes = [
            change
            for arm in side.arms
            for seed in decisive_seeds(results.grid)
            if (change := _late_change(results, arm, seed, side.stage, part.measure)) is not None
        ]
        if changes:
            moves.append(float(np.mean(changes)))
    return max(moves, key=abs, default=None)


def _late_change(results: Results, arm: Arm, seed: int, stage: str, measure: Measure) -> float | None:
    cell, _ = results.cell(arm, seed, stage, measure.select)
    record = None if cell is None else results.record(cell)
    if record is None or record.diverged:
        return None
    x, y = record.curve(measure.metric.series[0])
    if len(y) < 2:  # noqa: PLR2004  (two points make a change)
        return None
    early = min(int(np.searchsorted(x, (1 - LATE) * x[-1], side="right")) - 1, len(y) - 2)
    if x[early] < (1 - LATE_AT_MOST) * x[-1]:
        return None
    return float(y[-1] - y[early])


def notes(part: Part, rows: Sequence[SeedRow]) -> tuple[str, ...]:
    """Return what a reader must know of a comparison's numbers: censored values, and what they generalize to."""
    told, metric = [], part.measure.metric
    if metric.traits.censored:
        for name, side in (("first", part.first), ("second", part.second)):
            late = sum(getattr(row, name) > _budget(side) for row in rows) if isinstance(side, Side) else 0
            if late:
                told.append(f"the {name} side never got there in {late} of {len(rows)} seeds: counted as budget + 1")
    datasets = {arm.config.dataset.name for arm in part.arms if isinstance(arm.config, Config)}
    if "digits" in datasets and metric.name.startswith("test_"):
        told.append("over splits of these 1,797 images")
    return tuple(told)


def _budget(side: Side) -> int:
    return max(arm.config.epochs for arm in side.arms if isinstance(arm.config, Config))


def on_such_data(results: Results, part: Part) -> tuple[float, float] | None:
    """Return the 95 % interval of a test accuracy difference over seeds and test examples, by crossed bootstrap.

    None unless every seed is judged on the same test examples (those of published files; digits draw their split by
    seed, and synthetic data all their examples).
    """
    if part.measure.metric.name != "test_accuracy" or part.measure.along or not isinstance(part.second, Side):
        return None
    config = part.first.arm.config
    if not isinstance(config, Config) or results.registry.get(DatasetTraits, config.dataset.name).traits.embedded:
        return None
    first, second = (_hits(results, side, part.measure.select) for side in (part.first, part.second))
    if first is None or second is None:
        return None
    interval = crossed_bootstrap(first, second)
    ends = (interval.low, interval.high)
    return ends if part.sign > 0 else (-ends[1], -ends[0])


def _hits(results: Results, side: Side, select: Metric | None) -> NDArray[np.bool_] | None:
    """Return which test examples each seed got right, (seeds, examples); None where a run is missing."""
    rows = []
    for seed in decisive_seeds(results.grid):
        cell, _ = results.cell(side.arm, seed, side.stage, select)
        run = None if cell is None else results.run(cell)
        packed = None if run is None or run.correctness is None else run.correctness.get("test")
        if packed is None:
            return None
        bits, examples = packed
        rows.append(np.unpackbits(np.frombuffer(bits, np.uint8), count=examples).astype(bool))
    return np.stack(rows) if rows else None
