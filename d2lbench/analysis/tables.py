"""Tables: every arm on the headline metric, beside its context's baseline and the trivial predictor."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from d2lbench.analysis.model import ArmRow, ArmTable, Interval
from d2lbench.analysis.statistics import paired_correlation, t_interval
from d2lbench.spec import Component, Config, spelled

if TYPE_CHECKING:
    from d2lbench.analysis.results import Results
    from d2lbench.catalogue.metrics import Record
    from d2lbench.grid.model import Arm, Grid, Setting

HEADLINE = Component("metric", "test_accuracy", (("at", "last"),))
TRAINING = Component("metric", "train_accuracy", (("at", "last"),))


def interval(values: Iterable[float | None]) -> Interval:
    """Return the mean of the values that are known with its 95 % t interval; NaN ends below two of them."""
    known = [value for value in values if value is not None and math.isfinite(value)]
    if not known:
        return Interval(math.nan, math.nan, math.nan, 0)
    if len(known) == 1:
        return Interval(known[0], math.nan, math.nan, 1)
    found = t_interval(known)
    return Interval(found.estimate, found.low, found.high, len(known))


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
    value = getattr(arm.config, key, None)
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
    return ArmTable(
        metric="test accuracy, last epoch",
        unit="share",
        train_metric="training accuracy, last epoch",
        rows=tuple(_row(results, arm, baselines.get(arm.context)) for arm in arms),
        trivial_label=_trivial_label(results, arms),
        trivial=trivial_accuracy(results, arms),
    )


def _row(results: Results, arm: Arm, baseline: Arm | None) -> ArmRow:
    values, training = _values(results, arm, HEADLINE), _values(results, arm, TRAINING)
    differences, correlation = None, None
    if baseline is not None and arm is not baseline:
        pairs = [
            (value, other)
            for value, other in zip(values, _values(results, baseline, HEADLINE), strict=True)
            if value is not None and other is not None
        ]
        differences = interval([value - other for value, other in pairs])
        correlation = paired_correlation(*zip(*pairs, strict=True)) if len(pairs) > 1 else None
    return ArmRow(
        context=context_label(arm.context),
        label=change_label(results.grid, arm),
        is_baseline=arm.is_baseline,
        tuned=results.picks_in_words(arm, results.grid.table_select),
        metric=interval(values),
        train=interval(training),
        against_baseline=differences,
        correlation=correlation,
        **_states(results, arm),
    )


def _values(results: Results, arm: Arm, metric: Component) -> list[float | None]:
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


def trivial_accuracy(results: Results, arms: Sequence[Arm]) -> float:
    """Return the mean accuracy of answering with the training split's largest class."""
    return _mean(record.chance for record in _first_arm(results, arms))


def _trivial_label(results: Results, arms: Sequence[Arm]) -> str:
    """Name the predictors that never look at the input, with the loss of answering with the class frequencies."""
    loss = _mean(record.constant_loss for record in _first_arm(results, arms))
    return f"majority class (class frequencies: test loss {loss:.3f})" if math.isfinite(loss) else "majority class"


def _first_arm(results: Results, arms: Sequence[Arm]) -> list[Record]:
    found = (results.record(arm.candidates(seed)[0]) for arm in arms[:1] for seed in results.grid.seeds)
    return [record for record in found if record is not None]


def _mean(values: Iterable[float]) -> float:
    known = [value for value in values if math.isfinite(value)]
    return float(np.mean(known)) if known else math.nan
