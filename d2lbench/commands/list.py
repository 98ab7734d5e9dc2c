"""`d2lbench list`: the grids, and everything that a grid can name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from d2lbench.commands import flags
from d2lbench.commands.printing import show
from d2lbench.core.errors import UsageError, nearest_name

if TYPE_CHECKING:
    from d2lbench.core.kinds import Traits
    from d2lbench.core.registry import Entry, Registry

#: The plural under which a kind is asked for, where it is not the kind with an s.
_PLURALS = {"init": "initializers", "loss": "losses", "stopping": "stopping"}


def plural(kind: str) -> str:
    """Return the word under which `list` shows a kind."""
    return _PLURALS.get(kind, f"{kind}s")


def list_(
    kind: flags.Kind = None,
    *,
    form: flags.ListForm = flags.ListFormat.text,
    plugins: flags.Plugins = None,
    as_json: flags.Json = False,
) -> None:
    """List the grids, or everything registered of one kind with its options.

    With --format markdown: a page of everything that a grid can name.
    """
    from d2lbench.api.session import registered

    registry = registered(plugins or ())
    show(listed(registry, kind, flags.ListFormat.json if as_json else form))


def listed(registry: Registry, kind: str | None, form: flags.ListFormat = flags.ListFormat.text) -> str:
    """Return the grids and kinds, or the entries of one kind with their options; in Markdown, of every kind.

    Raises
    ------
    UsageError
        There is no such kind.
    """
    from d2lbench.commands import reference
    from d2lbench.core.files import json_text

    if kind is None and form is flags.ListFormat.markdown:
        return reference.page(registry)
    if kind is None or kind == "grids":
        return _grids(registry, as_json=form is flags.ListFormat.json, with_kinds=kind is None)
    names = {plural(known): known for known in registry.kinds()}
    chosen = names.get(kind) or (kind if kind in names.values() else None)
    if chosen is None:
        near = nearest_name(kind, ["grids", *names])
        hint = f'; did you mean "{near}"?' if near else ""
        problem = f'list: unknown kind "{kind}"; allowed: grids, {", ".join(names)}{hint}'
        raise UsageError(problem)
    if form is flags.ListFormat.markdown:
        return reference.page(registry, chosen)
    entries = registry.entries(chosen)
    if form is flags.ListFormat.json:
        return json_text([_entry(entry) for entry in entries])
    return "\n\n".join(_entry_text(entry) for entry in entries)


def _grids(registry: Registry, *, as_json: bool, with_kinds: bool) -> str:
    from d2lbench.core.files import json_text
    from d2lbench.grid import find_grids, load, scales

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


def _entry(entry: Entry[Traits]) -> dict[str, Any]:
    from d2lbench.core.registry import REQUIRED

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


def _entry_text(entry: Entry[Traits]) -> str:
    from d2lbench.commands import reference

    options = entry.options.values()
    told = [f"    {option.name}: {option.allowed} ({reference.default_text(option)})" for option in options]
    return "\n".join([f"{entry.name}: {entry.summary}", *told])
