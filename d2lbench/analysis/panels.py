"""What a grid's figures show: learning curves, rate ladders, tuning budgets, gradient norms over depth."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from d2lbench.analysis.figures import Curve, FigureGroup, Interval, Panel
from d2lbench.analysis.headlines import headline_of, interval, shown_metric
from d2lbench.analysis.heat_maps import heat_maps
from d2lbench.analysis.tables import change_label, context_label, trained, trivial
from d2lbench.catalogue.statistics import expected_best_of
from d2lbench.core.spec import Config

if TYPE_CHECKING:
    from d2lbench.analysis.headlines import Headline
    from d2lbench.analysis.results import Results
    from d2lbench.grid.arms import Arm, Setting


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


def _band(headline: Headline) -> str:
    logs = " of the logarithms" if headline.as_ratio else ""
    return f"Lines are {headline.mean} over seeds, bands their 95 % Student t intervals{logs}."


def _curve(
    label: str,
    x: Sequence[float],
    columns: Sequence[Sequence[float | None]],
    *,
    is_baseline: bool,
    average: Callable[[Sequence[float | None]], Interval] = interval,
) -> Curve:
    """Return a curve from the values (k points, each over seeds)."""
    found = [average(column) for column in columns]
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
    """Return the headline metric over epochs, a panel for each context; tuned arms at their picks."""
    headline = headline_of(results.grid)
    panels = []
    for context, arms in _by_context(trained(results.grid)).items():
        curves = [curve for arm in arms if (curve := _learning_curve(results, arm)) is not None]
        if curves:
            panels.append(
                Panel(
                    context_label(context) or results.grid.title,
                    "epoch",
                    f"test {headline.word}",
                    tuple(curves),
                    y_log=headline.as_ratio,
                    reference=trivial(results, arms),
                    reference_label=headline.trivial_label,
                    y_unit=headline.unit,
                )
            )
    tuned = " Tuned arms are shown at the rung that each seed picked." if _is_tuned(results) else ""
    caption = f"Test {headline.word} over training. {_band(headline)}{tuned}"
    return FigureGroup("learning-curves", caption, _sharing_y(panels)) if panels else None


def _is_tuned(results: Results) -> bool:
    return any(arm.is_tuned for arm in results.grid.arms)


def _learning_curve(results: Results, arm: Arm) -> Curve | None:
    headline = headline_of(results.grid)
    every = headline.metric("test", at="each")
    rows: list[tuple[Any, Any]] = []
    for seed in results.grid.seeds:
        cell, _ = results.cell(arm, seed, "tuned", results.grid.table_select)
        if cell is not None and results.record(cell) is not None:
            rows.append((results.positions(cell, every), np.atleast_1d(results.read(cell, every))))
    if not rows:
        return None
    x = max((row[0] for row in rows), key=len)
    columns = [[float(y[k]) for _, y in rows if len(y) > k] for k in range(len(x))]
    epochs, label = [float(epoch) for epoch in x], change_label(results.grid, arm)
    return _curve(label, epochs, columns, is_baseline=arm.is_baseline, average=headline.average)


# --------------------------------------------------------------------------------------------------------- ladders


def ladders(results: Results) -> FigureGroup | None:
    """Return the headline metric on validation data over the rungs of one tuned key, a panel for each context."""
    headline = headline_of(results.grid)
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
                f"validation {headline.word}",
                tuple(curves),
                x_log=min(positions) > 0,
                y_log=headline.as_ratio,
                y_unit=headline.unit,
            )
            panels.append(panel)
    caption = (
        f"What tuning saw: validation {headline.word} at the end of training over the ladder. {_band(headline)} "
        f"Diverged runs count at {headline.when_diverged}."
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
    headline = headline_of(results.grid)
    metric = headline.metric("validation")
    columns = [[results.read(arm.trials(seed)[k], metric) for seed in results.grid.seeds] for k in order]
    label = change_label(results.grid, arm)
    return _curve(label, sorted(x), columns, is_baseline=arm.is_baseline, average=headline.average)


def budgets(results: Results) -> FigureGroup | None:
    """Return what a smaller tuning budget would have found: the expected best of k rungs, drawn at random."""
    headline = headline_of(results.grid)
    panels = []
    for context, arms in _by_context([arm for arm in trained(results.grid) if len(arm.rungs) > 1]).items():
        curves = tuple(_budget(results, arm) for arm in arms)
        title, y_label = context_label(context) or results.grid.title, f"validation {headline.word}"
        unit, as_ratio = headline.unit, headline.as_ratio
        panels.append(Panel(title, "rungs tried, k", y_label, curves, y_log=as_ratio, y_unit=unit))
    caption = (
        f"What a smaller budget would have found: the expected best validation {headline.word} of k rungs of the "
        f"ladder, drawn at random without replacement. {_band(headline)}"
    )
    return FigureGroup("budgets", caption, _sharing_y(panels)) if panels else None


def _budget(results: Results, arm: Arm) -> Curve:
    headline = headline_of(results.grid)
    metric, sign = headline.metric("validation"), headline.sign
    tries = range(1, len(arm.rungs) + 1)
    columns: list[list[float | None]] = [[] for _ in tries]
    for seed in results.grid.seeds:
        values = [results.read(cell, metric) for cell in arm.trials(seed)]
        if all(value is not None and math.isfinite(value) for value in values):
            for k in tries:
                columns[k - 1].append(sign * expected_best_of([sign * value for value in values], k))
    label = change_label(results.grid, arm)
    return _curve(label, list(tries), columns, is_baseline=arm.is_baseline, average=headline.average)


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
    metric = shown_metric("log10_gradient_norm", at="start", layer=1)
    ordered = sorted(arms, key=_depth)
    columns = [[results.read(arm.default(seed), metric) for seed in results.grid.seeds] for arm in ordered]
    curve = _curve(label, [_depth(arm) for arm in ordered], columns, is_baseline=ordered[0].is_baseline)
    mean, low, high = (tuple(10.0**value for value in part) for part in (curve.mean, curve.low, curve.high))
    return Curve(curve.label, curve.x, mean, low, high, curve.is_baseline)


def _depth(arm: Arm) -> int:
    return int(arm.config.model.get("depth")) if isinstance(arm.config, Config) else 0
