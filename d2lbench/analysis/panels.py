"""What a grid's figures show: learning curves, rate ladders, tuning budgets, heat maps, gradient norms over depth."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pandas as pd

from d2lbench.analysis.figures import Curve, FigureGroup, HeatMap, Interval, Panel
from d2lbench.analysis.headlines import headline_of, interval, shown_metric
from d2lbench.analysis.tables import arm_frame, change_label, context_label, trained, trivial
from d2lbench.catalogue.statistics import expected_best_of
from d2lbench.core.spec import Cell, Config

if TYPE_CHECKING:
    from d2lbench.analysis.headlines import Headline
    from d2lbench.analysis.results import Results
    from d2lbench.grid.arms import Arm, Setting

Key = TypeVar("Key")
#: An arm with its rows of the frame: what became of its trials.
Member = tuple["Arm", pd.DataFrame]


def figure_groups(results: Results) -> tuple[FigureGroup, ...]:
    """Return the figures of a grid that have something to show."""
    frame = arm_frame(results)
    members = [(arm, frame[frame["arm"] == number]) for number, arm in enumerate(trained(results.grid))]
    shown = (maker(results, members) for maker in (learning_curves, ladders, budgets, heat_maps, gradient_norms))
    return tuple(group for group in shown if group is not None)


def _gathered(members: Iterable[Member], key: Callable[[Arm], Key]) -> Mapping[Key, list[Member]]:
    gathered: dict[Key, list[Member]] = {}
    for arm, rows in members:
        gathered.setdefault(key(arm), []).append((arm, rows))
    return gathered


def _group(kind: str, caption: str, panels: Sequence[Panel]) -> FigureGroup | None:
    """Return the panels with one range of y, that of all their means, so that they can be compared by eye."""
    means = [y for panel in panels for curve in panel.curves for y in curve.mean if math.isfinite(y)]
    y_range = (min(means), max(means)) if means else None
    return FigureGroup(kind, caption, tuple(replace(panel, y_range=y_range) for panel in panels)) if panels else None


def _panel(
    results: Results, context: Sequence[Setting], x_label: str, split: str, curves: Iterable[Curve], **more: Any
) -> Panel:
    """Return a panel of the headline on a split, named by its context."""
    headline = headline_of(results.grid)
    title, y_label = context_label(context) or results.grid.title, f"{split} {headline.word}"
    return Panel(title, x_label, y_label, tuple(curves), y_log=headline.as_ratio, y_unit=headline.unit, **more)


def _band(headline: Headline) -> str:
    logs = " of the logarithms" if headline.as_ratio else ""
    return f"Lines are {headline.mean} over seeds, bands their 95 % Student t intervals{logs}."


def _curve(
    results: Results,
    arm: Arm,
    x: Iterable[float],
    values: pd.DataFrame,
    average: Callable[[pd.Series], Interval] | None = None,
) -> Curve:
    """Return an arm's curve from the values (seeds, points); averaged as the headline is, or as given."""
    average = average or headline_of(results.grid).average
    means = [average(values[column]) for column in values]
    mean, low, high = (tuple(getattr(each, name) for each in means) for name in ("mean", "low", "high"))
    return Curve(change_label(results.grid, arm), tuple(map(float, x)), mean, low, high, arm.is_baseline)


def _validation(rows: pd.DataFrame) -> pd.DataFrame:
    """Return an arm's validation values, (seeds, rungs)."""
    return rows.pivot(index="seed", columns="rung", values="validation")  # noqa: PD010  (nothing to aggregate)


# ------------------------------------------------------------------------------------------------- learning curves


def learning_curves(results: Results, members: Sequence[Member]) -> FigureGroup | None:
    """Return the headline metric over epochs, a panel for each context; tuned arms at their picks."""
    headline = headline_of(results.grid)
    panels = []
    for context, own in _gathered(members, lambda arm: arm.context).items():
        ended = [(arm, rows[rows["picked"] & (rows["status"] != "missing")]) for arm, rows in own]
        curves = [_learning_curve(results, arm, list(rows["cell"])) for arm, rows in ended if len(rows)]
        if curves:
            reference, label = trivial(headline, own[0][1]), headline.trivial_label
            more = {"reference": reference, "reference_label": label}
            panels.append(_panel(results, context, "epoch", "test", curves, **more))
    is_tuned = any(arm.is_tuned for arm in results.grid.arms)
    tuned = " Tuned arms are shown at the rung that each seed picked." if is_tuned else ""
    caption = f"Test {headline.word} over training. {_band(headline)}{tuned}"
    return _group("learning-curves", caption, panels)


def _learning_curve(results: Results, arm: Arm, cells: Sequence[Cell]) -> Curve:
    every = headline_of(results.grid).metric("test", at="each")
    epochs = max((results.positions(cell, every) for cell in cells), key=len)
    return _curve(
        results, arm, epochs, pd.DataFrame([list(np.atleast_1d(results.read(cell, every))) for cell in cells])
    )


# --------------------------------------------------------------------------------------------------------- ladders


def ladders(results: Results, members: Sequence[Member]) -> FigureGroup | None:
    """Return the headline metric on validation data over the rungs of one tuned key, a panel for each context."""
    headline = headline_of(results.grid)
    panels = []
    on_ladders = [(arm, rows) for arm, rows in members if len(arm.tuned_keys) == 1 and not arm.rungs[0].is_drawn]
    for (context, key), own in _gathered(on_ladders, lambda arm: (arm.context, arm.tuned_keys[0])).items():
        curves = [_ladder(results, arm, rows) for arm, rows in own]
        from_zero = any(rung.position(key) == 0 for arm, _ in own for rung in arm.rungs)
        x_label = f"{key} (leftmost: 0)" if from_zero else key
        is_log = min(x for curve in curves for x in curve.x) > 0
        panels.append(_panel(results, context, x_label, "validation", curves, x_log=is_log))
    caption = (
        f"What tuning saw: validation {headline.word} at the end of training over the ladder. {_band(headline)} "
        f"Diverged runs count at {headline.when_diverged}."
    )
    return _group("ladders", caption, panels)


def _ladder(results: Results, arm: Arm, rows: pd.DataFrame) -> Curve:
    positions = [rung.position(arm.tuned_keys[0]) for rung in arm.rungs]
    x = [float(k) if position is None else position for k, position in enumerate(positions)]
    order = sorted(range(len(x)), key=x.__getitem__)
    if min(x) == 0 < max(x):  # a logarithmic axis shows 0 a decade below the smallest other position
        x = [position or min(filter(None, x)) / 10 for position in x]
    return _curve(results, arm, sorted(x), _validation(rows)[order])


def budgets(results: Results, members: Sequence[Member]) -> FigureGroup | None:
    """Return what a smaller tuning budget would have found: the expected best of k rungs, drawn at random."""
    headline = headline_of(results.grid)
    panels = []
    for context, own in _gathered(
        ((arm, rows) for arm, rows in members if len(arm.rungs) > 1), lambda arm: arm.context
    ).items():
        curves = []
        for arm, rows in own:
            tries = range(1, len(arm.rungs) + 1)
            signed = headline.sign * _validation(rows).dropna().to_numpy()  # (seeds, rungs), higher is better
            best = [[headline.sign * expected_best_of(values, k) for k in tries] for values in signed]
            curves.append(_curve(results, arm, tries, pd.DataFrame(best, columns=tries, dtype=float)))
        panels.append(_panel(results, context, "rungs tried, k", "validation", curves))
    caption = (
        f"What a smaller budget would have found: the expected best validation {headline.word} of k rungs of the "
        f"ladder, drawn at random without replacement. {_band(headline)}"
    )
    return _group("budgets", caption, panels)


# ------------------------------------------------------------------------------------------------------- heat maps


def heat_maps(results: Results, members: Sequence[Member]) -> FigureGroup | None:
    """Return the mean headline where two things vary: a context's axis and the change, or the change and the rung."""
    maps = tuple(_context_maps(results, members)) or tuple(_rung_maps(results, members))
    headline = headline_of(results.grid)
    mean = headline.mean.removesuffix("s").capitalize()
    caption = f"{mean} {headline.word} over seeds where two things vary; every cell carries its number."
    return FigureGroup("heat-maps", caption, maps=maps) if maps else None


def _heat_map(results: Results, title: str, axis: str, split: str, means: pd.DataFrame) -> HeatMap:
    headline, values = headline_of(results.grid), tuple(map(tuple, means.to_numpy().tolist()))
    word, rows, columns = f"{split} {headline.word}", tuple(means.index), tuple(means.columns)
    return HeatMap(title, "change", axis, rows, columns, values, word, headline.unit, headline.as_ratio)


def _context_maps(results: Results, members: Sequence[Member]) -> Iterator[HeatMap]:
    """Yield a map of change over the longest axis of the contexts, for each point of the other axes."""
    settings = pd.DataFrame(
        [(setting.path, setting.label) for arm, _ in members for setting in arm.context], columns=["path", "label"]
    )
    lengths = settings.groupby("path", sort=False)["label"].nunique()
    if lengths.max() < 2 or lengths.empty:  # noqa: PLR2004  (an axis of one value is none)
        return
    axis = str(lengths.idxmax())
    average = headline_of(results.grid).average
    frame = pd.DataFrame(
        {
            "change": change_label(results.grid, arm),
            "on": next((setting.label for setting in arm.context if setting.path == axis), ""),
            "rest": context_label([setting for setting in arm.context if setting.path != axis]),
            "mean": average(rows.loc[rows["picked"], "test"]).mean,
        }
        for arm, rows in members
    )
    for title, own in frame.groupby("rest", sort=False):
        changes, places = own["change"].unique(), own["on"].unique()
        if min(len(changes), len(places)) > 1:
            means = own.pivot_table("mean", "change", "on", aggfunc="last", dropna=False)
            yield _heat_map(results, str(title), axis, "test", means.reindex(index=changes, columns=places))


def _rung_maps(results: Results, members: Sequence[Member]) -> Iterator[HeatMap]:
    """Yield a map of change over rung for each ladder that at least two arms share."""
    average = headline_of(results.grid).average
    on_ladders = [(arm, rows) for arm, rows in members if arm.rungs and not arm.rungs[0].is_drawn]

    def ladder(arm: Arm) -> tuple[str, tuple[str, ...]]:
        return ", ".join(arm.tuned_keys), tuple(context_label(rung.settings) for rung in arm.rungs)

    for (axis, rungs), own in _gathered(on_ladders, ladder).items():
        if len(own) > 1:
            means = [[average(column).mean for _, column in _validation(rows).items()] for _, rows in own]
            changes = [change_label(results.grid, arm) for arm, _ in own]
            yield _heat_map(
                results, results.grid.title, axis, "validation", pd.DataFrame(means, index=changes, columns=rungs)
            )


# -------------------------------------------------------------------------------------------------- gradient norms


def gradient_norms(results: Results, _: Sequence[Member]) -> FigureGroup | None:
    """Return the first layer's gradient norm before training over depth, where depth varies between contexts."""
    panels = []
    for title, own in _depths(results).groupby("rest", sort=False):
        curves = [_over_depth(results, arms) for _, arms in own.groupby("change", sort=False) if len(arms) > 1]
        if curves:
            panels.append(
                Panel(str(title), "depth (hidden layers)", "‖∂L/∂W₁‖ before training", tuple(curves), y_log=True)
            )
    caption = (
        "Norm of the loss' gradient with respect to the first layer's weights, before the first step. Geometric means "
        "over seeds with 95 % t intervals of the logarithm."
    )
    return _group("gradient-norms", caption, panels)


def _depths(results: Results) -> pd.DataFrame:
    """Return the untuned arms of contexts that set the depth: a row an arm, with the rest of its context in words."""
    rows = [
        {
            "rest": context_label([setting for setting in arm.context if setting.path != "model.depth"]),
            "change": change_label(results.grid, arm),
            "depth": arm.config.model.get("depth"),
            "arm": arm,
        }
        for arm in results.grid.arms
        if isinstance(arm.config, Config)
        and any(setting.path == "model.depth" for setting in arm.context)
        and not arm.is_tuned
    ]
    frame = pd.DataFrame(rows, columns=["rest", "change", "depth", "arm"])
    return frame[frame["depth"].astype(float) > 0]


def _over_depth(results: Results, arms: pd.DataFrame) -> Curve:
    metric = shown_metric("log10_gradient_norm", at="start", layer=1)
    ordered = arms.sort_values("depth", kind="stable")
    norms = [[results.read(arm.default(seed), metric) for seed in results.grid.seeds] for arm in ordered["arm"]]
    return _curve(results, ordered["arm"].iloc[0], ordered["depth"], pd.DataFrame(norms, dtype=float).T, _of_decades)


def _of_decades(values: Iterable[float | None]) -> Interval:
    mean = interval(values)
    return replace(mean, mean=10.0**mean.mean, low=10.0**mean.low, high=10.0**mean.high)
