"""The report, written from what the store holds."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from d2lbench.api.session import Request, Session, note_claims
from d2lbench.core.files import write_file
from d2lbench.core.version import __version__
from d2lbench.store.machines import environment_of
from d2lbench.store.timings import Kind

if TYPE_CHECKING:
    from d2lbench.analysis.model import Report
    from d2lbench.store import Store


def report(request: Request) -> Path:
    """Write the report from what the store holds and return its path."""
    session = Session(request)
    with session.open_store() as store:
        return write_if_new(session, store, force=True)[0]


def write_if_new(session: Session, store: Store, *, force: bool = False) -> tuple[Path, bool]:
    """Write the report unless it was made of exactly this; say where it lies and whether it is new."""
    folder = session.request.output
    stamp, path = folder / ".made-of", folder / "report.html"
    made_of = _fingerprint(session, store)
    if not force and path.exists() and stamp.exists() and stamp.read_text(encoding="utf-8") == made_of:
        return path, False
    from d2lbench.report import write_report

    path = write_report(assembled(session, store), folder)
    write_file(stamp, made_of)
    return path, True


def _fingerprint(session: Session, store: Store) -> str:
    """Return a digest of everything that a report is made of: grids, runs, and the code that reads and draws."""
    content = hashlib.sha256(f"{__version__}{session.request.command}{session.environment}".encode())
    for grid in session.grids:
        content.update(grid.digest.encode())
        place = environment_of(grid, store, session.environment)
        runs = store.runs(place, [cell.id for cell in grid.cells()], contents=False)
        for cell in sorted(runs):
            content.update(f"{cell}{runs[cell].sequence}{runs[cell].status}".encode())
    kinds: tuple[Kind, ...] = get_args(Kind)
    for timing in (timing for kind in kinds for timing in store.timings(kind)):
        content.update(f"{timing.kind}{timing.key}{timing.sequence}".encode())
    package = Path(__file__).parents[1]
    sources = [
        source
        for name in ("core", "grid", "catalogue", "analysis", "report")
        for source in (package / name).rglob("*.*")
    ]
    for source in sorted(source for source in sources if source.suffix != ".pyc" and source.is_file()):
        content.update(source.read_bytes())
    return content.hexdigest()


def assembled(session: Session, store: Store) -> Report:
    """Return what a report says of a session's grids; their claims are noted as seen."""
    from d2lbench.analysis.assemble import assemble
    from d2lbench.timing.arm_costs import cost_key

    note_claims(session.grids, store, session.environment)
    return assemble(session.grids, store, session.environment, session.request.command, cost_key)
