"""What is known of one grid's arms, or of one stored run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from d2lbench.api.session import Request, Session
from d2lbench.core.environment import environment
from d2lbench.core.errors import UsageError
from d2lbench.grid import find_grids
from d2lbench.store import Store

if TYPE_CHECKING:
    from d2lbench.grid.model import Grid
    from d2lbench.store import Run

_HEXADECIMAL: Final = set("0123456789abcdef")
#: As many digits tell a run from a grid's name: those of a revision's short name.
_LEAST_DIGITS: Final = 6


@dataclass(frozen=True)
class Arms:
    """A grid and a row for each of its arms; ``column`` names what the arms are shown by, in the metric's unit."""

    grid: Grid
    column: str
    rows: tuple[dict[str, Any], ...]


def show(request: Request) -> Arms | Run:
    """Return the arms of the grid that is named, or the stored run that the first digits of an identity name.

    Raises
    ------
    UsageError
        There is no such grid, no such run, or more than one.
    """
    name = request.names[0]
    is_identity = len(name) >= _LEAST_DIGITS and set(name) <= _HEXADECIMAL
    if is_identity and name not in {path.stem for path in find_grids()}:
        return _stored_run(request, name)
    return _arms(request)


def _arms(request: Request) -> Arms:
    from d2lbench.analysis.assemble import results_of
    from d2lbench.analysis.headlines import headline_of
    from d2lbench.analysis.results import Results
    from d2lbench.analysis.tables import arm_table, kernel_table

    session = Session(request)
    grid = session.grids[0]
    results = Results(grid, {})
    if request.store.exists():
        with session.open_store() as store:
            results = results_of(grid, store, session.environment)
    table = kernel_table(results) if grid.is_timed else arm_table(results)
    column = "time" if grid.is_timed else headline_of(grid).metric("test").name
    rows = tuple(
        {
            "context": row.context,
            "arm": row.label,
            column: None if row.metric.n == 0 else row.metric.mean,
            "n": row.metric.n,
            "done": row.done,
            "diverged": row.diverged,
            "missing": row.missing,
            "picked": row.tuned,
        }
        for row in (table.rows if table else ())
    )
    return Arms(grid, column, rows)


def _stored_run(request: Request, prefix: str) -> Run:
    key = environment(request.device).key
    with Store(request.store, create=False) as store:
        places = [place for place in store.environments() if place == key or place.startswith(f"{key}/")]
        runs = [run for place in places for run in store.matching(place, prefix).values()]
    if len(runs) != 1:
        how_many = f"{len(runs)} stored runs begin" if runs else "no stored run begins"
        problem = f"show: {how_many} with {prefix} in the environment {key}"
        raise UsageError(problem)
    return runs[0]
