"""Quality against cost: an arm is a dot, and a line joins those that no other arm beats on both."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from d2lbench.report.curves import spread_apart
from d2lbench.report.escape import stem
from d2lbench.report.format import POINTS, duration, number
from d2lbench.report.style import (
    BASELINE,
    FAINT,
    INK,
    SOFT,
    TEXT,
    canvas,
    finish,
    label,
    linear_axis,
    log_axis,
    name_figure,
    time_axis,
    width_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes

    from d2lbench.analysis.figures import ArmTable
    from d2lbench.analysis.timing_model import CostRow, CostTable
    from d2lbench.report.curves import Look
    from d2lbench.report.style import Drawn

WIDTH, HEIGHT, TALLEST = 520, 320, 460
LEFT, TOP, UNTITLED_TOP, BOTTOM = 72, 30, 16, 46
LETTERS: Final = 24
READABLE: Final = 14  # names beside the axes; beyond, only those of arms on the line
LINE_HEIGHT: Final = 15.0
ROOM: Final = 0.08  # around the dots, as a share of their range


def cost_caption(table: ArmTable, costs: CostTable) -> str:
    """Return what the plots of an arm table's costs show."""
    tuned = " A tuned arm stands at the rung picked most often; its tuning costs as many runs as it has rungs."
    return (
        f"What a run's training steps cost, alone on one thread, against its {table.metric}. Outlined dots joined by "
        "the line: no other arm is both as cheap and as good, by mean and median alone. Thin bars: 95 % intervals of"
        " the quality over seeds." + (tuned if costs.is_tuned else "")
    )


def draw_cost_plots(grid: str, table: ArmTable, costs: CostTable, looks: Mapping[str, Look]) -> tuple[Drawn, ...]:
    """Draw a plot for each data on which several arms are judged."""
    plots: dict[str, list[CostRow]] = {}
    for row in costs.rows:
        if row.is_placed:
            plots.setdefault(row.data, []).append(row)
    caption = cost_caption(table, costs)
    return tuple(
        draw_costs(table, rows, stem(grid, "cost", title, str(place)), looks, caption)
        for place, (title, rows) in enumerate(plots.items())
        if len(rows) > 1
    )


def draw_costs(
    table: ArmTable, rows: Sequence[CostRow], name: str, looks: Mapping[str, Look], caption: str = ""
) -> Drawn:
    """Draw arms judged on the same data; ``looks`` gives each the colour that it has in the section's other figures."""
    names, title = _names(rows), rows[0].data
    texts = [label(text, LETTERS) for text in names]
    right = min(230.0, 30 + width_of(texts, TEXT - 0.5))
    top = TOP if title else UNTITLED_TOP
    height = min(TALLEST, max(HEIGHT, int(top + BOTTOM + LINE_HEIGHT * (len(names) + 1))))
    figure, axes = canvas(WIDTH, height, (LEFT, right, top, BOTTOM))
    name_figure(figure, title)
    _set_axes(axes, table, rows)
    best = sorted((row for row in rows if row.is_optimal), key=lambda row: row.seconds)
    if len(best) > 1:  # in steps: what a budget between two of them buys is the cheaper one
        costs, qualities = [row.seconds for row in best], [row.arm.metric.mean for row in best]
        axes.plot(costs, qualities, color=FAINT, linewidth=1.6, drawstyle="steps-post", zorder=1)
    for row in sorted(rows, key=lambda row: row.is_optimal):
        _draw_point(axes, row, looks)
    _name_arms(axes, table, rows, dict(zip(names, texts, strict=True)), looks)
    if len({row.arm.context for row in rows}) > 1:
        _name_contexts(axes, table, best)
    factor, sign = (POINTS, " %") if table.unit == "share" else (1.0, "")
    told = "; ".join(
        f"{', '.join(label(text, 40) for text in (row.arm.context, row.arm.label) if text)}: {duration(row.seconds)},"
        f" {number(row.arm.metric.mean * factor)}{sign}"
        for row in best[:READABLE]
    )
    told = f"{f'{title}: ' if title else ''}{table.metric} against the cost of a run. Not beaten on both: {told}."
    return finish(figure, name, f"{told} {caption}".strip())


def colour_of(row: CostRow, looks: Mapping[str, Look]) -> str:
    """Return an arm's colour: the baseline is dark, an arm that no other figure shows is grey."""
    return BASELINE if row.arm.is_baseline else looks.get(row.arm.label, (SOFT, "-"))[0]


def _names(rows: Sequence[CostRow]) -> list[str]:
    """Return the arms that are named beside the axes: all of a few, else those on the line."""
    every = list(dict.fromkeys(row.arm.label for row in rows))
    if len(every) <= READABLE:
        return every
    return list(dict.fromkeys(row.arm.label for row in rows if row.is_optimal))[:READABLE]


def _set_axes(axes: Axes, table: ArmTable, rows: Sequence[CostRow]) -> None:
    costs = [row.seconds for row in rows]
    low, high = min(costs), max(costs)
    room = max(0.12 * math.log(high / low), 0.25)
    axes.set_yscale("log" if table.as_ratio else "linear")
    time_axis(axes, low * math.exp(-room), high * math.exp(room))
    axes.set_ylim(*_quality_limits([row.arm.metric.mean for row in rows], is_log=table.as_ratio))
    if table.as_ratio:
        log_axis(axes.yaxis, ticks=7, within=(1.0, 2.0, 5.0))
    else:
        linear_axis(axes.yaxis, table.unit)
    axes.set_xlabel("time of one run's training steps, alone on one thread")
    axes.set_ylabel(label(table.metric, 44))


def _quality_limits(qualities: Sequence[float], *, is_log: bool) -> tuple[float, float]:
    """Return limits that hold every dot; intervals are cut off where they would squash the others."""
    forward, back = (math.log, math.exp) if is_log else (float, float)
    values = [forward(value) for value in qualities if value > 0 or not is_log] or [0.0]
    low, high = min(values), max(values)
    room = ROOM * (high - low) or 0.02 * abs(high) or 0.1
    return back(low - room), back(high + 1.6 * room)


def _draw_point(axes: Axes, row: CostRow, looks: Mapping[str, Look]) -> None:
    colour, quality = colour_of(row, looks), row.arm.metric
    if math.isfinite(quality.low) and math.isfinite(quality.high):
        ends = [quality.low, quality.high]
        axes.plot([row.seconds, row.seconds], ends, color=colour, linewidth=1.2, alpha=0.35, zorder=2)
    size, edge = (8.5, 1.6) if row.is_optimal else (6.0, 0.0)
    axes.plot(
        [row.seconds], [quality.mean], linestyle="none", marker="o", markersize=size, color=colour,
        alpha=0.95 if row.is_optimal else 0.6, markeredgecolor=INK, markeredgewidth=edge, zorder=3,
    )  # fmt: skip


def _name_arms(
    axes: Axes, table: ArmTable, rows: Sequence[CostRow], texts: Mapping[str, str], looks: Mapping[str, Look]
) -> None:
    """Write the arms beside the axes, near the height of their best dot, each behind a dot of its colour."""
    sign = -1 if table.as_ratio else 1
    own = {name: [row for row in rows if row.arm.label == name] for name in texts}
    heights = []
    for mine in own.values():
        best = max(mine, key=lambda row: sign * row.arm.metric.mean)
        scaled = axes.transScale.transform((best.seconds, best.arm.metric.mean))
        heights.append(min(1.0, max(0.0, float(axes.transLimits.transform(scaled)[1]))))
    on_axes: dict[str, Any] = {"transform": axes.transAxes, "clip_on": False}
    places = spread_apart(heights, LINE_HEIGHT / axes.bbox.height)
    for (name, mine), place in zip(own.items(), places, strict=True):
        axes.plot([1.03], [place], marker="o", markersize=6, color=colour_of(mine[0], looks), **on_axes)
        axes.text(
            1.055, place, texts[name], transform=axes.transAxes, va="center", fontsize=TEXT - 0.5,
            fontweight="bold" if any(row.is_optimal for row in mine) else "normal",
        )  # fmt: skip


def _name_contexts(axes: Axes, table: ArmTable, best: Sequence[CostRow]) -> None:
    """Name the contexts of the arms on the line, on the side that no other dot can be on."""
    below = table.as_ratio
    taken: list[tuple[float, float, float]] = []
    for row in sorted(best, key=lambda row: -row.seconds):
        text, place = label(row.arm.context, 26), (row.seconds, row.arm.metric.mean)
        x, y = axes.transData.transform(place)
        left = x - 8 - width_of([text], TEXT - 2)
        is_free = all(abs(y - height) > LINE_HEIGHT or x < start or left > end for start, end, height in taken)
        if left < axes.bbox.x0 or not is_free:
            continue
        taken.append((left, x, y))
        axes.annotate(
            text, place, xytext=(-7, -5 if below else 5), textcoords="offset points", ha="right",
            va="top" if below else "bottom", fontsize=TEXT - 2, color=SOFT,
        )  # fmt: skip
