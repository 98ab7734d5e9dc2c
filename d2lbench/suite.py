"""What the commands do: load the grids asked for, run them, read them, write what was found."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from d2lbench import __version__
from d2lbench.errors import UsageError
from d2lbench.machines import environment_of
from d2lbench.session import Request, Session, json_text, write_file
from d2lbench.store.timings import Kind

if TYPE_CHECKING:
    from collections.abc import Callable

    from d2lbench.analysis.model import Report
    from d2lbench.checking import Checks
    from d2lbench.costing import Costed
    from d2lbench.runner import Summary
    from d2lbench.store import Store


#: Above this many cells `check` tells a grid's size and leaves it at that.
MOST_PLANNED = 100_000


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
    from d2lbench.planning import note_claims
    from d2lbench.runner import Runner

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
    from d2lbench.costing import Costing
    from d2lbench.costing_process import CostProcess

    request = session.request
    process = functools.partial(CostProcess, request.device, request.plugins)
    return Costing(store, request.device).run(session.grids, process)


def refuse_missing_device(device: str) -> None:
    """Refuse a GPU where torch finds none.

    Raises
    ------
    UsageError
        It is asked for and not there.
    """
    if device == "cuda":
        import torch

        if not torch.cuda.is_available():
            problem = "--device cuda: torch finds no CUDA device here; use --device cpu"
            raise UsageError(problem)


def write(request: Request) -> Path:
    """Write the report from what the store holds and return its path."""
    session = Session(request)
    with session.open_store() as store:
        return _write(session, store, force=True)[0]


def _write(session: Session, store: Store, *, force: bool = False) -> tuple[Path, bool]:
    """Write the report unless it was made of exactly this; say where it lies and whether it is new."""
    folder = session.request.output
    stamp, path = folder / ".made-of", folder / "report.html"
    made_of = _fingerprint(session, store)
    if not force and path.exists() and stamp.exists() and stamp.read_text(encoding="utf-8") == made_of:
        return path, False
    from d2lbench.report import write_report

    path = write_report(_assembled(session, store), folder)
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
    package = Path(__file__).parent
    sources = [source for name in ("analysis", "report", "catalogue") for source in (package / name).rglob("*.*")]
    for source in sorted(source for source in sources if source.suffix != ".pyc" and source.is_file()):
        content.update(source.read_bytes())
    return content.hexdigest()


def _assembled(session: Session, store: Store) -> Report:
    from d2lbench.analysis.assemble import assemble
    from d2lbench.costing import cost_key
    from d2lbench.planning import note_claims

    note_claims(session.grids, store, session.environment)
    return assemble(session.grids, store, session.environment, session.request.command, cost_key)


def check_text(request: Request, *, calibrate: bool = False) -> str:
    """Return the size, stacks, estimate and state of every grid, in words."""
    return _checked(request, calibrate=calibrate).text()


def check_json(request: Request, *, calibrate: bool = False) -> str:
    """Return the same for machines."""
    return _checked(request, calibrate=calibrate).as_json()


def _checked(request: Request, *, calibrate: bool) -> Checks:
    from d2lbench.checking import calibrated, checked

    if calibrate:
        refuse_missing_device(request.device)
    session = Session(request, most=MOST_PLANNED)
    if calibrate:
        calibrated(session)
    return checked(session)


def claims_text(request: Request) -> str:
    """Return every claim with its verdict, for a terminal."""
    from d2lbench.report import render_claims_text

    session = Session(request)
    with session.open_store() as store:
        return render_claims_text(_assembled(session, store))


def claims_json(request: Request) -> str:
    """Return every claim with its verdict, for machines."""
    return json_text(claim_rows(request))


def claim_rows(request: Request) -> list[dict[str, Any]]:
    """Return every claim with its verdict, and every published number, as plain data."""
    session = Session(request)
    with session.open_store() as store:
        report = _assembled(session, store)
    return [*map(_claim_row, report.claims), *map(_published_row, report.published)]


def _claim_row(claim: Any) -> dict[str, Any]:
    judgement = claim.judgement
    parts = [
        {"label": part.label, "n": part.n, "estimate": part.estimate, "low": part.interval95.low,
         "high": part.interval95.high, "p": part.p}
        for part in judgement.parts
    ]  # fmt: skip
    return {
        "grid": claim.grid, "id": claim.id, "kind": claim.kind, "origin": claim.origin, "says": claim.says,
        "scale": claim.scale, "verdict": judgement.word, "reason": judgement.reason, "p_holm": judgement.p_holm,
        "margin": claim.margin, "as_ratio": claim.as_ratio, "parts": parts,
    }  # fmt: skip


def _published_row(entry: Any) -> dict[str, Any]:
    theirs = [{"value": value, "inside": inside} for value, inside in entry.published]
    return {
        "grid": entry.grid, "id": entry.id, "kind": "published", "says": entry.says, "source": entry.source,
        "scale": entry.scale, "verdict": None, "arm": entry.arm, "metric": entry.metric, "n": len(entry.values),
        "mean": entry.mean, "low": entry.low, "high": entry.high, "published": theirs,
        "approximate": entry.approximate, "differs": entry.differs, "notes": entry.notes,
    }  # fmt: skip


def exported(request: Request, form: str) -> str:
    """Return a row per cell of the grids asked for, as CSV or JSON."""
    import pandas as pd

    from d2lbench.analysis.assemble import results_of
    from d2lbench.analysis.export import as_csv, frame

    session = Session(request)
    with session.open_store() as store:
        tables = [frame(results_of(grid, store, session.environment)).assign(grid=grid.name) for grid in session.grids]
    table = pd.concat(tables, ignore_index=True)
    table.insert(0, "grid", table.pop("grid"))
    return as_csv(table) if form == "csv" else json_text(table.astype(object).to_dict("records")) + "\n"


def export_weights(request: Request, folder: Path | None) -> str:
    """Write the kept weights of the grids asked for, a file per cell named by its identity, and say how many.

    Raises
    ------
    UsageError
        No folder is named, or no weights were kept.
    """
    if folder is None:
        problem = "export --format safetensors: name a folder with -o"
        raise UsageError(problem)
    session = Session(request)
    with session.open_store() as store:
        cells = {cell.id for grid in session.grids for cell in grid.cells()}
        kept = {cell: content for cell in sorted(cells) if (content := store.weights(session.environment, cell))}
    if not kept:
        problem = "export --format safetensors: no weights were kept; say keep_weights = true in the grid, and run it"
        raise UsageError(problem)
    folder.mkdir(parents=True, exist_ok=True)
    for cell, content in kept.items():
        (folder / f"{cell}.safetensors").write_bytes(content)
    return f"{len(kept)} files in {folder}"
