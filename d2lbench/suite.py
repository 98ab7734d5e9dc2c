"""What the commands do: load the grids asked for, run them, read them, write what was found."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from d2lbench import __version__, catalogue, plugins
from d2lbench.environment import environment
from d2lbench.errors import UsageError
from d2lbench.grid import find_grids, load

if TYPE_CHECKING:
    from d2lbench.analysis.model import Report
    from d2lbench.grid.model import Grid
    from d2lbench.runner import Summary
    from d2lbench.store import Store

#: Above this many cells a run asks first.
MANY_CELLS = 10_000


@dataclass(frozen=True)
class Request:
    """What the command line asks for."""

    names: tuple[str, ...] = ()
    scale: str = "quick"
    store: Path = Path(".d2lbench/store.sqlite")
    output: Path = Path(".d2lbench/report")
    device: str = "cpu"
    jobs: int | None = None
    sets: tuple[str, ...] = ()
    seeds: int | None = None
    only: tuple[str, ...] = ()
    plugins: tuple[Path, ...] = ()

    @property
    def command(self) -> str:
        """The command that repeats this request, without the places that belong to one machine."""
        words = ["d2lbench run", f"--scale {self.scale}", f"--device {self.device}" if self.device != "cpu" else ""]
        words += [f"--set '{item}'" for item in self.sets] + [f"--only '{item}'" for item in self.only]
        words += [f"--seeds {self.seeds}"] if self.seeds else []
        return " ".join([*filter(None, words), *(Path(name).stem for name in self.names)])


@dataclass(frozen=True)
class Done:
    """What a run did and where its report lies."""

    summary: Summary
    report: Path | None
    headline: str = ""
    redrawn: bool = False

    def text(self) -> str:
        """Return what the terminal shows at the end; the report's path is the last line."""
        summary = self.summary
        trained = ", ".join(f"{count:,} {status}" for status, count in sorted(summary.counts.items())) or "none"
        lines = [f"{summary.planned:,} cells: {summary.stored_before:,} in the store already; trained now: {trained}"]
        lines += [f"  {count:,} cells: {reason}" for reason, count in sorted(summary.reasons.items())]
        lines += [self.headline] if self.headline else []
        if self.report is not None:
            lines.append(str(self.report) if self.redrawn else f"nothing new, report unchanged\n{self.report}")
        return "\n".join(lines)

    def as_json(self) -> str:
        """Return the same for machines."""
        content = {
            "planned": self.summary.planned,
            "stored_before": self.summary.stored_before,
            "trained": self.summary.counts,
            "reasons": self.summary.reasons,
            "report": str(self.report) if self.report else None,
        }
        return json.dumps(content, indent=2)


@dataclass
class Session:
    """A request with its plugins loaded and its grids expanded; a grid's mistake ends it before anything runs."""

    request: Request
    grids: list[Grid] = field(default_factory=list)

    def __post_init__(self) -> None:
        request = self.request
        registry = catalogue.load()
        plugins.load(request.plugins)
        paths = find_grids(request.names)
        self.grids = [
            load(
                path,
                registry,
                scale=request.scale,
                sets=request.sets,
                seeds=request.seeds,
                only=request.only,
            )
            for path in paths
        ]
        _refuse_unmatched(request.only, self.grids)

    @property
    def environment(self) -> str:
        """The environment of the runs on the device asked for."""
        return environment(self.request.device).key

    def open_store(self, *, create: bool = False) -> Store:
        """Open the store."""
        from d2lbench.store import Store

        return Store(self.request.store, create=create)


def _refuse_unmatched(only: Sequence[str], grids: Sequence[Grid]) -> None:
    if only and not any(grid.selected for grid in grids):
        labels = sorted({arm.label for grid in grids for arm in grid.arms})
        shown = "; ".join(labels[:20]) + ("; …" if len(labels) > 20 else "")  # noqa: PLR2004
        problem = f"--only {', '.join(only)}: matches no arm; arms: {shown}"
        raise UsageError(problem)


def run(request: Request, *, report: bool = True, confirm: Callable[[str], bool] | None = None) -> Done:
    """Train what is missing, then write the report unless nothing has changed since it was written.

    Raises
    ------
    D2lbenchError
        A mistake in a grid, no store, no data, or more than 10,000 cells that nobody agreed to.
    """
    session = Session(request)
    _ask(session, confirm)
    from d2lbench.analysis import assemble
    from d2lbench.runner import Runner

    _refuse_missing_device(request.device)
    with session.open_store(create=True) as store:
        assemble.note_claims(session.grids, store, session.environment)
        jobs = request.jobs or (1 if request.device == "cuda" else _cores())
        summary = Runner(store, request.device, jobs, request.plugins).run(session.grids)
        if not report:
            return Done(summary, None)
        path, redrawn = _write(session, store)
        return Done(summary, path, redrawn=redrawn)


def _ask(session: Session, confirm: Callable[[str], bool] | None) -> None:
    total = sum(grid.size.total for grid in session.grids)
    if confirm is not None and total > MANY_CELLS and not confirm(f"{total:,} cells. Go on?"):
        problem = f"{total:,} cells are more than {MANY_CELLS:,}; say --yes to run them"
        raise UsageError(problem)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _refuse_missing_device(device: str) -> None:
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
    stamp.write_text(made_of, encoding="utf-8")
    return path, True


def _fingerprint(session: Session, store: Store) -> str:
    """Return a digest of everything that a report is made of: grids, runs, and the code that reads and draws."""
    content = hashlib.sha256(f"{__version__}{session.request.command}{session.environment}".encode())
    for grid in session.grids:
        content.update(grid.digest.encode())
        runs = store.runs(session.environment, [cell.id for cell in grid.cells()], contents=False)
        for cell in sorted(runs):
            content.update(f"{cell}{runs[cell].sequence}{runs[cell].status}".encode())
    package = Path(__file__).parent
    sources = [*(package / "analysis").rglob("*.py"), *(package / "report").rglob("*.*"), *package.glob("catalogue/*.py")]
    for source in sorted(source for source in sources if source.suffix != ".pyc"):
        content.update(source.read_bytes())
    return content.hexdigest()


def _assembled(session: Session, store: Store) -> Report:
    from d2lbench.analysis.assemble import assemble

    return assemble(session.grids, store, session.environment, session.request.command)


def check_text(request: Request) -> str:
    """Return the size, stacks and state of every grid, in words."""
    from d2lbench.checking import checked

    return checked(Session(request)).text()


def check_json(request: Request) -> str:
    """Return the same for machines."""
    from d2lbench.checking import checked

    return checked(Session(request)).as_json()


def claims_text(request: Request) -> str:
    """Return every claim with its verdict, for a terminal."""
    from d2lbench.report import render_claims_text

    session = Session(request)
    with session.open_store() as store:
        return render_claims_text(_assembled(session, store))


def claims_json(request: Request) -> str:
    """Return every claim with its verdict, for machines."""
    session = Session(request)
    with session.open_store() as store:
        report = _assembled(session, store)
    return json.dumps([_claim_row(claim) for claim in report.claims], indent=2, ensure_ascii=False)


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
    return as_csv(table) if form == "csv" else str(table.to_json(orient="records", indent=1)) + "\n"


