"""What goes over a grid file: the quick scale, and ``--set key=value`` of the command line."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from d2lbench.core.errors import GridError, UsageError, nearest_name, shown
from d2lbench.grid.file import document, record
from d2lbench.grid.file.shape import BASE_KEYS, QUICK_KEYS, GridFile, TopLevel, section, seed_list

if TYPE_CHECKING:
    from collections.abc import Sequence

Scale: TypeAlias = Literal["quick", "full"]
_TOP_KEYS: Final = ("title", "question", "metrics", "keep_weights", "checks")


def at_scale(file: GridFile, scale: Scale, sets: Sequence[str]) -> GridFile:
    """Return the file as the scale and the command line change it.

    Raises
    ------
    GridError
        A key or value that cannot be set.
    UsageError
        Not of the form key=value.
    """
    if scale == "quick":
        replaced = {key: section(key, file.quick[key], f"quick.{key}") for key in QUICK_KEYS if key in file.quick}
        base = {key: value for key, value in file.quick.items() if key in BASE_KEYS}
        origins = {key: f"quick.{key}" for key in replaced}
        over = tuple((key, value, f"quick.{key}") for key, value in base.items())
        file = replace(file, **replaced, changes=over, origins=origins)
    for text in sets:
        file = _set(file, text)
    return file


def _set(file: GridFile, text: str) -> GridFile:
    key, equals, raw = text.partition("=")
    key = ".".join(part.strip().strip('"') for part in key.split("."))
    if not equals or not all(key.split(".")) or not key.isprintable():
        problem = f"--set {shown(text)}: expected key=value, as in --set optimizer.lr=0.1"
        raise UsageError(problem)
    value, origin = _value(raw.strip()), f"--set {key}"
    document.check(value, origin)
    head, _, rest = key.removeprefix("base.").partition(".")
    if head in BASE_KEYS:
        return replace(file, changes=(*file.changes, (key.removeprefix("base."), value, origin)))
    if head in ("vary", "product", "zip") and rest:
        table = {name: item for name, item in getattr(file, head).items() if name != rest.partition(".")[0]}
        merged: Any = {**table, **section(head, {rest: value}, origin)}
        return replace(file, **{head: merged}, origins={**file.origins, head: file.origin(head)})
    if rest or head not in (*QUICK_KEYS, *_TOP_KEYS):
        names = (*BASE_KEYS, *QUICK_KEYS, *_TOP_KEYS)
        problem = "cannot be set"
        raise GridError(problem, key=origin, allowed=", ".join(names), nearest=nearest_name(key, names))
    if head == "seeds":
        return replace(file, run_seeds=seed_list(value, origin))
    if head in QUICK_KEYS:
        return replace(file, **{head: section(head, value, origin)}, origins={**file.origins, head: origin})
    cast = record.cast(record.shape(TopLevel)[head], value, "--set")
    if head == "metrics":
        cast = tuple(value) if isinstance(value, list) else (value,)
    return replace(file, **{head: cast})


def _value(raw: str) -> Any:
    """Return what follows ``key=``: a TOML value, else the text itself."""
    try:
        table = tomllib.loads(f"value = {raw}")
    except (ValueError, RecursionError):
        return raw
    return table["value"] if len(table) == 1 else raw
