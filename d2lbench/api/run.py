"""What the commands do: load the grids asked for, run them, read them, write what was found."""

from __future__ import annotations

import functools
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from d2lbench.api.report import _write
from d2lbench.api.session import Request, Session, refuse_missing_device
from d2lbench.core.files import json_text

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from d2lbench.running.runner import Summary
    from d2lbench.store import Store
    from d2lbench.timing.arm_costs import Costed


@dataclass(frozen=True)
class Done:
    """What a run did and where its report lies."""

    summary: Summary
    report: Path | None
    redrawn: bool = False
    costed: Costed | None = None
    timed: tuple[str, ...] = ()  # grids of kernels

    def text(self) -> str:
        """Return what the terminal shows at the end; the report's path is the last line."""
        summary = self.summary
        before = f"{summary.planned:,} cells: {summary.stored_before:,} in the store already"
        lines = [f"{before}; trained now: {_told(summary)}"]
        if summary.continued:
            lines.append(f"stacks continued from checkpoints: {summary.continued:,}")
        lines += [f"  {cells:,} cells: {reason}" for reason, cells in sorted(summary.reasons.items())]
        lines += [f"kernels are left to `d2lbench time --claims`: {', '.join(self.timed)}"] if self.timed else []
        lines += self.costed.lines() if self.costed else []
        if self.report is not None:
            lines += [] if self.redrawn else ["nothing new, report unchanged"]
            lines.append(str(self.report))
        return "\n".join(lines)

    def as_json(self) -> str:
        """Return the same for machines."""
        content = {
            "planned": self.summary.planned,
            "stored_before": self.summary.stored_before,
            "trained": self.summary.counts,
            "continued": self.summary.continued,
            "reasons": self.summary.reasons,
            "report": str(self.report) if self.report else None,
            "redrawn": self.redrawn,
            "costs": asdict(self.costed) if self.costed else None,
        }
        return json_text(content)


def _told(summary: Summary) -> str:
    return ", ".join(f"{cells:,} {status}" for status, cells in sorted(summary.counts.items())) or "none"


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
    from d2lbench.api.session import note_claims
    from d2lbench.running.runner import Runner

    with session.open_store(create=True) as store:
        note_claims(session.grids, store, session.environment)
        summary = Runner(store, request.device, request.jobs, request.plugins).run(session.grids)
        timed = tuple(grid.name for grid in session.grids if grid.is_timed)
        if not report:
            return Done(summary, None, timed=timed)
        costed = _cost(session, store) if costs else None
        path, redrawn = _write(session, store)
        return Done(summary, path, redrawn=redrawn, costed=costed, timed=timed)


def _cost(session: Session, store: Store) -> Costed:
    """Time the programs of the grids that the store has no costs of."""
    from d2lbench.timing.arm_costs import Costing
    from d2lbench.timing.process import CostProcess

    request = session.request
    process = functools.partial(CostProcess, request.device, request.plugins)
    return Costing(store, request.device).run(session.grids, process)
