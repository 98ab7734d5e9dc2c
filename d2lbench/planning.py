"""What a set of grids needs and the store lacks, as stacks in the order in which they are best trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from d2lbench.engine.calibration import uncalibrated
from d2lbench.engine.plan import WEIGHTS, Stack, plan, structure
from d2lbench.errors import DataError
from d2lbench.grid.measures import metric_entry
from d2lbench.machines import environment_of
from d2lbench.registry import REGISTRY, Registry
from d2lbench.spec import Cell, Config

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from d2lbench.engine.calibration import Calibration
    from d2lbench.grid.model import Grid
    from d2lbench.grid.statement import Claim
    from d2lbench.store import Store


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
            reason = absent.get(_dataset(cell))
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


def optional_series(grid: Grid, registry: Registry = REGISTRY) -> frozenset[str]:
    """Return what only some grids record because a claim or the key ``metrics`` or ``keep_weights`` asks for it."""
    asked = [part.metric for claim in grid.claims for part in claim.parts] + list(grid.metrics)
    entries = ((metric_entry(registry, metric), metric) for metric in asked)
    kept = frozenset({WEIGHTS}) if grid.keep_weights else frozenset[str]()
    return kept | frozenset(
        series
        for entry, metric in entries
        if entry.trait("optional")
        for series in entry.trait("columns")(dict(metric.options))
    )


def note_claims(grids: Sequence[Grid], store: Store, environment: str) -> None:
    """Write down the moment each claim is first seen, and whether data that answer it were there before it.

    Where both scales share their cells, what was declared before its data at one of them was so at the other.
    """
    places = {id(grid): environment_of(grid, store, environment) for grid in grids}
    finished = {place: store.finished(place) for place in set(places.values())}
    store.see_claims(
        [
            (grid.name, grid.scale, claim.id, claim.digest, has_data and not _declared_before(store, grid, claim))
            for grid in grids
            for has_data in [any(cell.id in finished[places[id(grid)]] for cell in grid.cells())]
            for claim in grid.claims
        ]
    )


def _declared_before(store: Store, grid: Grid, claim: Claim) -> bool:
    """Say whether the same claim was seen before its data, at whichever scale."""
    seen = (store.claim_seen(grid.name, scale, claim.id, claim.digest) for scale in ("quick", "full"))
    return any(each is not None and not each[1] for each in seen)


def missing_data(cells: Iterable[Cell], registry: Registry = REGISTRY) -> dict[str, str]:
    """Return, by dataset, why its files cannot be read; empty where all are there."""
    reasons = {}
    for name in sorted({_dataset(cell) for cell in cells} - {""}):
        locate: Callable[[], None] | None = registry.get("dataset", name).trait("locate")
        try:
            if locate:
                locate()
        except DataError as error:
            reasons[name] = str(error)
    return reasons


def halves(work: Work) -> list[Work]:
    """Split a stack that did not fit into memory into two that may."""
    cells = work.stack.cells
    middle = len(cells) // 2
    parts = (Stack(cells[:middle], work.stack.series), Stack(cells[middle:], work.stack.series))
    found = (Work(work.grid, part, work.missing & {cell.id for cell in part.cells}) for part in parts)
    return [part for part in found if part.missing]


def _dataset(cell: Cell) -> str:
    return cell.config.dataset.name if isinstance(cell.config, Config) else ""
