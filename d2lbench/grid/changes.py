"""Replace or change: how ``vary``, ``quick`` and ``--set`` alter a configuration as it is written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from d2lbench.core.errors import GridError, Mistakes, nearest_key, nearest_name
from d2lbench.grid.file.shape import BASE_KEYS, MEASURED_KEYS, NAMED_KEYS, with_article
from d2lbench.grid.file.table import unknown
from d2lbench.grid.resolve import DEFAULTS, REQUIRED, Draft, Resolver, Written, at_option

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

#: A key of base with what is put there, and where that is written.
Change: TypeAlias = tuple[str, Any, str]


def base_draft(base: Mapping[str, Any], changes: Iterable[Change], resolver: Resolver, mistakes: Mistakes) -> Draft:
    """Return the baseline as it is written: defaults, ``[base]``, and the changes of a scale or the command line.

    What does not fit, and what the baseline needs and lacks, is noted and left out.
    """
    steps = [*((key, value, f"base.{key}") for key, value in base.items()), *changes]
    named = {path.partition(".")[0] for path, _, _ in steps}
    measured = next((key for key in MEASURED_KEYS if key in (base or named)), None)
    silent = DEFAULTS if measured is None else {key: DEFAULTS[key] for key in MEASURED_KEYS[measured]}
    draft: Draft = {key: Written(value, f"base.{key}") for key, value in silent.items()}
    for path, value, origin in steps:
        with mistakes:
            draft = changed(draft, path, value, origin, resolver)
            continue
        name = value.get("name") if isinstance(value, Mapping) else value
        if path in NAMED_KEYS and name in resolver.registry.names(path):  # what builds on it can still be looked at
            draft = {**draft, path: Written({"name": name}, origin)}
    for key in REQUIRED if measured is None else (measured,):
        if key not in named:
            names = ", ".join(resolver.registry.names(key))
            mistakes.note(GridError("is missing", key=f"base.{key}", allowed=names or "a whole number ≥ 1"))
    return draft


def changed(draft: Draft, path: str, value: Any, origin: str, resolver: Resolver) -> Draft:
    """Return the draft with one change: a name or a table with one replaces, a table without changes what is there.

    Raises
    ------
    GridError
        The key is unknown, an option is not allowed, or there is nothing yet that could be changed.
    """
    kind, _, option = path.partition(".")
    if kind not in BASE_KEYS:
        raise unknown(kind, origin, BASE_KEYS)
    _refuse_mixture(draft, kind, value, origin)
    if kind not in NAMED_KEYS:
        if option:
            problem = f'"{kind}" is a plain value and has no options'
            raise GridError(problem, key=origin, given=value)
        return {**draft, kind: Written(value, origin)}
    table = {option: value} if option else {"name": value} if isinstance(value, str) else value
    if not isinstance(table, Mapping):
        problem = "is neither a name nor a table"
        allowed = ", ".join(resolver.registry.names(kind))
        raise GridError(problem, key=origin, given=value, allowed=f"{allowed}; or a table with a name or options")
    if option or "name" not in table:
        return {**draft, kind: _altered(draft, kind, dict(table), origin, resolver)}
    resolver.cast_options(kind, table, origin)
    return {**draft, kind: Written(dict(table), origin)}


def tried(draft: Draft, path: str, value: Any, origin: str, resolver: Resolver) -> None:
    """Check a change on its own, as far as the draft has what it changes.

    Raises
    ------
    GridError
        As :func:`changed`, and a plain value that its key may not hold.
    """
    kind, _, option = path.partition(".")
    if not option or kind in draft:
        after = changed(draft, path, value, origin, resolver)
        if kind not in NAMED_KEYS:
            resolver.scalar(kind, after[kind])


def _refuse_mixture(draft: Draft, kind: str, value: Any, origin: str) -> None:
    """Refuse what trains beside what is measured, and the other way round."""
    if "init" in draft:
        if kind not in MEASURED_KEYS:
            return
        problem = f"{with_article(kind)} stands instead of everything that trains"
        raise GridError(problem, key=origin, given=value, allowed=f"no {kind} beside what trains")
    measured = next((key for key in MEASURED_KEYS if key in draft), kind if kind in MEASURED_KEYS else "experiment")
    beside = MEASURED_KEYS[measured]
    if kind not in (measured, *beside):
        problem = f"{with_article(measured)} stands instead of everything that trains"
        raise GridError(problem, key=origin, given=value, allowed=" and ".join((measured, *beside)))


def _altered(draft: Draft, kind: str, change: dict[str, Any], origin: str, resolver: Resolver) -> Written:
    if kind not in draft:
        problem = f"there is no {kind} yet whose options could be changed"
        names = resolver.registry.names(kind)
        called = (word for key, word in change.items() if nearest_key(key, ("name",)) == "name")
        nearest = next((near for word in called if isinstance(word, str) and (near := nearest_name(word, names))), None)
        allowed = f"a name ({', '.join(names)}) or a table with one"
        raise GridError(problem, key=origin, given=change, allowed=allowed, nearest=nearest)
    present = draft[kind]
    entry = resolver.entry(kind, present.value["name"], present.origin)
    resolver.cast_options(kind, present.value, present.origin)
    resolver.cast_options(kind, {"name": entry.name, **change}, origin)
    options, respell = {key: item for key, item in present.value.items() if key != "name"}, entry.traits.respell
    altered = respell(options, change) if respell else {**options, **change}
    return Written({"name": entry.name, **altered}, origin)


def flat(table: Mapping[str, Any], origin: str) -> Iterator[Change]:
    """Iterate over the (path, value, origin) of a table of changes, in its order.

    A component's table without a name is one path for each option, so that dotted and nested mean the same.
    """
    for key, value in table.items():
        if key in NAMED_KEYS and isinstance(value, Mapping) and "name" not in value:
            for option, item in value.items():
                yield f"{key}.{option}", item, at_option(f"{origin}.{key}", option)
        else:
            yield key, value, f"{origin}.{key}"


def components_first(steps: Iterable[Change]) -> list[Change]:
    """Return changes in the order in which none undoes another: whole components before their options."""
    return sorted(steps, key=lambda step: "." in step[0])
