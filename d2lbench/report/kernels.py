"""The timed kernels as a page shows them: every number already in words, the plots drawn."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Final

from d2lbench.report.costs import TimeCell, note_of, time_cell
from d2lbench.report.curves import draw_panel
from d2lbench.report.escape import stem
from d2lbench.report.format import NOTHING, TIMES, counted, fixed, number
from d2lbench.report.rooflines import draw_roofline
from d2lbench.report.style import colour_map
from d2lbench.report.time_dots import draw_times

if TYPE_CHECKING:
    from d2lbench.analysis.timing_model import HotCold, KernelGroup, KernelRow, Kernels, Ratio
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


@dataclass(frozen=True)
class KernelLine:
    """A kernel, in words."""

    name: str
    forward: TimeCell
    backward: TimeCell
    step: TimeCell
    ratio: str
    ratio_interval: str
    places: tuple[tuple[str, str], ...]
    notes: str


@dataclass(frozen=True)
class GroupPage:
    """A group of kernels in one setting, in words; ``phases`` are the columns that it has."""

    anchor: str
    name: str
    setting: str
    size: str
    phases: tuple[str, ...]
    rows: tuple[KernelLine, ...]
    figure: Drawn

    @property
    def has_ratio(self) -> bool:
        """Whether some kernel was timed both ways."""
        return any(row.ratio != NOTHING for row in self.rows)


@dataclass(frozen=True)
class HotColdLine:
    """A phase hot and cold, in words."""

    name: str
    hot: TimeCell
    cold: TimeCell
    ratio: str
    ratio_interval: str
    note: str


@dataclass(frozen=True)
class KernelsPage:
    """Everything timed of kernels, in words."""

    machine: tuple[tuple[str, str], ...]
    summary: str
    groups: tuple[GroupPage, ...]
    rooflines: tuple[Drawn, ...]
    roofline_caption: str
    hot_cold: tuple[HotColdLine, ...]
    hot_cold_figure: Drawn | None
    hot_cold_caption: str
    memory: tuple[Drawn, ...]
    memory_caption: str
    dots_caption: str
    refused: tuple[tuple[str, str], ...]

    @property
    def figures(self) -> tuple[Drawn, ...]:
        """All figures in the order in which they appear."""
        hot_cold = () if self.hot_cold_figure is None else (self.hot_cold_figure,)
        return (*self.rooflines, *hot_cold, *self.memory, *(group.figure for group in self.groups))


def kernels_page(kernels: Kernels) -> KernelsPage:
    """Put the timings into words and draw their plots."""
    looks = colour_map(curve.label for panel in kernels.memory for curve in panel.curves if not curve.is_baseline)
    return KernelsPage(
        machine=kernels.machine,
        summary=_summary(kernels),
        groups=tuple(_group(group) for group in kernels.groups),
        rooflines=tuple(draw_roofline(each, stem("roofline", each.setting), ROOFLINE) for each in kernels.rooflines),
        roofline_caption=ROOFLINE,
        hot_cold=tuple(_hot_cold_line(each) for each in kernels.hot_cold),
        hot_cold_figure=draw_times(kernels.hot_cold_plot, stem("hot-cold"), HOT_COLD)
        if kernels.hot_cold_plot
        else None,
        hot_cold_caption=HOT_COLD,
        memory=tuple(draw_panel(panel, stem("memory", panel.x_label), looks, MEMORY) for panel in kernels.memory),
        memory_caption=MEMORY,
        dots_caption=DOTS,
        refused=kernels.refused,
    )


def _summary(kernels: Kernels) -> str:
    rows = [row for group in kernels.groups for row in group.rows]
    ratios = sorted(row.ratio.value for row in rows if row.ratio is not None)
    told = f"{counted(len(rows), 'kernel')} timed"
    if ratios:
        told += (
            f"; of {len(ratios):,} timed both ways, backward takes {number(median(ratios))} times as long as forward,"
            f" in the median, and from {number(ratios[0])} to {number(ratios[-1])} times"
        )
    others = kernels.other_machines
    return told + (f". The store holds timings of {counted(others, 'other machine')}, too." if others else ".")


def _group(group: KernelGroup) -> GroupPage:
    phases = tuple(phase for phase in ("forward", "backward", "step") if any(getattr(row, phase) for row in group.rows))
    name = stem("kernels", group.name, group.setting)
    return GroupPage(
        anchor=name,
        name=group.name,
        setting=group.setting,
        size=counted(len(group.rows), "kernel"),
        phases=phases,
        rows=tuple(_line(row) for row in group.rows),
        figure=draw_times(group.plot, name, f"{group.setting}. {DOTS}"),
    )


def _line(row: KernelRow) -> KernelLine:
    ratio, interval = _ratio(row.ratio)
    return KernelLine(
        name=f"{row.case}/{row.size}",
        forward=time_cell(row.forward),
        backward=time_cell(row.backward),
        step=time_cell(row.step),
        ratio=ratio,
        ratio_interval=interval,
        places=tuple((phase, f"{fixed(100 * share, 0)} % {bound}") for phase, bound, share in row.places),
        notes=", ".join(row.notes),
    )


def _ratio(ratio: Ratio | None) -> tuple[str, str]:
    if ratio is None:
        return NOTHING, ""
    known = math.isfinite(ratio.low) and math.isfinite(ratio.high)
    return f"{TIMES}{number(ratio.value)}", f"{number(ratio.low)}, {number(ratio.high)}" if known else ""


def _hot_cold_line(pair: HotCold) -> HotColdLine:
    ratio, interval = _ratio(pair.ratio)
    return HotColdLine(
        name=f"{pair.case}/{pair.size} {pair.phase}",
        hot=time_cell(pair.hot),
        cold=time_cell(pair.cold),
        ratio=ratio,
        ratio_interval=interval,
        note=note_of(pair.hot, pair.cold),
    )
