"""`d2lbench check`: how large grids are, how they would be stacked, and how long that takes."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from d2lbench.commands import flags
from d2lbench.commands.printing import show

if TYPE_CHECKING:
    from d2lbench.api.check import Checked, Checks
    from d2lbench.api.session import Request
    from d2lbench.running.calibrate import Estimate


@flags.takes_request("output", "jobs")
def check(request: Request, *, calibrate: flags.Calibrate = False, as_json: flags.Json = False) -> None:
    """Check grids without running anything: size, stacks, estimate; every mistake with its place and remedy."""
    from d2lbench.api import check as api

    checks = api.check(request, calibrate=calibrate)
    show(checks_json(checks) if as_json else checks_text(checks))


def checks_text(checks: Checks) -> str:
    """Return the sizes of all grids and the estimate in words."""
    left = sum(grid.cells - grid.stored for grid in checks.grids if not grid.rounds)
    total = sum(grid.cells for grid in checks.grids)
    foot = f"{total:,} cells, {left:,} to train; {_estimate_text(checks.estimate, checks.left)}"
    large = (f"{name}\n  {size}: too many to plan here" for name, size in checks.unplanned.items())
    other = (f"{name}: asked at the {' and the '.join(known)} scale only" for name, known in checks.left_out.items())
    return "\n\n".join([*map(_grid_text, checks.grids), *large, *other, foot])


def checks_json(checks: Checks) -> str:
    """Return the same for machines."""
    from d2lbench.core.files import json_text

    large = [{"name": name, "size": size, "cells": None} for name, size in checks.unplanned.items()]
    other = [{"name": name, "scales": known, "cells": None} for name, known in checks.left_out.items()]
    return json_text([*map(_grid_record, checks.grids), *large, *other])


def _grid_text(grid: Checked) -> str:
    claims = f"{grid.claims} claim{'' if grid.claims == 1 else 's'}"
    thing, parts = "seeds", f"{grid.stacks:,} stacks of at most {grid.widest}"
    if grid.rounds:
        thing, parts = "rounds", f"{grid.rounds:,} rounds, each a process of its own (d2lbench time --claims)"
    lines = [
        f"{grid.name} ({grid.scale}): {grid.title}",
        f"  {grid.size}",
        f"  {grid.cells:,} distinct cells in {parts}",
        f"  {grid.stored:,} of them in the store",
        *([] if grid.rounds else [f"  {_estimate_text(grid.estimate, grid.left)}"]),
        f"  {claims} on {grid.seeds} {thing} (at least {grid.seeds_required} needed)",
    ]
    if grid.published:
        lines += [f"  {grid.published} published number{'' if grid.published == 1 else 's'} to stand beside"]
    return "\n".join([*lines, *(f"  would be skipped: {reason}" for reason in grid.missing_data.values())])


def _grid_record(grid: Checked) -> dict[str, object]:
    record, estimate = asdict(grid), grid.estimate
    del record["estimate"]
    known = estimate.unknown < grid.left
    return record | {
        "seconds": estimate.seconds if known else None,
        "memory": estimate.memory if known else None,
        "processes": estimate.processes,
        "uncalibrated": estimate.unknown,
    }


def _estimate_text(estimate: Estimate, stacks: int) -> str:
    """Return time on so many processes and memory in words, and how many of the stacks they leave out."""
    if not stacks:
        return "nothing to train"
    remedy = "`d2lbench check --calibrate` measures this machine"
    if estimate.unknown == stacks:
        return f"time and memory: not calibrated on this machine; {remedy}"
    each = "process" if estimate.processes == 1 else "processes"
    memory = f"{estimate.memory / 2**30:.1f} GiB"
    text = f"about {_duration(estimate.seconds)} on {estimate.processes} {each} of at most {memory}"
    if estimate.unknown:
        text += f", and {estimate.unknown:,} of {stacks:,} stacks that are not calibrated; {remedy}"
    return text


def _duration(seconds: float) -> str:
    """Return a time that nobody takes for exact: ``20 s``, ``38 min``, ``2 h 10 min``."""
    if seconds < 90:  # noqa: PLR2004  (seconds that one still counts)
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"  # noqa: PLR2004
