"""`d2lbench time --claims`: the rounds that the store lacks are measured, then every claim about kernels is judged."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from d2lbench.api import claims
from d2lbench.api.session import Session, refuse_missing_device
from d2lbench.core.errors import UsageError
from d2lbench.core.files import json_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from d2lbench.api.session import Request
    from d2lbench.timing.rounds import Summary

INCOMPLETE = 3


@dataclass(frozen=True)
class Answered:
    """What was measured, and the request whose claims it answers."""

    summary: Summary
    request: Request

    @property
    def exit_code(self) -> int:
        """3 where a kernel has no number, else 0."""
        return INCOMPLETE if self.summary.failed else 0

    def text(self) -> str:
        """Return what became of the rounds, and every claim with its verdict."""
        from d2lbench.report import render_claims_text

        return f"{self.summary.text()}\n\n{render_claims_text(claims.claims(self.request)).rstrip()}"

    def as_json(self) -> str:
        """Return the same for machines."""
        summary = self.summary
        content = {
            "rounds": summary.rounds,
            "kernels": summary.kernels,
            "stored_before": summary.known,
            "measured": summary.measured,
            "reasons": summary.failed,
            "claims": claims.claim_rows(claims.claims(self.request)),
        }
        return json_text(content)


def run(request: Request, budget: float | None = None) -> Answered:
    """Measure what the kernels of the grids asked for lack, ``budget`` seconds for all rounds, and judge their claims.

    Raises
    ------
    UsageError
        A grid that is named has no kernels, or none has.
    KeyboardInterrupt
        Ctrl-C or SIGTERM: finished rounds are stored.
    """
    refuse_missing_device(request.device)
    session = Session(request)
    timed = _timed(session)
    from d2lbench.api.session import note_claims
    from d2lbench.timing.process import MeasuringProcess
    from d2lbench.timing.rounds import Rounds

    with session.open_store(create=True) as store:
        note_claims(timed, store, session.environment)
        rounds = Rounds(store, lambda: MeasuringProcess(request.device, request.plugins), request.device, budget)
        summary = rounds.run(timed)
    return Answered(summary, replace(request, names=tuple(grid.file for grid in timed)))


def _timed(session: Session) -> list[Any]:
    """Return the session's grids that have kernels; of those that are named, all must."""
    timed = [grid for grid in session.grids if grid.is_timed]
    others = [grid.name for grid in session.grids if not grid.is_timed]
    if session.request.names and others:
        problem = f'time --claims "{others[0]}": it has no kernels; `d2lbench run {others[0]}` answers its claims'
        raise UsageError(problem)
    if not timed:
        problem = "time --claims: no grid has kernels; a grid's base says kernel = { name = …, phase = … }"
        raise UsageError(problem)
    return timed


def refuse_with_claims(given: Mapping[str, object]) -> None:
    """Refuse flags that say what is timed, and how: with --claims a grid says that.

    Raises
    ------
    UsageError
        Some are given; names them.
    """
    named = [flag for flag, value in given.items() if value]
    if named:
        problem = f"time --claims with {', '.join(named)}: the grids say what is timed, and how; leave out one or other"
        raise UsageError(problem)


def refuse_without_claims(grids: object, seeds: int | None) -> None:
    """Refuse what only claims have.

    Raises
    ------
    UsageError
        A grid or a number of rounds is given.
    """
    if grids:
        problem = "time GRID: goes with --claims, which times what a grid names; without it, name cases with -k"
        raise UsageError(problem)
    if seeds is not None:
        problem = "time --seeds: goes with --claims, where it is the number of rounds"
        raise UsageError(problem)
