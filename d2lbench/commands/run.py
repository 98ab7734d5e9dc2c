"""`d2lbench run`: train what the store lacks, then write the report."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from d2lbench.commands import flags
from d2lbench.commands.check import checks_text
from d2lbench.commands.printing import show

if TYPE_CHECKING:
    from d2lbench.api.run import Done
    from d2lbench.api.session import Request


@flags.takes_request()
def run(
    request: Request,
    *,
    dry_run: flags.DryRun = False,
    no_report: flags.NoReport = False,
    no_costs: flags.NoCosts = False,
    yes: flags.Yes = False,
    as_json: flags.Json = False,
) -> None:
    """Train what the store lacks, then write the report; its path is printed last.

    A second run trains nothing that is there already, and one that was interrupted goes on where it was.
    """
    from d2lbench.api import check as checking
    from d2lbench.api import run as api

    if dry_run:
        show(checks_text(checking.check(request)))
        return
    done = api.run(request, report=not no_report, costs=not no_costs, confirm=None if yes else _confirm)
    show(done_json(done) if as_json else done_text(done))
    if not done.summary.complete:
        raise typer.Exit(3)


def _confirm(question: str) -> bool:
    return sys.stdin.isatty() and typer.confirm(question, err=True)


def done_text(done: Done) -> str:
    """Return what the terminal shows at the end of a run; the report's path is the last line."""
    summary = done.summary
    trained = ", ".join(f"{cells:,} {status}" for status, cells in sorted(summary.counts.items())) or "none"
    lines = [f"{summary.planned:,} cells: {summary.stored_before:,} in the store already; trained now: {trained}"]
    if summary.continued:
        lines.append(f"stacks continued from checkpoints: {summary.continued:,}")
    lines += [f"  {cells:,} cells: {reason}" for reason, cells in sorted(summary.reasons.items())]
    lines += [f"kernels are left to `d2lbench time --claims`: {', '.join(done.timed)}"] if done.timed else []
    lines += done.costed.lines() if done.costed else []
    if done.report is not None:
        lines += [] if done.redrawn else ["nothing new, report unchanged"]
        lines.append(str(done.report))
    return "\n".join(lines)


def done_json(done: Done) -> str:
    """Return the same for machines."""
    from d2lbench.core.files import json_text

    content = {
        "planned": done.summary.planned,
        "stored_before": done.summary.stored_before,
        "trained": done.summary.counts,
        "continued": done.summary.continued,
        "reasons": done.summary.reasons,
        "report": str(done.report) if done.report else None,
        "redrawn": done.redrawn,
        "costs": asdict(done.costed) if done.costed else None,
    }
    return json_text(content)
