"""`d2lbench check`: how large the grids are, how they would be stacked, and how much of them is in the store."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from d2lbench.engine.plan import plan
from d2lbench.machines import environment_of
from d2lbench.planning import missing_data, optional_series
from d2lbench.session import Session, json_text

if TYPE_CHECKING:
    from d2lbench.grid.model import Grid


@dataclass(frozen=True)
class Checked:
    """One grid's size in numbers."""

    name: str
    file: str
    scale: str
    title: str
    size: str
    cells: int
    stored: int
    stacks: int
    rounds: int
    widest: int
    claims: int
    published: int
    seeds: int
    seeds_required: int
    missing_data: dict[str, str]

    def text(self) -> str:
        """Return it in words."""
        claims = f"{self.claims} claim{'' if self.claims == 1 else 's'}"
        thing, parts = "seeds", f"{self.stacks:,} stacks of at most {self.widest}"
        if self.rounds:
            thing, parts = "rounds", f"{self.rounds:,} rounds, each a process of its own (d2lbench time --claims)"
        lines = [
            f"{self.name} ({self.scale}): {self.title}",
            f"  {self.size}",
            f"  {self.cells:,} distinct cells in {parts}",
            f"  {self.stored:,} of them in the store",
            f"  {claims} on {self.seeds} {thing} (at least {self.seeds_required} needed)",
        ]
        if self.published:
            lines += [f"  {self.published} published number{'' if self.published == 1 else 's'} to stand beside"]
        lines += [f"  would be skipped: {reason}" for reason in self.missing_data.values()]
        return "\n".join(lines)


@dataclass(frozen=True)
class Checks:
    """All grids asked for."""

    grids: tuple[Checked, ...]
    unplanned: dict[str, str]
    left_out: dict[str, tuple[str, ...]]

    def text(self) -> str:
        """Return sizes and the estimate in words."""
        left = sum(grid.cells - grid.stored for grid in self.grids if not grid.rounds)
        total = sum(grid.cells for grid in self.grids)
        foot = f"{total:,} cells, {left:,} to train; time and memory: not calibrated on this machine"
        large = (f"{name}\n  {size}: too many to plan here" for name, size in self.unplanned.items())
        other = (f"{name}: asked at the {' and the '.join(known)} scale only" for name, known in self.left_out.items())
        return "\n\n".join([*(grid.text() for grid in self.grids), *large, *other, foot])

    def as_json(self) -> str:
        """Return the same for machines."""
        large = [{"name": name, "size": size, "cells": None} for name, size in self.unplanned.items()]
        other = [{"name": name, "scales": known, "cells": None} for name, known in self.left_out.items()]
        return json_text([*(asdict(grid) for grid in self.grids), *large, *other])


def checked(session: Session) -> Checks:
    """Return the state of every grid of a session; the store is read where there is one."""
    places = dict.fromkeys((grid.name for grid in session.grids), session.environment)
    finished: dict[str, dict[str, frozenset[str]]] = {}
    if session.request.store.exists():
        with session.open_store() as store:
            places = {grid.name: environment_of(grid, store, session.environment) for grid in session.grids}
            finished = {place: store.finished(place) for place in set(places.values())}
    device = session.request.device
    grids = tuple(_checked(grid, finished.get(places[grid.name], {}), device) for grid in session.grids)
    large = {path.stem: size.text() for path, size in session.unexpanded.items()}
    return Checks(grids, large, {path.stem: known for path, known in session.left_out.items()})


def _checked(grid: Grid, finished: dict[str, frozenset[str]], device: str) -> Checked:
    cells = list(grid.cells())
    extras = frozenset[str]() if grid.is_timed else optional_series(grid)
    stacks = () if grid.is_timed else plan(cells, series=extras, device=device)
    return Checked(
        name=grid.name,
        file=grid.file,
        scale=grid.scale,
        title=grid.title,
        size=grid.size_text,
        cells=len(cells),
        stored=sum(cell.id in finished and extras <= finished[cell.id] for cell in cells),
        stacks=len(stacks),
        rounds=len(grid.seeds) if grid.is_timed else 0,
        widest=max(map(len, stacks), default=0),
        claims=sum(claim.asked for claim in grid.claims),
        published=sum(len(entry.values) for entry in grid.published),
        seeds=len(grid.seeds),
        seeds_required=grid.seeds_required,
        missing_data=missing_data(cells),
    )
