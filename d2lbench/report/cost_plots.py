"""Quality against cost: an arm is a dot, and those that no other arm beats on both are joined by a line."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from d2lbench.report.curves import log_tick, spread_apart
from d2lbench.report.format import POINTS, duration, number
from d2lbench.report.log_axes import time_axis
from d2lbench.report.style import (
    BASELINE,
    FAINT,
    INK,
    SOFT,
    TEXT,
    canvas,
    finish,
    label,
    name_figure,
    width_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes

    from d2lbench.analysis.timing_model import CostPlot, CostPoint
    from d2lbench.report.curves import Look
    from d2lbench.report.style import Drawn

WIDTH, HEIGHT, TALLEST = 520, 320, 460
LEFT, TOP, UNTITLED_TOP, BOTTOM = 72, 30, 16, 46
LETTERS: Final = 24
READABLE: Final = 14  # names beside the axes; beyond, only those of arms on the line
LINE_HEIGHT: Final = 15.0
ROOM: Final = 0.08  # around the dots, as a share of their range


def draw_costs(plot: CostPlot, name: str, looks: Mapping[str, Look], caption: str = "") -> Drawn:
    """Draw one plot; ``looks`` gives each arm the colour that it has in the section's other figures."""
    names = _names(plot)
    texts = [label(text, LETTERS) for text in names]
    right = min(230.0, 30 + width_of(texts, TEXT - 0.5))
    top = TOP if plot.title else UNTITLED_TOP
    height = min(TALLEST, max(HEIGHT, int(top + BOTTOM + LINE_HEIGHT * (len(names) + 1))))
    figure, axes = canvas(WIDTH, height, (LEFT, right, top, BOTTOM))
    name_figure(figure, plot.title)
    _set_axes(axes, plot)
    _draw_front(axes, plot)
    for point in sorted(plot.points, key=lambda point: point.is_optimal):
        _draw_point(axes, point, looks)
    _name_arms(axes, plot, names, texts, looks)
    _name_contexts(axes, plot)
    return finish(figure, name, _alt(plot, caption))


def colour_of(point: CostPoint, looks: Mapping[str, Look]) -> str:
    """Return an arm's colour: the baseline is dark, an arm that no other figure shows is grey."""
    return BASELINE if point.is_baseline else looks.get(point.label, (SOFT, "-"))[0]


def _names(plot: CostPlot) -> list[str]:
    """Return the arms that are named beside the axes: all of a few, else those on the line."""
    every = list(dict.fromkeys(point.label for point in plot.points))
    if len(every) <= READABLE:
        return every
    best = dict.fromkeys(point.label for point in plot.points if point.is_optimal)
    return list(best)[:READABLE]


def _set_axes(axes: Axes, plot: CostPlot) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    axes.set(xscale="log", yscale="log" if plot.is_log else "linear")
    costs = [point.cost for point in plot.points]
    low, high = min(costs), max(costs)
    room = max(0.12 * math.log(high / low), 0.25)
    time_axis(axes, low * math.exp(-room), high * math.exp(room))
    axes.set_ylim(*_quality_limits(plot))
    if plot.is_log:
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=7))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: log_tick(value)))
    else:
        factor, unit = (POINTS, " %") if plot.unit == "share" else (1.0, "")
        axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{number(value * factor, 4)}{unit}"))
    axes.set_xlabel("time of one run's training steps, alone on one thread")
    axes.set_ylabel(label(plot.metric, 44))


def _quality_limits(plot: CostPlot) -> tuple[float, float]:
    """Return limits that hold every dot; intervals are cut off where they would squash the others."""
    forward, back = (math.log, math.exp) if plot.is_log else (float, float)
    usable = [point.quality for point in plot.points if point.quality > 0 or not plot.is_log]
    values = [forward(value) for value in usable] or [0.0]
    low, high = min(values), max(values)
    room = ROOM * (high - low) or 0.02 * abs(high) or 0.1
    return back(low - room), back(high + 1.6 * room)


def _draw_front(axes: Axes, plot: CostPlot) -> None:
    """Join the arms that no other beats, in steps: what a budget between two of them buys is the cheaper one."""
    best = sorted(((point.cost, point.quality) for point in plot.points if point.is_optimal), key=lambda pair: pair[0])
    if len(best) > 1:
        axes.plot(*zip(*best, strict=True), color=FAINT, linewidth=1.6, drawstyle="steps-post", zorder=1)


def _draw_point(axes: Axes, point: CostPoint, looks: Mapping[str, Look]) -> None:
    colour = colour_of(point, looks)
    if math.isfinite(point.low) and math.isfinite(point.high):
        axes.plot([point.cost, point.cost], [point.low, point.high], color=colour, linewidth=1.2, alpha=0.35, zorder=2)
    size, edge = (8.5, 1.6) if point.is_optimal else (6.0, 0.0)
    axes.plot(
        [point.cost], [point.quality], linestyle="none", marker="o", markersize=size, color=colour,
        alpha=0.95 if point.is_optimal else 0.6, markeredgecolor=INK, markeredgewidth=edge, zorder=3,
    )  # fmt: skip


def _name_arms(
    axes: Axes, plot: CostPlot, names: Sequence[str], texts: Sequence[str], looks: Mapping[str, Look]
) -> None:
    """Write the arms beside the axes, near the height of their best dot, each behind a dot of its colour."""
    sign = -1 if plot.is_log else 1
    heights = []
    for name in names:
        best = max((point for point in plot.points if point.label == name), key=lambda point: sign * point.quality)
        heights.append(float(axes.transLimits.transform(axes.transScale.transform((best.cost, best.quality)))[1]))
    places = spread_apart([min(1.0, max(0.0, height)) for height in heights], LINE_HEIGHT / axes.bbox.height)
    on_axes: dict[str, Any] = {"transform": axes.transAxes, "clip_on": False}
    for name, text, place in zip(names, texts, places, strict=True):
        mine = [point for point in plot.points if point.label == name]
        axes.plot([1.03], [place], marker="o", markersize=6, color=colour_of(mine[0], looks), **on_axes)
        axes.text(
            1.055, place, text, transform=axes.transAxes, va="center", fontsize=TEXT - 0.5,
            fontweight="bold" if any(point.is_optimal for point in mine) else "normal",
        )  # fmt: skip


def _name_contexts(axes: Axes, plot: CostPlot) -> None:
    """Name the contexts of the arms on the line, where there are several, on the side that no other dot can be on."""
    if len({point.context for point in plot.points}) < 2:  # noqa: PLR2004
        return
    below = plot.is_log
    taken: list[tuple[float, float, float]] = []
    for point in sorted((point for point in plot.points if point.is_optimal), key=lambda point: -point.cost):
        text = label(point.context, 26)
        x, y = axes.transData.transform((point.cost, point.quality))
        width = width_of([text], TEXT - 2)
        left = x - 8 - width
        is_free = all(abs(y - height) > LINE_HEIGHT or x < start or left > end for start, end, height in taken)
        if left < axes.bbox.x0 or not is_free:
            continue
        taken.append((left, x, y))
        axes.annotate(
            text, (point.cost, point.quality), xytext=(-7, -5 if below else 5), textcoords="offset points", ha="right",
            va="top" if below else "bottom", fontsize=TEXT - 2, color=SOFT,
        )  # fmt: skip


def _alt(plot: CostPlot, caption: str) -> str:
    best = sorted((point for point in plot.points if point.is_optimal), key=lambda point: point.cost)
    told = "; ".join(
        f"{', '.join(filter(None, (label(point.context, 40), label(point.label, 40))))}:"
        f" {duration(point.cost)}, {_level(point.quality, plot.unit)}"
        for point in best[:READABLE]
    )
    title = f"{plot.title}: " if plot.title else ""
    return f"{title}{plot.metric} against the cost of a run. Not beaten on both: {told}. {caption}".strip()


def _level(quality: float, unit: str) -> str:
    return f"{number(quality * POINTS)} %" if unit == "share" else number(quality)
