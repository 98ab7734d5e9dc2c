"""What a set of grids needs and the store lacks, as stacks in the order in which they are best trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from d2lbench.catalogue.datasets.files import dataset_name, missing_data
from d2lbench.engine.calibration import uncalibrated
from d2lbench.engine.plan import WEIGHTS, Stack, plan, structure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from d2lbench.core.spec import Cell
    from d2lbench.engine.calibration import Calibration
    from d2lbench.grid.model import Grid


@dataclass(frozen=True)
class Work:
    """A stack that still has to be trained, for one grid, and which of its cells are missing."""

    grid: str
    stack: Stack
    missing: frozenset[str]


@dataclass(frozen=True)
class Plan:
    """The work of several grids, the cells that lack data with the reason, and how many are stored already."""

    works: tuple[Work, ...]
    without_data: tuple[tuple[Cell, str], ...]
    planned: int
    stored: int


def plan_works(
    grids: Sequence[Grid],
    finished: Mapping[str, frozenset[str]],
    device: str = "cpu",
    calibration: Calibration | None = None,
) -> Plan:
    """Return what is to be done for the grids, given the finished cells with the optional series that each has.

    A cell that several grids share is trained once, with the optional series of them all. Within a grid the costliest
    stacks come first: a long one begun last would leave the other workers idle. Kernels are left to their rounds.
    """
    grids = [grid for grid in grids if not grid.is_timed]
    cells = {id(grid): list(grid.cells()) for grid in grids}
    known = calibration or uncalibrated(device)
    wanted: dict[str, frozenset[str]] = {}
    for grid in grids:
        series = optional_series(grid)
        for cell in cells[id(grid)]:
            wanted[cell.id] = wanted.get(cell.id, frozenset()) | series
    stored = {cell for cell, series in wanted.items() if cell in finished and series <= finished[cell]}
    absent = missing_data(cell for some in cells.values() for cell in some if cell.id not in stored)
    works: list[Work] = []

    def length(stack: Stack) -> float:
        return known.seconds(stack.cells, structure(stack.cells[0].config))

    without: dict[str, tuple[Cell, str]] = {}
    taken = set(stored)
    for grid in grids:
        kept = []
        for cell in cells[id(grid)]:
            reason = absent.get(dataset_name(cell))
            if reason and cell.id not in stored:
                without[cell.id] = (cell, reason)
            else:
                kept.append(cell)
        stacks = plan(kept, device=device, calibration=known)
        for stack in sorted(stacks, key=length, reverse=True):
            ids = frozenset(cell.id for cell in stack.cells)
            if missing := ids - taken:
                series = frozenset[str]().union(*(wanted[cell] for cell in missing))
                works.append(Work(grid.name, Stack(stack.cells, series), missing))
            taken |= ids
    return Plan(tuple(works), tuple(without.values()), len(wanted), len(stored))


def optional_series(grid: Grid) -> frozenset[str]:
    """Return what only some grids record because a claim or the key ``metrics`` or ``keep_weights`` asks for it."""
    kept = frozenset({WEIGHTS}) if grid.keep_weights else frozenset[str]()
    return kept.union(*(metric.series for metric in grid.metrics if metric.traits.optional))


def halves(work: Work) -> list[Work]:
    """Split a stack that did not fit into memory into two that may."""
    cells = work.stack.cells
    middle = len(cells) // 2
    parts = (Stack(cells[:middle], work.stack.series), Stack(cells[middle:], work.stack.series))
    found = (Work(work.grid, part, work.missing & {cell.id for cell in part.cells}) for part in parts)
    return [part for part in found if part.missing]
