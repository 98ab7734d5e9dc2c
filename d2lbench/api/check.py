"""What grids ask for: their size, how they would be stacked, and how much of them the store has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from d2lbench.api.session import Request, Session, refuse_missing_device
from d2lbench.catalogue.datasets.files import missing_data
from d2lbench.core.errors import UsageError
from d2lbench.engine import calibration
from d2lbench.engine.plan import plan
from d2lbench.running.calibrate import Estimate, due, estimate
from d2lbench.running.calibrate import calibrate as measure
from d2lbench.running.work import optional_series
from d2lbench.store.machines import environment_of

if TYPE_CHECKING:
    from d2lbench.engine.calibration import Calibration
    from d2lbench.grid.model import Grid

#: Of a grid with more cells than this only the size is told.
MOST_PLANNED = 100_000


@dataclass(frozen=True)
class Checked:
    """One grid in numbers; ``left`` counts the stacks that are not finished, which ``estimate`` is about."""

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
    left: int
    estimate: Estimate


@dataclass(frozen=True)
class Checks:
    """All grids asked for: planned, too large to be planned (with their sizes), and not asked at this scale."""

    grids: tuple[Checked, ...]
    unplanned: dict[str, str]
    left_out: dict[str, tuple[str, ...]]

    @property
    def left(self) -> int:
        """How many stacks of all grids are not finished."""
        return sum(grid.left for grid in self.grids)

    @property
    def estimate(self) -> Estimate:
        """What all of them take, one grid after the other."""
        each = [grid.estimate for grid in self.grids]
        return Estimate(
            seconds=sum(one.seconds for one in each),
            memory=max((one.memory for one in each), default=0),
            processes=max((one.processes for one in each), default=1),
            unknown=sum(one.unknown for one in each),
        )


def check(request: Request, *, calibrate: bool = False) -> Checks:
    """Return the state of every grid asked for; the store is read where there is one.

    With ``calibrate``, every structure of the grids that is not known on this machine is measured first.

    Raises
    ------
    D2lbenchError
        A mistake in a grid, a missing device, or calibrations that are switched off.
    """
    if calibrate:
        refuse_missing_device(request.device)
    session = Session(request, most=MOST_PLANNED)
    if calibrate:
        _calibrate(session)
    places = dict.fromkeys((grid.name for grid in session.grids), session.environment)
    finished: dict[str, dict[str, frozenset[str]]] = {}
    if request.store.exists():
        with session.open_store() as store:
            places = {grid.name: environment_of(grid, store, session.environment) for grid in session.grids}
            finished = {place: store.finished(place) for place in set(places.values())}
    known = calibration.read(request.device)
    return Checks(
        tuple(_checked(grid, finished.get(places[grid.name], {}), request.device, known) for grid in session.grids),
        {path.stem: size.text() for path, size in session.unexpanded.items()},
        {path.stem: scales for path, scales in session.left_out.items()},
    )


def _calibrate(session: Session) -> None:
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
            calibration.save(measure(groups, pool, known), request.device)
        finally:
            pool.stop()


def _checked(grid: Grid, finished: dict[str, frozenset[str]], device: str, known: Calibration) -> Checked:
    cells = list(grid.cells())
    extras = frozenset[str]() if grid.is_timed else optional_series(grid)
    stacks = () if grid.is_timed else plan(cells, series=extras, device=device, calibration=known)
    done = {cell.id for cell in cells if cell.id in finished and extras <= finished[cell.id]}
    left = [stack for stack in stacks if any(cell.id not in done for cell in stack.cells)]
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
        claims=sum(claim.asked for claim in grid.claims),
        published=sum(len(entry.values) for entry in grid.published),
        seeds=len(grid.seeds),
        seeds_required=grid.seeds_required,
        missing_data=missing_data(cells),
        left=len(left),
        estimate=estimate(left, known),
    )
