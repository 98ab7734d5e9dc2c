"""A grid's costs as a page shows them: every number already in words, the plots drawn."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from d2lbench.report.cost_plots import draw_costs
from d2lbench.report.escape import stem
from d2lbench.report.format import NOTHING, Unit, duration, durations, exact, size

if TYPE_CHECKING:
    from collections.abc import Mapping

    from d2lbench.analysis.timing_model import CostRow, CostTable, Time
    from d2lbench.report.curves import Look
    from d2lbench.report.style import Drawn


@dataclass(frozen=True)
class TimeCell:
    """A time in a table: its median and its interval, empty where that is not known."""

    told: str
    interval: str

    @property
    def together(self) -> str:
        """``12.3 µs [12.1, 12.6]``."""
        return f"{self.told} [{self.interval}]" if self.interval else self.told


@dataclass(frozen=True)
class CostLine:
    """An arm, in words."""

    context: str
    label: str
    is_baseline: bool
    is_optimal: bool
    quality: str
    quality_interval: str
    program: str
    parameters: str
    forward: TimeCell
    backward: TimeCell
    step: TimeCell
    memory: str
    run: str
    note: str


@dataclass(frozen=True)
class CostPage:
    """The costs of a grid's arms, in words."""

    metric: str
    rows: tuple[CostLine, ...]
    has_contexts: bool
    unmeasured: int
    unconverged: int
    machine: str
    batch: str
    caption: str
    is_tuned: bool
    figures: tuple[Drawn, ...]


def cost_page(table: CostTable, grid: str, looks: Mapping[str, Look]) -> CostPage:
    """Put a table of costs into words and draw its plots."""
    unit = Unit(table.unit, table.as_ratio)
    batches = sorted({row.batch for row in table.rows if row.program is not None})
    caption = _caption(table)
    figures = tuple(
        draw_costs(plot, stem(grid, "cost", plot.title, str(place)), looks, caption)
        for place, plot in enumerate(table.plots)
        if len(plot.points) > 1
    )
    return CostPage(
        metric=table.metric,
        rows=tuple(_line(row, unit) for row in table.rows),
        has_contexts=any(row.context for row in table.rows),
        unmeasured=sum(row.program is None for row in table.rows),
        unconverged=len({row.program for row in table.rows if _note(row)}),
        machine=", ".join(f"{name} {value}" for name, value in table.machine[:4]),
        batch=" or ".join(exact(batch) for batch in batches),
        caption=caption,
        is_tuned=table.is_tuned,
        figures=figures,
    )


def time_cell(time: Time | None) -> TimeCell:
    """Return a time in words; a dash where nothing was timed."""
    if time is None:
        return TimeCell(NOTHING, "")
    told, interval = durations(time.median, time.low, time.high)
    return TimeCell(told, "" if interval == NOTHING else interval)


def note_of(*times: Time | None) -> str:
    """Return ``unconverged`` where some time's interval was not narrow enough when time ran out; else nothing."""
    return next((time.status for time in times if time is not None and time.status != "precise"), "")


def _line(row: CostRow, unit: Unit) -> CostLine:
    quality = unit.levels(row.quality.mean, row.quality.low, row.quality.high)
    known = row.program is not None
    return CostLine(
        context=row.context,
        label=row.label,
        is_baseline=row.is_baseline,
        is_optimal=row.is_optimal,
        quality=quality.estimate,
        quality_interval=quality.interval,
        program=str(row.program) if known else NOTHING,
        parameters=exact(row.parameters) if known else NOTHING,
        forward=time_cell(row.forward),
        backward=time_cell(row.backward),
        step=time_cell(row.step),
        memory=NOTHING if row.memory is None else size(row.memory),
        run=duration(row.seconds) if math.isfinite(row.seconds) else NOTHING,
        note=_note(row),
    )


def _note(row: CostRow) -> str:
    return note_of(row.step, row.forward, row.backward)


def _caption(table: CostTable) -> str:
    tuned = " A tuned arm stands at the rung picked most often; its tuning costs as many runs as it has rungs."
    return (
        f"What a run's training steps cost, alone on one thread, against its {table.metric}. Outlined dots joined by "
        "the line: no other arm is both as cheap and as good, by mean and median alone. Thin bars: 95 % intervals of"
        " the quality over seeds." + (tuned if table.is_tuned else "")
    )
