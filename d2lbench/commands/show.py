"""`d2lbench show`: a grid's arms with what is known of them, or one stored run."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from d2lbench.commands import flags
from d2lbench.commands.printing import show as _print

if TYPE_CHECKING:
    from d2lbench.api.session import Request
    from d2lbench.api.show import Arms
    from d2lbench.store import Run


@flags.takes_request("output", "jobs", "sets", "seeds", "only", names=flags.GridOrCell)
def show(request: Request, *, as_json: flags.Json = False) -> None:
    """Show a grid's arms with what is known of them, or one stored run."""
    from d2lbench.api import show as api
    from d2lbench.core.files import json_text
    from d2lbench.store import Run

    shown = api.show(request)
    if isinstance(shown, Run):
        _print(json_text(_run_record(shown)) if as_json else _run_text(shown))
    elif as_json:
        _print(json_text({"grid": shown.grid.name, "question": shown.grid.question, "arms": shown.rows}))
    else:
        _print(_arms_text(shown))


def _arms_text(arms: Arms) -> str:
    grid, column = arms.grid, arms.column
    lines = [f"{grid.name}: {grid.question}", grid.size_text, ""]
    for context in dict.fromkeys(row["context"] for row in arms.rows):
        if context:
            lines.append(context)
        for row in (row for row in arms.rows if row["context"] == context):
            value = "none" if row[column] is None else _value(row[column], column)
            state = ", ".join(f"{row[key]} {key}" for key in ("done", "diverged", "missing") if row[key])
            number = f"{column.replace('_', ' ')} {value:>6}"
            lines.append(f"  {row['arm']:<44} {number}  {state}  {row['picked']}".rstrip())
    claims = Counter(claim.kind for claim in grid.claims if claim.asked)
    kinds = ", ".join(f"{count} {kind}" for kind, count in claims.items())
    return "\n".join([*lines, "", f"claims: {kinds or 'none'}"])


def _value(number: float, column: str) -> str:
    """Return a number of a column: a time in the unit that suits it, an accuracy in all of its digits."""
    if column == "time":
        from d2lbench.report.format import duration

        return duration(number)
    return f"{number:.4f}" if column.endswith("_accuracy") else f"{number:.4g}"


def _run_record(run: Run) -> dict[str, Any]:
    return {
        "cell": run.cell,
        "seed": run.seed,
        "status": run.status,
        "reason": run.reason,
        "stored_at": run.stored_at,
        "configuration": json.loads(run.identity),
        "last": {name: float(y[-1]) for name, (_, y) in sorted(run.series.items()) if len(y)},
    }


def _run_text(run: Run) -> str:
    record = _run_record(run)
    configuration, last = record.pop("configuration"), record.pop("last")
    lines = [f"{key}: {value}" for key, value in record.items() if value != ""]
    lines += [f"{key}: {value}" for key, value in configuration.items()]
    return "\n".join([*lines, *(f"{name}: {value:.6g}" for name, value in last.items())])
