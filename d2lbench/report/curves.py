"""A grid's figures: curves with bands (learning curves, ladders of rates, gradient norms) and heat maps."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from d2lbench.report.escape import stem
from d2lbench.report.format import POINTS, fixed, number, sentence
from d2lbench.report.style import (
    BASELINE,
    FAINT,
    SOFT,
    TEXT,
    canvas,
    finish,
    label,
    linear_axis,
    log_axis,
    name_figure,
    width_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes

    from d2lbench.analysis.figures import Curve, FigureGroup, HeatMap, Panel
    from d2lbench.report.style import Drawn

WIDTH, HEIGHT, TALLEST = 450, 270, 330
LEFT, TOP, UNTITLED_TOP, BOTTOM = 58, 30, 16, 44
READABLE: Final = 12  # curves; beyond, the baseline and the extremes are named and the rest is grey
NAMED_EXTREMES: Final = 3
LETTERS: Final = 22
LINE_HEIGHT: Final = 14.0
FEW_POINTS: Final = 16
BAND_ROOM: Final = 0.35  # how far bands may stretch the axis beyond the means, as a share of the means' range
NARROW: Final = 50.0  # a log axis whose highest value is fewer times its lowest has too few powers of ten for ticks

CELL_WIDTH, CELL_HEIGHT = 54, 30
NARROWEST, WIDEST, HIGHEST = 360, 960, 760
MAP_TOP, MAP_BOTTOM, MAP_RIGHT = 34, 48, 16
MAP_LETTERS: Final = 26

Look = tuple[str, Any]


def draw_group(grid: str, place: int, group: FigureGroup, looks: Mapping[str, Look]) -> tuple[Drawn, ...]:
    """Draw the panels and maps of a grid's figures at a place in its section."""
    caption = sentence(group.caption)
    panels = [
        draw_panel(panel, stem(grid, group.kind, panel.title, f"{place}.{i}"), looks, caption)
        for i, panel in enumerate(group.panels)
    ]
    maps = [
        draw_map(heat, stem(grid, group.kind, heat.title, f"{place}.map{i}"), caption)
        for i, heat in enumerate(group.maps)
    ]
    return (*panels, *maps)


# ---------------------------------------------------------------------------------------------------------- curves


def draw_panel(panel: Panel, name: str, looks: Mapping[str, Look], caption: str = "") -> Drawn:
    """Draw one panel; ``looks`` gives each arm its colour and dash."""
    curves = [curve for curve in panel.curves if _points(curve, panel)[0]]
    named, others = _split(curves)
    texts = [label(curve.label, LETTERS) for curve in named]
    right = min(210.0, 34 + width_of(texts, TEXT - 0.5)) if curves else 16.0
    top = TOP if panel.title else UNTITLED_TOP
    height = min(TALLEST, max(HEIGHT - TOP + top, int(top + BOTTOM + LINE_HEIGHT * (len(named) + 1))))
    figure, axes = canvas(WIDTH, height, (LEFT, right, top, BOTTOM))
    name_figure(figure, panel.title)
    _set_axes(axes, panel, curves)
    for curve in others:
        x, y = _points(curve, panel)
        axes.plot(x, y, color=FAINT, linewidth=0.7)
    for curve in named:
        _draw_curve(axes, curve, panel, looks)
    _draw_reference(axes, panel)
    _name_curves(axes, named, texts, panel, looks)
    if others:
        axes.text(1.0, 1.015, f"{len(others)} more in grey", transform=axes.transAxes, ha="right", color=SOFT)
    if not curves:
        axes.text(0.5, 0.5, "no finished runs", transform=axes.transAxes, ha="center", color=SOFT)
    ends = "; ".join(f"{label(curve.label, 40)} ends at {number(_end(curve))}" for curve in curves[:READABLE])
    seen = f"{panel.y_label} over {panel.x_label}. {ends or 'no finished runs'}. {caption}".strip()
    return finish(figure, name, f"{panel.title}: {seen}" if panel.title else seen)


def _split(curves: Sequence[Curve]) -> tuple[list[Curve], list[Curve]]:
    """Return the curves to name and the rest, the baseline last so that it lies on top."""
    if len(curves) <= READABLE:
        return sorted(curves, key=lambda curve: curve.is_baseline), []
    ranked = sorted((curve for curve in curves if not curve.is_baseline), key=_end)
    extremes = {id(curve) for curve in (*ranked[:NAMED_EXTREMES], *ranked[-NAMED_EXTREMES:])}
    named = [curve for curve in curves if id(curve) in extremes] + [curve for curve in curves if curve.is_baseline]
    kept = {id(curve) for curve in named}
    return named, [curve for curve in curves if id(curve) not in kept]


def _end(curve: Curve) -> float:
    return next((value for value in reversed(curve.mean) if math.isfinite(value)), math.inf)


def _usable(value: float, *, log: bool) -> bool:
    return math.isfinite(value) and (value > 0 or not log)


def _points(curve: Curve, panel: Panel) -> tuple[list[float], list[float]]:
    """Return the points that these axes can show."""
    pairs = [
        (x, y)
        for x, y in zip(curve.x, curve.mean, strict=False)
        if _usable(x, log=panel.x_log) and _usable(y, log=panel.y_log)
    ]
    return [x for x, _ in pairs], [y for _, y in pairs]


def _draw_curve(axes: Axes, curve: Curve, panel: Panel, looks: Mapping[str, Look]) -> None:
    x, y = _points(curve, panel)
    colour, dash = (BASELINE, "-") if curve.is_baseline else looks[curve.label]
    marker = "o" if len(x) <= FEW_POINTS else ""
    width = 2.0 if curve.is_baseline else 1.6
    axes.plot(x, y, color=colour, linestyle=dash, linewidth=width, marker=marker, markersize=3.4)
    band = [
        (at, low, high)
        for at, low, high in zip(curve.x, curve.low, curve.high, strict=False)
        if _usable(at, log=panel.x_log) and _usable(low, log=panel.y_log) and _usable(high, log=panel.y_log)
    ]
    if len(band) > 1:
        where, lows, highs = zip(*band, strict=True)
        axes.fill_between(where, lows, highs, color=colour, alpha=0.13, linewidth=0)


def _draw_reference(axes: Axes, panel: Panel) -> None:
    if panel.reference is None or not _usable(panel.reference, log=panel.y_log):
        return
    axes.axhline(panel.reference, color=SOFT, linewidth=1, linestyle=(0, (2, 2)))
    text = label(panel.reference_label, 30)
    axes.annotate(
        text, (0.99, panel.reference), xycoords=("axes fraction", "data"), xytext=(0, 3), textcoords="offset points",
        color=SOFT, fontsize=TEXT - 1.5, ha="right",
    )  # fmt: skip


def _set_axes(axes: Axes, panel: Panel, curves: Sequence[Curve]) -> None:
    axes.set_xlabel(label(panel.x_label, 60))
    axes.set_ylabel(label(panel.y_label, 40))
    axes.set(xscale="log" if panel.x_log else "linear", yscale="log" if panel.y_log else "linear")
    limits = _limits(panel, curves)
    narrow = limits is not None and limits[0] > 0 and limits[1] / limits[0] < NARROW
    if panel.x_log:
        log_axis(axes.xaxis, ticks=6)
    else:
        linear_axis(axes.xaxis)
    if panel.y_log:
        log_axis(axes.yaxis, ticks=6, within=(1.0, 2.0, 5.0) if narrow else (1.0,))
    else:
        linear_axis(axes.yaxis, panel.y_unit)
    if limits:
        axes.set_ylim(*limits)


def _limits(panel: Panel, curves: Sequence[Curve]) -> tuple[float, float] | None:
    """Return limits that follow the means; a band of two lucky seeds must not squash what all the others did."""
    forward, back = (math.log, math.exp) if panel.y_log else (float, float)
    means = [forward(y) for curve in curves for y in _points(curve, panel)[1]]
    if panel.reference is not None and _usable(panel.reference, log=panel.y_log):
        means.append(forward(panel.reference))
    means += [forward(value) for value in panel.y_range or () if _usable(value, log=panel.y_log)]
    if not means:
        return None
    low, high = min(means), max(means)
    room = BAND_ROOM * (high - low) or abs(high) * 0.1 or 1.0
    edges = [
        forward(value) for curve in curves for value in (*curve.low, *curve.high) if _usable(value, log=panel.y_log)
    ]
    bottom = max(min([low, *edges]), low - room) - 0.04 * (high - low)
    top = min(max([high, *edges]), high + room) + 0.04 * (high - low)
    return (back(bottom), back(top)) if top > bottom else (back(low - room), back(high + room))


def _name_curves(
    axes: Axes, named: Sequence[Curve], texts: Sequence[str], panel: Panel, looks: Mapping[str, Look]
) -> None:
    """Write each curve's name beside its end, moved apart where they would overlap, with a leader in its colour."""
    ends = [_points(curve, panel)[1][-1] for curve in named]
    heights = [float(axes.transAxes.inverted().transform(axes.transData.transform((1, end)))[1]) for end in ends]
    places = spread_apart(
        [min(1.0, max(0.0, height)) for height in heights], LINE_HEIGHT / axes.get_window_extent().height
    )
    for curve, text, height, place in zip(named, texts, heights, places, strict=True):
        colour, dash = (BASELINE, "-") if curve.is_baseline else looks[curve.label]
        axes.plot(
            [1.005, 1.03, 1.075], [min(1.0, max(0.0, height)), place, place], transform=axes.transAxes, color=colour,
            linestyle=dash, linewidth=1.4, clip_on=False,
        )  # fmt: skip
        axes.text(
            1.09, place, text, transform=axes.transAxes, va="center", fontsize=TEXT - 0.5,
            fontweight="bold" if curve.is_baseline else "normal",
        )  # fmt: skip


def spread_apart(places: Sequence[float], gap: float) -> list[float]:
    """Move numbers in 0…1 as little as needed so that neighbours are ``gap`` apart, keeping order and range."""
    gap = min(gap, 1 / max(1, len(places) - 1))
    order = sorted(range(len(places)), key=lambda i: (places[i], i))
    moved = [places[i] for i in order]
    for _ in range(200):
        shifts = 0.0
        for i in range(len(moved) - 1):
            overlap = gap - (moved[i + 1] - moved[i])
            if overlap > 1e-9:  # noqa: PLR2004
                moved[i], moved[i + 1] = moved[i] - overlap / 2, moved[i + 1] + overlap / 2
                shifts += overlap
        for i, place in enumerate(moved):
            held = min(1 - (len(moved) - 1 - i) * gap, max(i * gap, place))
            shifts += abs(held - place)
            moved[i] = held
        if shifts < 1e-9:  # noqa: PLR2004
            break
    answer = [0.0] * len(places)
    for i, place in zip(order, moved, strict=True):
        answer[i] = place
    return answer


# ------------------------------------------------------------------------------------------------------- heat maps


def draw_map(heat: HeatMap, name: str, caption: str = "") -> Drawn:
    """Draw one heat map with its numbers in the cells; a cell without runs stays blank and says so."""
    rows = [label(text, MAP_LETTERS) for text in heat.rows]
    columns = [label(text, MAP_LETTERS) for text in heat.columns]
    left = 34 + width_of(rows)
    slanted = width_of(columns, TEXT - 1) > CELL_WIDTH
    bottom = MAP_BOTTOM + (0.5 * width_of(columns, TEXT - 1) if slanted else 0)
    width = int(min(WIDEST, max(NARROWEST, left + MAP_RIGHT + CELL_WIDTH * len(columns))))
    height = int(min(HIGHEST, MAP_TOP + bottom + CELL_HEIGHT * max(1, len(rows))))
    figure, axes = canvas(width, height, (left, MAP_RIGHT, MAP_TOP, bottom))
    if rows and columns:
        _draw_cells(axes, heat)
        turned: dict[str, Any] = {"rotation": 30, "ha": "right"} if slanted else {"rotation": 0}
        axes.set_xticks([i + 0.5 for i in range(len(columns))], columns, **turned)
        axes.set_yticks([i + 0.5 for i in range(len(rows))], rows, rotation=0, va="center")
        axes.tick_params(length=0)
    else:
        axes.text(0.5, 0.5, "no finished runs", transform=axes.transAxes, ha="center", color=SOFT)
    axes.grid(visible=False)
    title = ": ".join(text for text in (heat.title, heat.metric) if text)
    name_figure(figure, title)
    axes.set_xlabel(label(heat.column_axis, 60))
    axes.set_ylabel(label(heat.row_axis, 40))
    return finish(figure, name, f"{title}{_seen_on(heat)}. {caption}".strip())


def cell_text(value: float, unit: str = "") -> str:
    """Return what stands in a cell: three digits, shares in percent."""
    return fixed(value * POINTS, 1) if unit == "share" else number(value)


def _draw_cells(axes: Axes, heat: HeatMap) -> None:
    import numpy as np
    import seaborn as sns

    values = np.array(heat.values, dtype=np.float64).reshape(len(heat.rows), len(heat.columns))
    colours = np.where(values > 0, np.log(np.where(values > 0, values, 1.0)), np.nan) if heat.log else values
    finite = colours[np.isfinite(colours)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    texts = np.array([[cell_text(value, heat.unit) for value in row] for row in values.tolist()])
    sns.heatmap(
        np.where(np.isfinite(colours), colours, np.nan), ax=axes, cmap="cividis", vmin=low, vmax=high, cbar=False,
        annot=texts, fmt="", annot_kws={"fontsize": TEXT - 1}, linewidths=1.5, linecolor="white",
        xticklabels=False, yticklabels=False,
    )  # fmt: skip
    for row, column in np.argwhere(~np.isfinite(colours)).tolist():
        axes.text(column + 0.5, row + 0.5, texts[row, column], ha="center", va="center", color=SOFT)


def _seen_on(heat: HeatMap) -> str:
    """Return the ends of a map in words."""
    finite = [
        (value, row, column)
        for row, values in zip(heat.rows, heat.values, strict=True)
        for column, value in zip(heat.columns, values, strict=True)
        if math.isfinite(value)
    ]
    if not finite:
        return ": no finished runs"
    low, high = min(finite), max(finite)
    return (
        f" by {heat.row_axis} and {heat.column_axis}, from {cell_text(low[0], heat.unit)}"
        f" at {low[1]}, {low[2]} to {cell_text(high[0], heat.unit)} at {high[1]}, {high[2]}"
    )
