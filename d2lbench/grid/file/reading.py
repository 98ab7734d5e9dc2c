"""From a text to a grid file with every mistake of its shape, and what the quick scale and ``--set`` put over it."""

from __future__ import annotations

import copy
import tomllib
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from d2lbench.core.errors import GridError, Mistakes, UsageError, nearest_key, shown, together
from d2lbench.grid.file import document
from d2lbench.grid.file.claims import DIRECTIONS, listed
from d2lbench.grid.file.shape import BASE_KEYS, QUICK_KEYS, GridFile, GridKeys
from d2lbench.grid.file.table import read, translated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from d2lbench.grid.file.claims import Scale
    from d2lbench.grid.file.table import Placed

#: Keys that do not decide on the arms: with a mistake in one of them the arms are the same.
_BESIDE: Final = ("format", "title", "question", "metrics", "keep_weights", "claims", "published", "untested")
_SET_KEYS: Final = ("title", "question", "metrics", "keep_weights", "checks")
#: What stands for a key that a grid needs while the rest of the file is read.
_HEAD: Final = {"format": 1, "title": "no title"}
#: The same for an entry of a list; a demonstration goes with every direction.
_STAND_INS: Final = {"kind": "demonstration", "origin": "ours", "says": "?", "source": "?", "reason": "?", "value": 0}
#: Keys of an entry for which nothing can stand.
_NEEDED: Final = ("id", "space", "budget", "match", "set", *DIRECTIONS, "than", "better")


def parse(text: str, mistakes: Mistakes) -> GridFile:
    """Return the grid file in ``text`` without what is mistaken; every mistake of its shape is noted.

    Raises
    ------
    GridError
        It cannot be read at all.
    """
    plain = document.read(text, mistakes)
    table, is_whole = document.nested(plain), not mistakes
    if table.get("format", 1) != 1:  # whoever wrote another format may mean anything by the rest
        read(GridKeys, {**_HEAD, "format": table["format"]})
    for name in [name for name in table if name in BASE_KEYS]:
        problem = "does not stand at the top level"
        mistakes.note(GridError(problem, key=name, given=table[name], allowed=f"base.{name}"))
        value = table.pop(name)
        if isinstance(table.setdefault("base", {}), dict):
            table["base"].setdefault(name, value)
    with mistakes:
        written = table.pop("claims", [])
        table["claims"] = listed(written)
    left_out = frozenset[tuple[str, int]]()
    while True:
        try:
            keys = GridKeys.model_validate(table)
        except ValidationError as error:
            placed = translated(error, GridKeys, table)
        else:
            break
        for path, mistake in placed:
            mistakes.note(mistake)
            is_whole &= bool({path[0], mistake.nearest} & {*_BESIDE})
        table, entries = _without(table, placed)
        left_out = left_out or frozenset(entries)
    if keys.quick and "quick" not in keys.scales:
        problem = "changes a scale at which the grid is not asked"
        mistakes.note(GridError(problem, key="quick", given=plain["quick"], allowed='scales = ["quick", "full"]'))
    return GridFile.model_construct(**dict(keys), document=plain, is_whole=is_whole, left_out=left_out)


def _without(table: dict[str, Any], placed: Placed) -> tuple[dict[str, Any], set[tuple[str, int]]]:
    """Return the document without what is mistaken, and which entries of lists that are.

    Of a list's entry that is the key alone, if there is something that can stand for it; else it is the whole entry.
    """
    left = copy.deepcopy(table)
    entries: set[tuple[str, int]] = set()
    for path, mistake in placed:
        top, key = str(path[0]), path[-1]
        owner: Any = left
        for step in path[:-1]:
            owner = owner[step] if not isinstance(owner, dict) or step in owner else {}
        is_there = isinstance(owner, dict) and key in owner
        if is_there and mistake.problem == "is not a key of a grid":
            del owner[key]
        elif not isinstance((*path, "")[1], int):
            left.pop(top, None)
        elif isinstance(owner, dict) and key in _STAND_INS:
            owner[key] = _STAND_INS[str(key)]
        elif is_there and key not in _NEEDED:
            del owner[key]
        else:
            entries.add((top, int(path[1])))
    for top in {name for name, _ in entries if name in left}:
        left[top] = [item for index, item in enumerate(left[top]) if (top, index) not in entries]
    return {**_HEAD, **left}, entries


def at_scale(file: GridFile, scale: Scale, sets: Sequence[str], mistakes: Mistakes) -> GridFile:
    """Return the file as the scale and the command line change it; what cannot be set is noted.

    Raises
    ------
    UsageError
        Not of the form key=value.
    """
    if scale == "quick":
        replaced: dict[str, Any] = {key: file.quick[key] for key in QUICK_KEYS if key in file.quick}
        changes = tuple((key, value, f"quick.{key}") for key, value in file.quick.items() if key in BASE_KEYS)
        file = file.model_copy(
            update={**replaced, "changes": changes, "origins": {key: f"quick.{key}" for key in replaced}}
        )
    for text in sets:
        with mistakes:
            file = _set(file, text)
    return file


def _set(file: GridFile, text: str) -> GridFile:
    key, equals, raw = text.partition("=")
    key = ".".join(part.strip().strip('"') for part in key.split("."))
    if not equals or not all(key.split(".")) or not key.isprintable():
        problem = f"--set {shown(text)}: expected key=value, as in --set optimizer.lr=0.1"
        raise UsageError(problem)
    value, origin, mistakes = _value(raw.strip()), f"--set {key}", Mistakes()
    document.check(value, mistakes, origin)
    mistakes.refuse()
    head, _, rest = key.removeprefix("base.").partition(".")
    if head in BASE_KEYS:
        return file.model_copy(update={"changes": (*file.changes, (key.removeprefix("base."), value, origin))})
    if rest and head in ("vary", "product", "zip"):
        table = {name: item for name, item in getattr(file, head).items() if name != rest.partition(".")[0]}
        merged = {**table, **_checked(head, {rest: value})}
        return file.model_copy(update={head: merged, "origins": {**file.origins, head: file.origin(head)}})
    if rest or head not in (*QUICK_KEYS, *_SET_KEYS):
        names = (*BASE_KEYS, *QUICK_KEYS, *_SET_KEYS)
        problem = "cannot be set"
        raise GridError(problem, key=origin, allowed=", ".join(names), nearest=nearest_key(key, names))
    value = _checked(head, [value] if head == "metrics" and not isinstance(value, list) else value)
    if head == "seeds":
        return file.model_copy(update={"run_seeds": value})
    return file.model_copy(update={head: value, "origins": {**file.origins, head: origin}})


def _checked(key: str, value: Any) -> Any:
    """Return one key's value as a file may hold it."""
    try:
        return getattr(read(GridKeys, {**_HEAD, key: value}), key)
    except GridError as error:
        raise together(each.reworded(key=f"--set {each.key}") for each in error.problems) from None


def _value(raw: str) -> Any:
    """Return what follows ``key=``: a TOML value, else the text itself."""
    try:
        table = tomllib.loads(f"value = {raw}")
    except (ValueError, RecursionError):
        return raw
    return table["value"] if len(table) == 1 else raw
