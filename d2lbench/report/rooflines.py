"""The roofline: how many operations a second each kernel does, below what was measured to be possible."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from d2lbench.report.curves import log_tick
from d2lbench.report.format import number, size
from d2lbench.report.style import COLOURS, DASHES, INK, INSET, SOFT, TEXT, canvas, finish, label, name_figure, width_of
from d2lbench.report.time_dots import LEGEND_LINE, LEGEND_TOP, draw_marks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from d2lbench.analysis.timing_model import Roofline
    from d2lbench.report.style import Drawn

WIDTH, HEIGHT = 620, 440
LEFT, RIGHT, TOP, BOTTOM = 62, 20, 80, 46
GIGA: Final = 1e9
#: What binds a kernel has a colour, its phase a mark.
BOUNDS: Final = {"compute": COLOURS[0], "memory": COLOURS[1], "launch": COLOURS[2]}
PHASES: Final = {"forward": "o", "backward": "s", "step": "^"}
ROOM: Final = 2.0  # beyond the outermost points, as a factor


def draw_roofline(roofline: Roofline, name: str, caption: str = "") -> Drawn:
    """Draw a roofline: operations a second over operations for each byte, both axes logarithmic."""
    figure, axes = canvas(WIDTH, HEIGHT, (LEFT, RIGHT, TOP, BOTTOM))
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
    return finish(figure, name, _alt(roofline, caption))


def _set_axes(axes: Axes, roofline: Roofline) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    intensities = [point.intensity for point in roofline.points]
    rates = [point.rate / GIGA for point in roofline.points]
    ridge = roofline.flops / roofline.copies[-1][1]  # where the compute ceiling begins to bind
    axes.set_xlim(min(intensities) / ROOM, max(*intensities, ridge) * ROOM)
    axes.set_ylim(min(rates) / ROOM, max(*rates, roofline.flops / GIGA) * ROOM)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(numticks=9))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(lambda value, _: log_tick(value)))
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
    x, y = INSET, 1 - (LEGEND_TOP + LEGEND_LINE) / HEIGHT
    slopes = list(zip(roofline.copies, _slopes(roofline), strict=True))
    for (moved, rate), (dash, width) in [pair for pair in slopes if pair[1][1] > 1]:  # those between go without a name
        text = f"copies of {size(moved)}: {number(rate / GIGA)} GB/s"
        ends = [x / WIDTH, (x + 22) / WIDTH]
        figure.add_artist(Line2D(ends, [y, y], color=INK, linewidth=width, linestyle=dash))
        figure.text((x + 28) / WIDTH, y, text, fontsize=TEXT - 1, va="center", color=SOFT)
        x += 28 + width_of([text], TEXT - 1) + 8


def _alt(roofline: Roofline, caption: str) -> str:
    fastest = sorted(roofline.points, key=lambda point: -point.rate)[:6]
    told = "; ".join(
        f"{label(point.case, 40)} {point.phase} {number(point.rate / GIGA)} GFLOP/s, bound by {point.bound}"
        for point in fastest
    )
    ceiling = f"Ceilings {number(roofline.flops / GIGA)} GFLOP/s and {number(roofline.copies[-1][1] / GIGA)} GB/s"
    return f"Roofline, {roofline.setting}. {ceiling}. Fastest: {told}. {caption}".strip()
