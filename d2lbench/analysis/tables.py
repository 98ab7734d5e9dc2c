"""Tables: every arm on the headline metric, beside its context's baseline and the trivial predictor."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from d2lbench.analysis.figures import Interval
from d2lbench.analysis.headlines import headline_of, interval, shown_metric
from d2lbench.analysis.model import ArmRow, ArmTable
from d2lbench.analysis.statistics import paired_correlation
from d2lbench.core.spec import Component, Config, Measurement, spelled

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from d2lbench.analysis.results import Results
    from d2lbench.catalogue.metrics import Record
    from d2lbench.grid.arms import Arm, Setting
    from d2lbench.grid.claims.statement import Metric
    from d2lbench.grid.model import Grid


def context_label(context: Sequence[Setting]) -> str:
    """Return a context in words: ``depth=4, xavier-normal``; empty for a grid without contexts."""
    return ", ".join(setting.label for setting in context)


def change_label(grid: Grid, arm: Arm) -> str:
    """Return what an arm changes from its context's baseline; of the baseline, the values that the others change."""
    if arm.change is not None:
        return arm.change.label
    varied = (path for axis in grid.axes if axis.kind == "vary" for path in axis.paths)
    values = dict.fromkeys(value for path in varied if (value := _own_value(arm, path)))
    return f"{', '.join(values)} (baseline)" if values else "baseline"


def _own_value(arm: Arm, path: str) -> str:
    key, _, option = path.partition(".")
    value = arm.config.experiment if isinstance(arm.config, Measurement) else getattr(arm.config, key, None)
    if isinstance(value, Component):
        return spelled(value.get(option)) if option else value.name
    return f"no {path}" if value is None else spelled(value)


def trained(grid: Grid) -> list[Arm]:
    """Return the arms that were trained to be judged: not those looked at for one epoch beside longer ones."""
    longest = max((arm.config.epochs for arm in grid.arms if isinstance(arm.config, Config)), default=0)
    return [
        arm
        for arm in grid.arms
        if isinstance(arm.config, Config)
        and (arm.config.epochs > 1 or longest == 1)
        and (not grid.only or arm.label in grid.selected)
    ]


def arm_table(results: Results) -> ArmTable | None:
    """Return the table of a grid that trains, None for one that measures."""
    arms = trained(results.grid)
    if not arms:
        return None
    baselines = {arm.context: arm for arm in arms if arm.is_baseline}
    headline = headline_of(results.grid)
    return ArmTable(
        metric=f"test {headline.word}, last epoch",
        unit=headline.unit,
        train_metric=f"training {headline.word}, last epoch",
        rows=tuple(_row(results, arm, baselines.get(arm.context)) for arm in arms),
        trivial_label=_trivial_label(results, arms),
        trivial=trivial(results, arms),
        as_ratio=headline.as_ratio,
    )


def _row(results: Results, arm: Arm, baseline: Arm | None) -> ArmRow:
    headline = headline_of(results.grid)
    values, training = (_values(results, arm, headline.metric(split)) for split in ("test", "train"))
    differences, correlation = None, None
    if baseline is not None and arm is not baseline:
        pairs = [
            (headline.scaled(value), headline.scaled(other))
            for value, other in zip(values, _values(results, baseline, headline.metric("test")), strict=True)
            if value is not None and other is not None and math.isfinite(value) and math.isfinite(other)
        ]
        differences = interval([value - other for value, other in pairs])
        correlation = paired_correlation(*zip(*pairs, strict=True)) if len(pairs) > 1 else None
    return ArmRow(
        context=context_label(arm.context),
        label=change_label(results.grid, arm),
        is_baseline=arm.is_baseline,
        tuned=results.picks_in_words(arm, results.grid.table_select),
        metric=headline.average(values),
        train=headline.average(training),
        against_baseline=differences,
        correlation=correlation,
        **_states(results, arm),
    )


def _values(results: Results, arm: Arm, metric: Metric) -> list[float | None]:
    readings = (results.reading(arm, seed, metric, "tuned", results.grid.table_select) for seed in results.grid.seeds)
    return [None if reading is None else reading.value for reading in readings]


def _states(results: Results, arm: Arm) -> dict[str, int]:
    """Count an arm's runs, trials included: those that ended, those that diverged, those that are not there."""
    states = {"done": 0, "diverged": 0, "missing": 0}
    for seed in results.grid.seeds:
        for cell in arm.candidates(seed):
            run = results.run(cell)
            states["missing" if run is None else run.status] += 1
    return states


def trivial(results: Results, arms: Sequence[Arm]) -> float:
    """Return what the predictor that never looks at the input gets on the test split, averaged as the arms are."""
    headline = headline_of(results.grid)
    return headline.average(headline.trivial(record) for record in _first_arm(results, arms)).mean


def _trivial_label(results: Results, arms: Sequence[Arm]) -> str:
    """Name the predictors that never look at the input, with the loss of answering with the class frequencies."""
    label = headline_of(results.grid).trivial_label
    loss = _mean(record.constant_loss for record in _first_arm(results, arms))
    if headline_of(results.grid).as_ratio or not math.isfinite(loss):
        return label
    return f"{label} (class frequencies: test loss {loss:.3f})"


def _first_arm(results: Results, arms: Sequence[Arm]) -> list[Record]:
    found = (results.record(arm.candidates(seed)[0]) for arm in arms[:1] for seed in results.grid.seeds)
    return [record for record in found if record is not None]


def _mean(values: Iterable[float]) -> float:
    known = [value for value in values if math.isfinite(value)]
    return float(np.mean(known)) if known else math.nan


_NONE = Interval(math.nan, math.nan, math.nan, 0)


def kernel_table(results: Results) -> ArmTable | None:
    """Return the kernels of a grid with their times, geometric means over the rounds; None where nothing is timed."""
    rows = [row for arm in results.grid.arms if (row := _kernel_row(results, arm)).metric.n]
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


def _kernel_row(results: Results, arm: Arm) -> ArmRow:
    seeds = results.grid.seeds
    values = [results.read(arm.default(seed), shown_metric("time", kernel="")) for seed in seeds]
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
