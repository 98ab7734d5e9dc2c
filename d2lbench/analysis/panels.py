"""What a grid's figures show: learning curves, rate ladders, heat maps, gradient norms over depth."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from d2lbench.analysis.model import Curve, FigureGroup, HeatMap, Panel
from d2lbench.analysis.statistics import expected_best_of
from d2lbench.analysis.tables import HEADLINE, change_label, context_label, interval, trained, trivial_accuracy
from d2lbench.spec import Component, Config

if TYPE_CHECKING:
    from d2lbench.analysis.results import Results
    from d2lbench.grid.model import Arm, Setting

_VALIDATION = Component("metric", "validation_accuracy", (("at", "last"),))
_BAND = "Lines are means over seeds, bands their 95 % Student t intervals."


def figure_groups(results: Results) -> tuple[FigureGroup, ...]:
    """Return the figures of a grid that have something to show."""
    makers = (learning_curves, ladders, budgets, heat_maps, gradient_norms)
    return tuple(group for maker in makers if (group := maker(results)) is not None)


def _by_context(arms: Sequence[Arm]) -> Mapping[tuple[Setting, ...], list[Arm]]:
    found: dict[tuple[Setting, ...], list[Arm]] = {}
    for arm in arms:
        found.setdefault(arm.context, []).append(arm)
    return found


def _sharing_y(panels: Sequence[Panel]) -> tuple[Panel, ...]:
    """Return the panels with one range of y, that of all their means, so that they can be compared by eye."""
    means = [y for panel in panels for curve in panel.curves for y in curve.mean if math.isfinite(y)]
    return tuple(replace(panel, y_range=(min(means), max(means)) if means else None) for panel in panels)


def _curve(label: str, x: Sequence[float], columns: Sequence[Sequence[float | None]], *, is_baseline: bool) -> Curve:
    """Return a curve from the values (k points, each over seeds)."""
    found = [interval(column) for column in columns]
    return Curve(
        label,
        tuple(float(position) for position in x),
        tuple(each.mean for each in found),
        tuple(each.low for each in found),
        tuple(each.high for each in found),
        is_baseline,
    )


# ------------------------------------------------------------------------------------------------- learning curves


def learning_curves(results: Results) -> FigureGroup | None:
    """Return test accuracy over epochs, a panel for each context; tuned arms at their picks."""
    panels = []
    for context, arms in _by_context(trained(results.grid)).items():
        curves = [curve for arm in arms if (curve := _learning_curve(results, arm)) is not None]
        if curves:
            panels.append(
                Panel(
                    context_label(context) or results.grid.title,
                    "epoch",
                    "test accuracy",
                    tuple(curves),
                    reference=trivial_accuracy(results, arms),
                    reference_label="majority class",
                    y_unit="share",
                )
            )
    tuned = " Tuned arms are shown at the rung that each seed picked." if _is_tuned(results) else ""
    caption = f"Test accuracy over training. {_BAND}{tuned}"
    return FigureGroup("learning-curves", caption, _sharing_y(panels)) if panels else None


def _is_tuned(results: Results) -> bool:
    return any(arm.is_tuned for arm in results.grid.arms)


def _learning_curve(results: Results, arm: Arm) -> Curve | None:
    rows: list[tuple[Any, Any]] = []
    for seed in results.grid.seeds:
        cell, _ = results.cell(arm, seed, "tuned", results.grid.table_select)
        record = None if cell is None else results.record(cell)
        if record is not None:
            x, y = record.curve("test_accuracy")
            rows.append((x, np.where(np.isfinite(y), y, record.chance)))
    if not rows:
        return None
    x = max((row[0] for row in rows), key=len)
    columns = [[float(y[k]) for _, y in rows if len(y) > k] for k in range(len(x))]
    return _curve(change_label(results.grid, arm), [float(epoch) for epoch in x], columns, is_baseline=arm.is_baseline)


# --------------------------------------------------------------------------------------------------------- ladders


def ladders(results: Results) -> FigureGroup | None:
    """Return validation accuracy over the rungs of one tuned key, a panel for each context."""
    panels = []
    for context, arms in _by_context([arm for arm in trained(results.grid) if len(arm.tuned_keys) == 1]).items():
        by_key: dict[str, list[Curve]] = {}
        for arm in arms:
            if not arm.rungs[0].is_drawn:
                by_key.setdefault(arm.tuned_keys[0], []).append(_ladder(results, arm))
        for key, curves in by_key.items():
            from_zero = any(rung.position(key) == 0 for arm in arms for rung in arm.rungs)
            positions = [x for curve in curves for x in curve.x]
            panel = Panel(
                context_label(context) or results.grid.title,
                f"{key} (leftmost: 0)" if from_zero else key,
                "validation accuracy",
                tuple(curves),
                x_log=min(positions) > 0,
                y_unit="share",
            )
            panels.append(panel)
    caption = (
        f"What tuning saw: validation accuracy at the end of training over the ladder. {_BAND} Diverged runs count "
        "at chance."
    )
    return FigureGroup("ladders", caption, _sharing_y(panels)) if panels else None


def _with_zero_on_a_log_axis(x: list[float]) -> list[float]:
    """Return positions with 0 put a decade below the smallest other one, where all others are positive."""
    positive = [position for position in x if position > 0]
    if len(positive) + x.count(0.0) < len(x) or not positive:
        return x
    return [position or min(positive) / 10 for position in x]


def _ladder(results: Results, arm: Arm) -> Curve:
    key = arm.tuned_keys[0]
    positions = [rung.position(key) for rung in arm.rungs]
    x = [float(k) if position is None else position for k, position in enumerate(positions)]
    order = sorted(range(len(x)), key=x.__getitem__)
    x = _with_zero_on_a_log_axis(x)
    columns = [[results.read(arm.trials(seed)[k], _VALIDATION) for seed in results.grid.seeds] for k in order]
    return _curve(change_label(results.grid, arm), sorted(x), columns, is_baseline=arm.is_baseline)


def budgets(results: Results) -> FigureGroup | None:
    """Return what a smaller tuning budget would have found: the expected best of k rungs, drawn at random."""
    panels = []
    for context, arms in _by_context([arm for arm in trained(results.grid) if len(arm.rungs) > 1]).items():
        curves = tuple(_budget(results, arm) for arm in arms)
        title = context_label(context) or results.grid.title
        panels.append(Panel(title, "rungs tried, k", "validation accuracy", curves, y_unit="share"))
    caption = (
        "What a smaller budget would have found: the expected best validation accuracy of k rungs of the ladder, drawn "
        f"at random without replacement. {_BAND}"
    )
    return FigureGroup("budgets", caption, _sharing_y(panels)) if panels else None


def _budget(results: Results, arm: Arm) -> Curve:
    tries = range(1, len(arm.rungs) + 1)
    columns: list[list[float | None]] = [[] for _ in tries]
    for seed in results.grid.seeds:
        values = [results.read(cell, _VALIDATION) for cell in arm.trials(seed)]
        if all(value is not None and math.isfinite(value) for value in values):
            for k in tries:
                columns[k - 1].append(expected_best_of(values, k))
    return _curve(change_label(results.grid, arm), list(tries), columns, is_baseline=arm.is_baseline)


# ------------------------------------------------------------------------------------------------------- heat maps


def heat_maps(results: Results) -> FigureGroup | None:
    """Return mean test accuracy where two things vary: a context's axis and the change, or the change and the rung."""
    maps = tuple(_context_maps(results)) or tuple(_rung_maps(results))
    caption = "Mean accuracy over seeds where two things vary; every cell carries its number."
    return FigureGroup("heat-maps", caption, maps=maps) if maps else None


def _context_maps(results: Results) -> Iterator[HeatMap]:
    """Yield a map of change over one axis of the contexts, for each point of the other axes."""
    arms = trained(results.grid)
    axis = _longest_axis(arms)
    if axis is None:
        return
    groups: dict[str, list[Arm]] = {}
    for arm in arms:
        rest = [setting for setting in arm.context if setting.path != axis]
        groups.setdefault(context_label(rest), []).append(arm)
    for title, members in groups.items():
        columns = list(dict.fromkeys(_on(arm, axis) for arm in members))
        rows = list(dict.fromkeys(change_label(results.grid, arm) for arm in members))
        if min(len(columns), len(rows)) > 1:
            cells = {(change_label(results.grid, arm), _on(arm, axis)): _headline(results, arm) for arm in members}
            values = tuple(tuple(cells.get((row, column), math.nan) for column in columns) for row in rows)
            yield HeatMap(title, "change", axis, tuple(rows), tuple(columns), values, "test accuracy", unit="share")


def _longest_axis(arms: Sequence[Arm]) -> str | None:
    values: dict[str, set[str]] = {}
    for arm in arms:
        for setting in arm.context:
            values.setdefault(setting.path, set()).add(setting.label)
    several = [path for path, labels in values.items() if len(labels) > 1]
    return max(several, key=lambda path: len(values[path]), default=None)


def _on(arm: Arm, axis: str) -> str:
    return next((setting.label for setting in arm.context if setting.path == axis), "")


def _headline(results: Results, arm: Arm) -> float:
    readings = [results.reading(arm, seed, HEADLINE, "tuned", results.grid.table_select) for seed in results.grid.seeds]
    return interval([None if reading is None else reading.value for reading in readings]).mean


def _rung_maps(results: Results) -> Iterator[HeatMap]:
    """Yield a map of change over rung for each ladder that at least two arms share."""
    by_ladder: dict[tuple[str, ...], list[Arm]] = {}
    for arm in trained(results.grid):
        if arm.rungs and not arm.rungs[0].is_drawn:
            labels = tuple(", ".join(setting.label for setting in rung.settings) for rung in arm.rungs)
            by_ladder.setdefault((*arm.tuned_keys, *labels), []).append(arm)
    for arms in (arms for arms in by_ladder.values() if len(arms) > 1):
        columns = tuple(", ".join(setting.label for setting in rung.settings) for rung in arms[0].rungs)
        values = tuple(_ladder_means(results, arm) for arm in arms)
        rows = tuple(change_label(results.grid, arm) for arm in arms)
        axis = ", ".join(arms[0].tuned_keys)
        yield HeatMap(results.grid.title, "change", axis, rows, columns, values, "validation accuracy", unit="share")


def _ladder_means(results: Results, arm: Arm) -> tuple[float, ...]:
    seeds = results.grid.seeds
    return tuple(
        interval([results.read(arm.trials(seed)[k], _VALIDATION) for seed in seeds]).mean for k in range(len(arm.rungs))
    )


# -------------------------------------------------------------------------------------------------- gradient norms


def gradient_norms(results: Results) -> FigureGroup | None:
    """Return the first layer's gradient norm before training over depth, where depth varies between contexts."""
    groups: dict[str, dict[str, list[Arm]]] = {}
    for arm in results.grid.arms:
        depth = arm.config.model.get("depth") if isinstance(arm.config, Config) else None
        if depth and any(setting.path == "model.depth" for setting in arm.context) and not arm.is_tuned:
            rest = context_label([setting for setting in arm.context if setting.path != "model.depth"])
            groups.setdefault(rest, {}).setdefault(change_label(results.grid, arm), []).append(arm)
    panels = [
        Panel(title, "depth (hidden layers)", "‖∂L/∂W₁‖ before training", curves, y_log=True)
        for title, by_change in groups.items()
        if (curves := tuple(_over_depth(results, label, arms) for label, arms in by_change.items() if len(arms) > 1))
    ]
    caption = (
        "Norm of the loss' gradient with respect to the first layer's weights, before the first step. Geometric means "
        "over seeds with 95 % t intervals of the logarithm."
    )
    return FigureGroup("gradient-norms", caption, _sharing_y(panels)) if panels else None


def _over_depth(results: Results, label: str, arms: Sequence[Arm]) -> Curve:
    metric = Component("metric", "log10_gradient_norm", (("at", "start"), ("layer", 1)))
    ordered = sorted(arms, key=_depth)
    columns = [[results.read(arm.default(seed), metric) for seed in results.grid.seeds] for arm in ordered]
    curve = _curve(label, [_depth(arm) for arm in ordered], columns, is_baseline=ordered[0].is_baseline)
    mean, low, high = (tuple(10.0**value for value in part) for part in (curve.mean, curve.low, curve.high))
    return Curve(curve.label, curve.x, mean, low, high, curve.is_baseline)


def _depth(arm: Arm) -> int:
    return int(arm.config.model.get("depth")) if isinstance(arm.config, Config) else 0
