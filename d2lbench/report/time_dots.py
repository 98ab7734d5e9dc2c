"""Times as dots on one axis, a line for each thing that was timed: forward beside backward, hot beside cold."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, TypeAlias

from d2lbench.report.format import duration
from d2lbench.report.log_axes import time_axis
from d2lbench.report.style import (
    BASELINE,
    COLOURS,
    FAINT,
    INK,
    INSET,
    PIXELS_PER_INCH,
    SOFT,
    TEXT,
    canvas,
    finish,
    label,
    name_figure,
    width_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from d2lbench.analysis.timing_model import DotPlot, DotRow
    from d2lbench.report.style import Drawn

WIDTH, ROW, TOP, BOTTOM, RIGHT = 520, 19, 34, 44, 24
LETTERS: Final = 36
MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X")
ROOM: Final = 1.3  # beyond the outermost times, as a factor
DODGE: Final = 0.5  # how far the series of one line are moved apart at most, in lines
#: A name with the colour and the mark that it stands for.
Mark: TypeAlias = tuple[str, str, str]
LEGEND_TOP, LEGEND_LINE, LEGEND_GAP = 34.0, 19.0, 26.0


def draw_times(plot: DotPlot, name: str, caption: str = "") -> Drawn:
    """Draw a plot of times; intervals are bars behind the dots, longer than the dots only where they are wide."""
    texts = [label(row.label, LETTERS) for row in plot.rows]
    left = 14 + width_of(texts, TEXT - 1)
    marks = [(series, *look(place)) for place, series in enumerate(plot.series)] if len(plot.series) > 1 else []
    top = TOP + LEGEND_LINE * len(legend_lines(marks, WIDTH))
    figure, axes = canvas(WIDTH, int(top + BOTTOM + ROW * max(1, len(plot.rows))), (left, RIGHT, top, BOTTOM))
    name_figure(figure, plot.title)
    axes.set_ylim(max(1, len(plot.rows)) - 0.5, -0.5)
    axes.set_xscale("log")
    for place, row in enumerate(plot.rows):
        _draw_row(axes, place, row, plot.series)
    _set_axes(axes, plot, texts)
    draw_marks(figure, marks)
    return finish(figure, name, _alt(plot, caption))


def look(place: int) -> tuple[str, str]:
    """Return colour and marker of a series."""
    colours = (*COLOURS, BASELINE)
    return colours[place % len(colours)], MARKERS[place % len(MARKERS)]


def _draw_row(axes: Axes, place: int, row: DotRow, series: Sequence[str]) -> None:
    medians = [time.median for _, time in row.times]
    axes.plot([min(medians), max(medians)], [place, place], color=FAINT, linewidth=1.0, zorder=1)
    for number, (name, time) in enumerate(row.times):
        colour, marker = look(series.index(name))
        height = place + DODGE * ((number + 0.5) / len(row.times) - 0.5)
        if math.isfinite(time.low) and math.isfinite(time.high) and time.low > 0:
            axes.plot([time.low, time.high], [height, height], color=colour, linewidth=3.4, alpha=0.35, zorder=2)
        open_ = time.status != "precise"
        axes.plot(
            [time.median], [height], linestyle="none", marker=marker, markersize=6,
            color="white" if open_ else colour, markeredgecolor=colour, markeredgewidth=1.5, zorder=3,
        )  # fmt: skip


def _set_axes(axes: Axes, plot: DotPlot, texts: Sequence[str]) -> None:
    axes.set_yticks(range(len(texts)), texts, color=INK)
    axes.spines["left"].set_visible(False)
    axes.grid(visible=False, axis="y")
    medians = [time.median for row in plot.rows for _, time in row.times]
    if medians:
        time_axis(axes, min(medians) / ROOM, max(medians) * ROOM)
    axes.set_xlabel("time of a call")


def draw_marks(figure: Figure, marks: Sequence[Mark]) -> None:
    """Write names above the axes, each behind its mark, in as many lines as they take."""
    from matplotlib.lines import Line2D

    width, height = (float(inches) * PIXELS_PER_INCH for inches in figure.get_size_inches())
    for row, line in enumerate(legend_lines(marks, width)):
        x, y = INSET + 5, 1 - (LEGEND_TOP + LEGEND_LINE * row) / height
        for name, colour, marker in line:
            text = label(name, LETTERS)
            dot = Line2D([x / width], [y], linestyle="none", marker=marker, markersize=6, color=colour)
            dot.set_markeredgewidth(0)
            figure.add_artist(dot)
            figure.text((x + 9) / width, y, text, fontsize=TEXT - 1, va="center", color=SOFT)
            x += width_of([text], TEXT - 1) + LEGEND_GAP


def legend_lines(marks: Sequence[Mark], width: float) -> list[list[Mark]]:
    """Return the marks line by line, as many in each as a figure so wide, in pixels, has room for."""
    lines: list[list[Mark]] = []
    right = math.inf
    for mark in marks:
        room = width_of([label(mark[0], LETTERS)], TEXT - 1) + LEGEND_GAP
        if right + room > width:
            lines.append([])
            right = INSET
        lines[-1].append(mark)
        right += room
    return lines


def _alt(plot: DotPlot, caption: str) -> str:
    told = "; ".join(
        f"{label(row.label, 40)}: " + ", ".join(f"{name} {duration(time.median)}" for name, time in row.times)
        for row in plot.rows[:12]
    )
    more = f"; and {len(plot.rows) - 12} more" if len(plot.rows) > 12 else ""  # noqa: PLR2004
    return f"Times of {plot.title}. {told}{more}. {caption}".strip()
