"""What is known of one grid, or of one stored run."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from d2lbench.api.session import Session
from d2lbench.core.errors import UsageError
from d2lbench.core.files import json_text
from d2lbench.grid import find_grids
from d2lbench.report.format import duration

if TYPE_CHECKING:
    from d2lbench.analysis.results import Results
    from d2lbench.api.session import Request
    from d2lbench.store import Run


_HEXADECIMAL = set("0123456789abcdef")


def shown(request: Request, *, as_json: bool = False) -> str:
    """Return a grid's arms with what is known of them, or one stored run by the first digits of its identity."""
    name = request.names[0]
    identity = len(name) >= 6 and set(name) <= _HEXADECIMAL  # noqa: PLR2004  (as short as a revision's name)
    if identity and name not in {path.stem for path in find_grids()}:
        return _shown_run(request, name, as_json=as_json)
    return _shown_grid(request, as_json=as_json)


def _shown_grid(request: Request, *, as_json: bool) -> str:
    from d2lbench.analysis.assemble import results_of
    from d2lbench.analysis.headlines import headline_of
    from d2lbench.analysis.results import Results
    from d2lbench.analysis.tables import arm_table, kernel_table

    session = Session(request)
    grid = session.grids[0]
    if request.store.exists():
        with session.open_store() as store:
            results = results_of(grid, store, session.environment)
    else:
        results = Results(grid, {})
    table, headline = (kernel_table if grid.is_timed else arm_table)(results), headline_of(grid)
    column = "time" if grid.is_timed else headline.metric("test").name
    rows = [
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
    ]
    if as_json:
        return json_text({"grid": grid.name, "question": grid.question, "arms": rows})
    return "\n".join([f"{grid.name}: {grid.question}", grid.size_text, "", *_rows_text(rows, results, column)])


def _rows_text(rows: list[dict[str, Any]], results: Results, column: str) -> list[str]:
    lines = []
    for context in dict.fromkeys(row["context"] for row in rows):
        if context:
            lines.append(context)
        for row in (row for row in rows if row["context"] == context):
            value = "none" if row[column] is None else _value(row[column], column)
            state = ", ".join(f"{row[key]} {key}" for key in ("done", "diverged", "missing") if row[key])
            told = f"{column.replace('_', ' ')} {value:>6}"
            lines.append(f"  {row['arm']:<44} {told}  {state}  {row['picked']}".rstrip())
    claims = Counter(claim.kind for claim in results.grid.claims if claim.asked)
    lines += ["", "claims: " + (", ".join(f"{count} {kind}" for kind, count in claims.items()) or "none")]
    return lines


def _value(number: float, column: str) -> str:
    """Return a number of a column: a time in the unit that suits it, an accuracy in all of its digits."""
    if column == "time":
        return duration(number)
    return f"{number:.4f}" if column.endswith("_accuracy") else f"{number:.4g}"


def _shown_run(request: Request, prefix: str, *, as_json: bool) -> str:
    from d2lbench.core.environment import environment
    from d2lbench.store import Store

    with Store(request.store, create=False) as store:
        key = environment(request.device).key
        places = [place for place in store.environments() if place == key or place.startswith(f"{key}/")]
        found = {(place, cell): run for place in places for cell, run in store.matching(place, prefix).items()}
    if len(found) != 1:
        how_many = f"{len(found)} stored runs begin" if found else "no stored run begins"
        problem = f"show: {how_many} with {prefix} in the environment {key}"
        raise UsageError(problem)
    return _run_text(*found.values(), as_json=as_json)


def _run_text(run: Run, *, as_json: bool) -> str:
    last = {name: float(y[-1]) for name, (_, y) in sorted(run.series.items()) if len(y)}
    content = {
        "cell": run.cell,
        "seed": run.seed,
        "status": run.status,
        "reason": run.reason,
        "stored_at": run.stored_at,
        "configuration": json.loads(run.identity),
        "last": last,
    }
    if as_json:
        return json_text(content)
    told = ("cell", "seed", "status", "reason", "stored_at")
    lines = [f"{key}: {content[key]}" for key in told if content[key] != ""]
    lines += [f"{key}: {value}" for key, value in json.loads(run.identity).items()]
    return "\n".join([*lines, *(f"{name}: {value:.6g}" for name, value in last.items())])
