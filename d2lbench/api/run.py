"""A run: what the store lacks is trained, what arms cost is timed, and the report is written."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from d2lbench.api.report import write_if_new
from d2lbench.api.session import Request, Session, note_claims, refuse_missing_device

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from d2lbench.running.runner import Summary
    from d2lbench.timing.arm_costs import Costed


@dataclass(frozen=True)
class Done:
    """What a run did and where its report lies; ``timed`` names the grids of kernels, which it leaves alone."""

    summary: Summary
    report: Path | None = None
    redrawn: bool = False
    costed: Costed | None = None
    timed: tuple[str, ...] = ()


def run(
    request: Request, *, report: bool = True, costs: bool = True, confirm: Callable[[str], bool] | None = None
) -> Done:
    """Train what is missing, time what the arms cost, then write the report unless nothing has changed since.

    Costs are measured where a report will show them, after training has ended: nothing else then runs.

    Raises
    ------
    D2lbenchError
        A mistake in a grid, no store, no data, or more than 10,000 cells that nobody agreed to.
    """
    refuse_missing_device(request.device)
    session = Session(request, confirm)
    from d2lbench.running.runner import Runner
    from d2lbench.timing.arm_costs import Costing
    from d2lbench.timing.process import MeasuringProcess

    with session.open_store(create=True) as store:
        note_claims(session.grids, store, session.environment)
        summary = Runner(store, request.device, request.jobs, request.plugins).run(session.grids)
        timed = tuple(grid.name for grid in session.grids if grid.is_timed)
        if not report:
            return Done(summary, timed=timed)
        process = functools.partial(MeasuringProcess, request.device, request.plugins, profiler=True)
        costed = Costing(store, request.device).run(session.grids, process) if costs else None
        path, redrawn = write_if_new(session, store)
        return Done(summary, path, redrawn, costed, timed)
