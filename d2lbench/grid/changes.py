"""Replace or change: how ``vary``, ``quick`` and ``--set`` alter a configuration as it is written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from d2lbench.core.errors import GridError
from d2lbench.grid.file.record import refuse_unknown
from d2lbench.grid.file.shape import BASE_KEYS, MEASURED_KEYS, NAMED_KEYS, with_article
from d2lbench.grid.resolve import DEFAULTS, REQUIRED, Draft, Resolver, Written, at_option

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

#: A key of base with what is put there, and where that is written.
Change: TypeAlias = tuple[str, Any, str]


def base_draft(base: Mapping[str, Any], changes: Iterable[Change], resolver: Resolver) -> Draft:
    """Return the baseline as it is written: defaults, ``[base]``, and the changes of a scale or the command line.

    Raises
    ------
    GridError
        A key that the baseline needs is missing, or a change does not fit.
    """
    changes = tuple(changes)
    named = set(base) or {path.partition(".")[0] for path, _, _ in changes}
    measured = next((key for key in MEASURED_KEYS if key in named), None)
    silent = DEFAULTS if measured is None else {key: DEFAULTS[key] for key in MEASURED_KEYS[measured]}
    draft: Draft = {key: Written(value, f"base.{key}") for key, value in silent.items()}
    for key, value in base.items():
        draft = changed(draft, key, value, f"base.{key}", resolver)
    for path, value, origin in changes:
        draft = changed(draft, path, value, origin, resolver)
    for key in REQUIRED if measured is None else (measured,):
        if key not in draft:
            problem = "is missing"
            names = ", ".join(resolver.registry.names(key))
            raise GridError(problem, key=f"base.{key}", allowed=names or "a whole number ≥ 1")
    return draft


def changed(draft: Draft, path: str, value: Any, origin: str, resolver: Resolver) -> Draft:
    """Return the draft with one change: a name or a table with one replaces, a table without changes what is there.

    Raises
    ------
    GridError
        The key is unknown, an option is not allowed, or there is nothing yet that could be changed.
    """
    kind, _, option = path.partition(".")
    refuse_unknown({kind: value}, dict.fromkeys(BASE_KEYS), origin.partition(f".{kind}")[0])
    _refuse_mixture(draft, kind, value, origin)
    if kind not in NAMED_KEYS:
        if option:
            problem = f'"{kind}" is a plain value and has no options'
            raise GridError(problem, key=origin, given=value)
        return {**draft, kind: Written(value, origin)}
    if option:
        return {**draft, kind: _altered(draft, kind, {option: value}, origin, resolver)}
    if isinstance(value, str):
        return {**draft, kind: _replaced(kind, {"name": value}, origin, resolver)}
    if not isinstance(value, Mapping):
        problem = "is neither a name nor a table"
        allowed = ", ".join(resolver.registry.names(kind))
        raise GridError(problem, key=origin, given=value, allowed=f"{allowed}; or a table with a name or options")
    if "name" in value:
        return {**draft, kind: _replaced(kind, dict(value), origin, resolver)}
    return {**draft, kind: _altered(draft, kind, dict(value), origin, resolver)}


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


def _replaced(kind: str, table: dict[str, Any], origin: str, resolver: Resolver) -> Written:
    resolver.cast_options(kind, table, origin)
    return Written(table, origin)


def _altered(draft: Draft, kind: str, change: dict[str, Any], origin: str, resolver: Resolver) -> Written:
    if kind not in draft:
        problem = f"there is no {kind} yet whose options could be changed"
        names = ", ".join(resolver.registry.names(kind))
        raise GridError(problem, key=origin, given=change, allowed=f"a name ({names}) or a table with one")
    present = draft[kind]
    entry = resolver.entry(kind, present.value["name"], present.origin)
    resolver.cast_options(kind, present.value, present.origin)
    resolver.cast_options(kind, {"name": entry.name, **change}, origin)
    respell = entry.traits.respell or _merge
    options = {name: value for name, value in present.value.items() if name != "name"}
    return Written({"name": entry.name, **respell(options, change)}, origin)


def _merge(present: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    return {**present, **change}


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
