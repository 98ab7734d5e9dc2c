"""A table of a grid of kernels: what a call of each takes, over the rounds."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from d2lbench.analysis.headlines import interval
from d2lbench.analysis.model import ArmRow, ArmTable, Interval
from d2lbench.analysis.tables import change_label, context_label
from d2lbench.spec import Component

if TYPE_CHECKING:
    from d2lbench.analysis.results import Results
    from d2lbench.grid.model import Arm

_TIME: Final = Component("metric", "time", (("kernel", ""),))
_NONE: Final = Interval(math.nan, math.nan, math.nan, 0)


def kernel_table(results: Results) -> ArmTable | None:
    """Return the kernels of a grid with their times, geometric means over the rounds; None where nothing is timed."""
    rows = [row for arm in results.grid.arms if (row := _row(results, arm)).metric.n]
    if not rows:
        return None
    return ArmTable(
        metric="time of a call, the median of a process",
        unit="s",
        train_metric="",
        rows=tuple(rows),
        trivial_label="",
        trivial=math.nan,
        as_ratio=True,
    )


def _row(results: Results, arm: Arm) -> ArmRow:
    seeds = results.grid.seeds
    values = [results.read(arm.default(seed), _TIME) for seed in seeds]
    logs = interval(math.log(value) for value in values if value is not None and value > 0)
    runs = [results.run(arm.default(seed)) for seed in seeds]
    return ArmRow(
        context=context_label(arm.context),
        label=change_label(results.grid, arm),
        is_baseline=arm.is_baseline,
        tuned="",
        metric=replace(logs, mean=math.exp(logs.mean), low=math.exp(logs.low), high=math.exp(logs.high)),
        train=_NONE,
        against_baseline=None,
        correlation=None,
        done=sum(run is not None for run in runs),
        diverged=0,
        missing=sum(run is None for run in runs),
    )
