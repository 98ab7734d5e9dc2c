"""`d2lbench list`, `show` and `schema`: what there is to name, and what is known of a grid or a run."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from d2lbench import plugins, reference
from d2lbench.errors import UsageError, nearest_name
from d2lbench.grid import find_grids, json_schema, load, scales
from d2lbench.registry import REQUIRED, Entry, Registry
from d2lbench.report.format import duration
from d2lbench.session import Session, json_text
from d2lbench.timing import cases

if TYPE_CHECKING:
    from pathlib import Path

    from d2lbench.analysis.results import Results
    from d2lbench.session import Request
    from d2lbench.store import Run

#: The plural under which a kind is asked for, where it is not the kind with an s.
_PLURALS = {"init": "initializers", "loss": "losses", "stopping": "stopping"}
_HEXADECIMAL = set("0123456789abcdef")


def plural(kind: str) -> str:
    """Return the word under which `list` shows a kind."""
    return _PLURALS.get(kind, f"{kind}s")


def listed(
    kind: str | None, plugin_files: tuple[Path, ...], *, as_json: bool = False, as_markdown: bool = False
) -> str:
    """Return the grids and kinds, or the entries of one kind with their options; in Markdown, of every kind.

    Raises
    ------
    UsageError
        There is no such kind.
    """
    registry = cases.load()
    plugins.load(plugin_files)
    if kind is None and as_markdown:
        return reference.page(registry)
    if kind is None or kind == "grids":
        return _grids(registry, as_json=as_json, with_kinds=kind is None)
    names = {plural(known): known for known in registry.kinds()}
    chosen = names.get(kind) or (kind if kind in names.values() else None)
    if chosen is None:
        near = nearest_name(kind, ["grids", *names])
        hint = f'; did you mean "{near}"?' if near else ""
        problem = f'list: unknown kind "{kind}"; allowed: grids, {", ".join(names)}{hint}'
        raise UsageError(problem)
    entries = registry.entries(chosen)
    if as_markdown:
        return reference.page(registry, chosen)
    if as_json:
        return json_text([_entry(entry) for entry in entries])
    return "\n\n".join(_entry_text(entry) for entry in entries)


def _grids(registry: Registry, *, as_json: bool, with_kinds: bool) -> str:
    asked = {path: scales(path) for path in find_grids(())}
    grids = [load(path, registry, scale=known[0]) for path, known in asked.items()]
    if as_json:
        told = zip(grids, asked.values(), strict=True)
        return json_text([{"name": g.name, "title": g.title, "question": g.question, "scales": s} for g, s in told])
    width = max(len(grid.name) for grid in grids)
    only = ["" if len(known) > 1 else f" (--scale {known[0]} only)" for known in asked.values()]
    lines = ["Grids (d2lbench run NAME):"]
    lines += [f"  {grid.name:<{width}}  {grid.title}{note}" for grid, note in zip(grids, only, strict=True)]
    if with_kinds:
        lines += ["", "Registered things (d2lbench list KIND):"]
        lines += [f"  {plural(kind):<{width}}  {', '.join(registry.names(kind))}" for kind in registry.kinds()]
    return "\n".join(lines)


def _entry(entry: Entry) -> dict[str, Any]:
    options = [
        {
            "name": option.name,
            "allowed": option.allowed,
            "default": None if option.default is REQUIRED else option.default,
            "required": option.default is REQUIRED,
        }
        for option in entry.options.values()
    ]
    return {"kind": entry.kind, "name": entry.name, "summary": entry.summary, "options": options}


def _entry_text(entry: Entry) -> str:
    options = entry.options.values()
    told = [f"    {option.name}: {option.allowed} ({reference.default_text(option)})" for option in options]
    return "\n".join([f"{entry.name}: {entry.summary}", *told])


def schema(plugin_files: tuple[Path, ...]) -> str:
    """Return the JSON Schema of a grid file, plugins included."""
    registry = cases.load()
    plugins.load(plugin_files)
    return json_text(json_schema(registry))


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
    from d2lbench.analysis.kernel_table import kernel_table
    from d2lbench.analysis.results import Results
    from d2lbench.analysis.tables import arm_table

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
    from d2lbench.environment import environment
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
