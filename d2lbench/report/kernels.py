"""The figures of timed kernels: forward beside backward, hot beside cold, and all below the ceilings of the machine."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from d2lbench.report.curves import draw_panel
from d2lbench.report.escape import stem
from d2lbench.report.format import duration, number, size
from d2lbench.report.style import (
    BASELINE,
    COLOURS,
    DASHES,
    FAINT,
    INK,
    INSET,
    PIXELS_PER_INCH,
    SOFT,
    TEXT,
    canvas,
    colour_map,
    finish,
    label,
    log_axis,
    name_figure,
    time_axis,
    width_of,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from d2lbench.analysis.timing_model import Kernels, Line, Roofline, Time
    from d2lbench.report.style import Drawn

DOTS: Final = (
    "Each dot is the median time of a call, on a bar that is its 95 % interval; hollow where the interval was not"
    " narrow enough when time ran out. The axis is logarithmic: equal distances are equal factors."
)
ROOFLINE: Final = (
    "Every timed phase below the ceilings that were measured on the same machine: the best matrix product, and copies"
    " from a cache and from memory. The work is what must be done and moved at least, so a dot above a slope ran from a"
    " nearer cache. What binds is the ceiling that the kernel comes nearest to; launch is the cost of calling at all."
)
HOT_COLD: Final = (
    "The same calls on tensors that a cache may hold, and on ever other ones that together are larger than the last"
    " cache."
)
MEMORY: Final = (
    "The most bytes held at once beyond parameters and inputs. Prediction forgets each layer's output when the next has"
    " been computed; training keeps them for the way back."
)

WIDTH, ROW, TOP, BOTTOM, RIGHT = 520, 19, 34, 44, 24
LETTERS: Final = 36
MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X")
ROOM: Final = 1.3  # beyond the outermost times, as a factor
DODGE: Final = 0.5  # how far the series of one line are moved apart at most, in lines
#: A name with the colour and the mark that it stands for.
Mark: TypeAlias = tuple[str, str, str]
LEGEND_TOP, LEGEND_LINE, LEGEND_GAP = 34.0, 19.0, 26.0

ROOFLINE_WIDTH, ROOFLINE_HEIGHT, ROOFLINE_EDGES = 620, 440, (62, 20, 80, 46)
GIGA: Final = 1e9
#: What binds a kernel has a colour, its phase a mark.
BOUNDS: Final = {"compute": COLOURS[0], "memory": COLOURS[1], "launch": COLOURS[2]}
PHASES: Final = {"forward": "o", "backward": "s", "step": "^"}
ROOFLINE_ROOM: Final = 2.0  # beyond the outermost points, as a factor


def draw_kernels(kernels: Kernels) -> Iterator[tuple[int, tuple[Drawn, ...]]]:
    """Draw all figures of kernels in the order of the page; yield each record's under the record's identity."""
    looks = colour_map(curve.label for panel in kernels.memory for curve in panel.curves if not curve.is_baseline)
    rooflines = [draw_roofline(each, stem("roofline", each.setting), ROOFLINE) for each in kernels.rooflines]
    yield id(kernels.rooflines), tuple(rooflines)
    if kernels.hot_cold:
        lines = [(pair.name, {"hot": pair.hot, "cold": pair.cold}) for pair in kernels.hot_cold]
        yield id(kernels.hot_cold), (draw_times("hot and cold cache", lines, stem("hot-cold"), HOT_COLD),)
    memory = [draw_panel(panel, stem("memory", panel.x_label), looks, MEMORY) for panel in kernels.memory]
    yield id(kernels.memory), tuple(memory)
    for group in kernels.groups:
        title, name = f"{group.name}, {group.setting}", stem("kernels", group.name, group.setting)
        yield id(group), (draw_times(title, group.lines, name, f"{group.setting}. {DOTS}"),)


# ---------------------------------------------------------------------------------------------------- dots of times


def draw_times(title: str, lines: Sequence[Line], name: str, caption: str = "") -> Drawn:
    """Draw times on one axis, a line for each thing, each series in its colour and with its mark.

    Intervals are bars behind the dots, longer than the dots only where they are wide.
    """
    texts = [label(text, LETTERS) for text, _ in lines]
    left = 14 + width_of(texts, TEXT - 1)
    colours = (*COLOURS, BASELINE)
    series = dict.fromkeys(name for _, times in lines for name in times)
    looks = {each: (colours[k % len(colours)], MARKERS[k % len(MARKERS)]) for k, each in enumerate(series)}
    marks = [(each, *look) for each, look in looks.items()] if len(looks) > 1 else []
    top = TOP + LEGEND_LINE * len(legend_lines(marks, WIDTH))
    figure, axes = canvas(WIDTH, int(top + BOTTOM + ROW * max(1, len(lines))), (left, RIGHT, top, BOTTOM))
    name_figure(figure, title)
    axes.set_ylim(max(1, len(lines)) - 0.5, -0.5)
    axes.set_xscale("log")
    for place, (_, times) in enumerate(lines):
        _draw_line(axes, place, times, looks)
    axes.set_yticks(range(len(texts)), texts, color=INK)
    axes.spines["left"].set_visible(False)
    axes.grid(visible=False, axis="y")
    medians = [time.median for _, times in lines for time in times.values()]
    if medians:
        time_axis(axes, min(medians) / ROOM, max(medians) * ROOM)
    axes.set_xlabel("time of a call")
    draw_marks(figure, marks)
    told = "; ".join(
        f"{label(text, 40)}: " + ", ".join(f"{each} {duration(time.median)}" for each, time in times.items())
        for text, times in lines[:12]
    )
    more = f"; and {len(lines) - 12} more" if len(lines) > 12 else ""  # noqa: PLR2004
    return finish(figure, name, f"Times of {title}. {told}{more}. {caption}".strip())


def _draw_line(axes: Axes, place: int, times: Mapping[str, Time], looks: Mapping[str, tuple[str, str]]) -> None:
    medians = [time.median for time in times.values()]
    axes.plot([min(medians), max(medians)], [place, place], color=FAINT, linewidth=1.0, zorder=1)
    for k, (name, time) in enumerate(times.items()):
        colour, marker = looks[name]
        height = place + DODGE * ((k + 0.5) / len(times) - 0.5)
        if math.isfinite(time.low) and math.isfinite(time.high) and time.low > 0:
            axes.plot([time.low, time.high], [height, height], color=colour, linewidth=3.4, alpha=0.35, zorder=2)
        open_ = time.status != "precise"
        axes.plot(
            [time.median], [height], linestyle="none", marker=marker, markersize=6,
            color="white" if open_ else colour, markeredgecolor=colour, markeredgewidth=1.5, zorder=3,
        )  # fmt: skip


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


# -------------------------------------------------------------------------------------------------------- rooflines


def draw_roofline(roofline: Roofline, name: str, caption: str = "") -> Drawn:
    """Draw a roofline: operations a second over operations for each byte, both axes logarithmic."""
    figure, axes = canvas(ROOFLINE_WIDTH, ROOFLINE_HEIGHT, ROOFLINE_EDGES)
    name_figure(figure, roofline.setting)
    axes.set(xscale="log", yscale="log")
    _set_axes(axes, roofline)
    _draw_ceilings(axes, roofline)
    for point in roofline.points:
        axes.plot(
            [point.intensity], [point.rate / GIGA], linestyle="none", marker=PHASES[point.phase], markersize=5,
            color=BOUNDS.get(point.bound, SOFT), alpha=0.75, markeredgewidth=0,
        )  # fmt: skip
    _draw_legend(figure, roofline)
    fastest = sorted(roofline.points, key=lambda point: -point.rate)[:6]
    told = "; ".join(
        f"{label(point.name, 40)} {point.phase} {number(point.rate / GIGA)} GFLOP/s, bound by {point.bound}"
        for point in fastest
    )
    ceiling = f"Ceilings {number(roofline.flops / GIGA)} GFLOP/s and {number(roofline.copies[-1][1] / GIGA)} GB/s"
    alt = f"Roofline, {roofline.setting}. {ceiling}. Fastest: {told}. {caption}".strip()
    return finish(figure, name, alt)


def _set_axes(axes: Axes, roofline: Roofline) -> None:
    intensities = [point.intensity for point in roofline.points]
    rates = [point.rate / GIGA for point in roofline.points]
    ridge = roofline.flops / roofline.copies[-1][1]  # where the compute ceiling begins to bind
    axes.set_xlim(min(intensities) / ROOFLINE_ROOM, max(*intensities, ridge) * ROOFLINE_ROOM)
    axes.set_ylim(min(rates) / ROOFLINE_ROOM, max(*rates, roofline.flops / GIGA) * ROOFLINE_ROOM)
    for axis in (axes.xaxis, axes.yaxis):
        log_axis(axis, ticks=9)
    axes.set_xlabel("operations for each byte that must be moved")
    axes.set_ylabel("10⁹ operations a second")


def _draw_ceilings(axes: Axes, roofline: Roofline) -> None:
    """Draw the ceiling of products, and a slope for each copy; the slowest, from memory, is the thick one."""
    left, right = axes.get_xlim()
    bottom = axes.get_ylim()[0]
    top = roofline.flops / GIGA
    fastest = max(rate for _, rate in roofline.copies) / GIGA
    axes.plot([top / fastest, right], [top, top], color=INK, linewidth=1.6)
    axes.annotate(
        f"best matrix product: {number(top)} GFLOP/s", (right, top), xytext=(-4, 4), textcoords="offset points",
        ha="right", fontsize=TEXT - 1, color=INK,
    )  # fmt: skip
    for (_, rate), (dash, width) in zip(roofline.copies, _slopes(roofline), strict=True):
        slope = rate / GIGA
        start = max(left, bottom / slope)
        axes.plot([start, top / slope], [start * slope, top], color=INK, linewidth=width, linestyle=dash)


def _slopes(roofline: Roofline) -> list[tuple[Any, float]]:
    """Return dash and width of each copy's slope: the slowest is solid, the fastest dashed, those between faint."""
    rates = [rate for _, rate in roofline.copies]
    fastest = rates.index(max(rates))
    dashes = [(DASHES[1], 1.2) if place == fastest else (DASHES[2], 0.6) for place in range(len(rates))]
    return [*dashes[:-1], ("-", 1.6)]


def _draw_legend(figure: Figure, roofline: Roofline) -> None:
    """Write what colours, marks and slopes mean, in two lines above the axes."""
    from matplotlib.lines import Line2D

    bounds = [bound for bound in BOUNDS if any(point.bound == bound for point in roofline.points)]
    phases = [phase for phase in PHASES if any(point.phase == phase for point in roofline.points)]
    marks = [(f"bound by {bound}", BOUNDS[bound], "o") for bound in bounds]
    draw_marks(figure, marks + [(phase, SOFT, PHASES[phase]) for phase in phases])
    x, y = INSET, 1 - (LEGEND_TOP + LEGEND_LINE) / ROOFLINE_HEIGHT
    slopes = list(zip(roofline.copies, _slopes(roofline), strict=True))
    for (moved, rate), (dash, width) in [pair for pair in slopes if pair[1][1] > 1]:  # those between go without a name
        text = f"copies of {size(moved)}: {number(rate / GIGA)} GB/s"
        ends = [x / ROOFLINE_WIDTH, (x + 22) / ROOFLINE_WIDTH]
        figure.add_artist(Line2D(ends, [y, y], color=INK, linewidth=width, linestyle=dash))
        figure.text((x + 28) / ROOFLINE_WIDTH, y, text, fontsize=TEXT - 1, va="center", color=SOFT)
        x += 28 + width_of([text], TEXT - 1) + 8
