"""`d2lbench check`: how large the grids are, how they would be stacked, and how much of them is in the store."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from d2lbench.api.session import Request, Session, refuse_missing_device
from d2lbench.catalogue.datasets.files import missing_data
from d2lbench.core.errors import UsageError
from d2lbench.core.files import json_text
from d2lbench.engine import calibration
from d2lbench.engine.plan import plan
from d2lbench.running.calibrate import calibrate, due, estimate
from d2lbench.running.work import optional_series
from d2lbench.store.machines import environment_of

if TYPE_CHECKING:
    from d2lbench.engine.calibration import Calibration
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
    seconds: float | None
    memory: int | None
    processes: int
    uncalibrated: int
    claims: int
    published: int
    seeds: int
    seeds_required: int
    missing_data: dict[str, str]
    left: int  # stacks

    @property
    def estimate(self) -> str:
        """How long the stacks that are left take, and how much memory."""
        return estimated(self.seconds, self.memory, self.processes, self.uncalibrated, self.left)

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
            *([] if self.rounds else [f"  {self.estimate}"]),
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
        foot = f"{total:,} cells, {left:,} to train; {self._estimate()}"
        large = (f"{name}\n  {size}: too many to plan here" for name, size in self.unplanned.items())
        other = (f"{name}: asked at the {' and the '.join(known)} scale only" for name, known in self.left_out.items())
        return "\n\n".join([*(grid.text() for grid in self.grids), *large, *other, foot])

    def _estimate(self) -> str:
        known = [grid for grid in self.grids if grid.seconds is not None]
        seconds = sum(grid.seconds or 0.0 for grid in known) if known else None
        memory = max((grid.memory or 0 for grid in known), default=None)
        processes = max((grid.processes for grid in self.grids), default=1)
        unknown, left = (sum(getattr(grid, name) for grid in self.grids) for name in ("uncalibrated", "left"))
        return estimated(seconds, memory, processes, unknown, left)

    def as_json(self) -> str:
        """Return the same for machines."""
        large = [{"name": name, "size": size, "cells": None} for name, size in self.unplanned.items()]
        other = [{"name": name, "scales": known, "cells": None} for name, known in self.left_out.items()]
        return json_text([*(asdict(grid) for grid in self.grids), *large, *other])


def estimated(seconds: float | None, memory: int | None, processes: int, unknown: int, stacks: int) -> str:
    """Return an estimate in words: time on so many processes, memory, and what of the stacks it leaves out."""
    if not stacks:
        return "nothing to train"
    remedy = "`d2lbench check --calibrate` measures this machine"
    if seconds is None or unknown == stacks:
        return f"time and memory: not calibrated on this machine; {remedy}"
    each = "process" if processes == 1 else "processes"
    text = f"about {_duration(seconds)} on {processes} {each} of at most {(memory or 0) / 2**30:.1f} GiB"
    return f"{text}, and {unknown:,} of {stacks:,} stacks that are not calibrated; {remedy}" if unknown else text


def _duration(seconds: float) -> str:
    """Return a time that nobody takes for exact: ``20 s``, ``38 min``, ``2 h 10 min``."""
    if seconds < 90:  # noqa: PLR2004  (seconds that one still counts)
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"  # noqa: PLR2004


def calibrated(session: Session) -> None:
    """Measure every structure of a session's grids that is not known on this machine.

    Raises
    ------
    UsageError
        Calibrations are switched off.
    """
    from d2lbench.running.pool import Pool

    request = session.request
    if calibration.folder() is None:
        problem = "check --calibrate: D2LBENCH_CALIBRATION is off; name a folder with it, or unset it"
        raise UsageError(problem)
    known = calibration.read(request.device)
    cells = (cell for grid in session.grids if not grid.is_timed for cell in grid.cells())
    groups = due(cells, known, least=0.0)
    if groups:
        pool = Pool(known.processes, request.device, request.plugins)
        try:
            calibration.save(calibrate(groups, pool, known), request.device)
        finally:
            pool.stop()


def checked(session: Session) -> Checks:
    """Return the state of every grid of a session; the store is read where there is one."""
    places = dict.fromkeys((grid.name for grid in session.grids), session.environment)
    finished: dict[str, dict[str, frozenset[str]]] = {}
    if session.request.store.exists():
        with session.open_store() as store:
            places = {grid.name: environment_of(grid, store, session.environment) for grid in session.grids}
            finished = {place: store.finished(place) for place in set(places.values())}
    device = session.request.device
    known = calibration.read(device)
    grids = tuple(_checked(grid, finished.get(places[grid.name], {}), device, known) for grid in session.grids)
    large = {path.stem: size.text() for path, size in session.unexpanded.items()}
    return Checks(grids, large, {path.stem: known for path, known in session.left_out.items()})


def _checked(grid: Grid, finished: dict[str, frozenset[str]], device: str, known: Calibration) -> Checked:
    cells = list(grid.cells())
    extras = frozenset[str]() if grid.is_timed else optional_series(grid)
    stacks = () if grid.is_timed else plan(cells, series=extras, device=device, calibration=known)
    done = {cell.id for cell in cells if cell.id in finished and extras <= finished[cell.id]}
    left = [stack for stack in stacks if any(cell.id not in done for cell in stack.cells)]
    found = estimate(left, known)
    is_known = found.unknown < len(left)
    return Checked(
        name=grid.name,
        file=grid.file,
        scale=grid.scale,
        title=grid.title,
        size=grid.size_text,
        cells=len(cells),
        stored=len(done),
        stacks=len(stacks),
        rounds=len(grid.seeds) if grid.is_timed else 0,
        widest=max(map(len, stacks), default=0),
        seconds=found.seconds if is_known else None,
        memory=found.memory if is_known else None,
        processes=found.processes,
        uncalibrated=found.unknown,
        claims=sum(claim.asked for claim in grid.claims),
        published=sum(len(entry.values) for entry in grid.published),
        seeds=len(grid.seeds),
        seeds_required=grid.seeds_required,
        missing_data=missing_data(cells),
        left=len(left),
    )


#: Above this many cells `check` tells a grid's size and leaves it at that.
MOST_PLANNED = 100_000


def check_text(request: Request, *, calibrate: bool = False) -> str:
    """Return the size, stacks, estimate and state of every grid, in words."""
    return check(request, calibrate=calibrate).text()


def check_json(request: Request, *, calibrate: bool = False) -> str:
    """Return the same for machines."""
    return check(request, calibrate=calibrate).as_json()


def check(request: Request, *, calibrate: bool) -> Checks:
    """Return the state of every grid asked for, after measuring this machine where that is asked for."""
    if calibrate:
        refuse_missing_device(request.device)
    session = Session(request, most=MOST_PLANNED)
    if calibrate:
        calibrated(session)
    return checked(session)
