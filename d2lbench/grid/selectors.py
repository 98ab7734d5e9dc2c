"""Selectors: written like a change, matched after defaults, on the names and options that they name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from d2lbench.core.errors import GridError, Mistakes, nearest_key
from d2lbench.core.spec import Component, Measurement
from d2lbench.grid.file import document
from d2lbench.grid.file.shape import BASE_KEYS, MEASURED_KEYS, NAMED_KEYS
from d2lbench.grid.file.table import unknown
from d2lbench.grid.resolve import Written, at_option

if TYPE_CHECKING:
    from d2lbench.core.registry import Option
    from d2lbench.grid.arms import Configuration
    from d2lbench.grid.resolve import Resolver


@dataclass(frozen=True)
class _Wanted:
    """One alternative for a component: its name, if named, and for each option the values that match."""

    name: str | None
    options: Mapping[str, tuple[Any, ...]]

    def matches(self, component: Component, options: Mapping[str, Option]) -> bool:
        if self.name is not None and component.name != self.name:
            return False
        present = dict(component.options)
        return all(
            name in present and any(_equal(present[name], value, options.get(name)) for value in values)
            for name, values in self.options.items()
        )


def _equal(present: Any, wanted: Any, option: Option | None) -> bool:
    """Compare in the option's own type; a scalar for a sequence means the same for every layer."""
    if option is None:
        return False
    try:
        cast = option.cast(wanted)
    except GridError:
        return False
    if isinstance(present, tuple) and not isinstance(wanted, list | tuple):
        return len(present) > 0 and all((item,) == cast for item in present)
    return bool(cast == present)


@dataclass(frozen=True)
class Selector:
    """What an arm must be; ``paths`` are the keys that it names."""

    wanted: Mapping[str, tuple[Any, ...]]
    paths: frozenset[str]
    key: str
    raw: Any
    resolver: Resolver = field(repr=False, compare=False)

    def names(self, path: str) -> bool:
        """Whether it names ``path`` itself or an option of it."""
        return path in self.paths or any(own.startswith(f"{path}.") for own in self.paths)

    def matches(self, view: Mapping[str, Any]) -> bool:
        """Whether components and plain values by key are what it asks for."""
        return all(key in view and self._one(key, view[key]) for key in self.wanted)

    def _one(self, key: str, present: Any) -> bool:
        if not isinstance(present, Component):
            return any(type(present) is type(value) and present == value for value in self.wanted[key])
        try:
            options = self.resolver.registry.get(key, present.name).options
        except GridError:
            options = {}
        return any(wanted.matches(present, options) for wanted in self.wanted[key])


def view(config: Configuration) -> dict[str, Any]:
    """Return a configuration's components and plain values by key, as selectors read them."""
    if isinstance(config, Measurement):
        beside = {key: getattr(config, key) for key in MEASURED_KEYS[config.experiment.kind]}
        return {config.experiment.kind: config.experiment, **beside}
    return {key: getattr(config, key) for key in BASE_KEYS if key not in MEASURED_KEYS}


def value_at(view: Mapping[str, Any], path: str) -> Any:
    """Return the component, option or plain value at ``path``."""
    key, _, option = path.partition(".")
    return view[key].get(option) if option else view[key]


def parse(raw: Any, key: str, resolver: Resolver) -> Selector:
    """Return the selector in ``raw``.

    Raises
    ------
    GridError
        Not a table, an unknown key, name or option, a value that no such option can have, or nothing named.
    """
    if not isinstance(raw, Mapping) or not raw:
        problem = "names nothing" if isinstance(raw, Mapping) else "is not a selector"
        raise GridError(problem, key=key, given=raw, allowed='a table like { optimizer = "adam" }')
    table = document.nested(raw, key)
    wanted: dict[str, tuple[Any, ...]] = {}
    paths: set[str] = set()
    mistakes = Mistakes()
    for name, value in table.items():
        place = f"{key}.{name}"
        with mistakes:
            if name not in BASE_KEYS:
                raise unknown(name, place, BASE_KEYS)
            items = _alternatives(value, place)
            if name in NAMED_KEYS:
                wanted[name] = tuple(_wanted(name, item, place, resolver, paths) for item in items)
            else:
                wanted[name] = tuple(resolver.scalar(name, Written(item, place)) for item in items)
                paths.add(name)
    mistakes.refuse()
    return Selector(wanted, frozenset(paths), key, raw, resolver)


def _alternatives(value: Any, key: str) -> list[Any]:
    items = list(value) if isinstance(value, list | tuple) else [value]
    if not items:
        problem = "names nothing"
        raise GridError(problem, key=key, given=value, allowed="at least one value")
    return items


def _wanted(kind: str, item: Any, key: str, resolver: Resolver, paths: set[str]) -> _Wanted:
    if isinstance(item, str):
        item = {"name": item}
    if not isinstance(item, Mapping) or not item:
        problem = "is neither a name nor a table of options"
        raise GridError(problem, key=key, given=item, allowed=", ".join(resolver.registry.names(kind)))
    name = item.get("name")
    if name is not None:
        resolver.entry(kind, name, key)
        paths.add(kind)
    options = {}
    for option, value in item.items():
        if option != "name":
            paths.add(f"{kind}.{option}")
            options[option] = _values(kind, name, (option, at_option(key, option)), value, resolver)
    return _Wanted(name, options)


def _values(kind: str, name: str | None, path: tuple[str, str], value: Any, resolver: Resolver) -> tuple[Any, ...]:
    """Return the alternatives for one (option, key), each checked against what an option of that name can be."""
    option, key = path
    entries = resolver.registry.entries(kind) if name is None else (resolver.entry(kind, name, key),)
    having = [entry.options[option] for entry in entries if option in entry.options]
    if not having:
        owner = f'{kind} "{name}"' if name else f"no {kind}"
        problem = f"{owner} has no such option" if name else f"{owner} has such an option"
        known = dict.fromkeys(each for entry in entries for each in entry.options)
        raise GridError(problem, key=key, allowed=", ".join(known), nearest=nearest_key(option, known))
    sequence = having[0].is_sequence
    is_list = isinstance(value, list | tuple)
    listed = is_list and (not sequence or any(isinstance(item, list | tuple) for item in value))
    values = tuple(_alternatives(value, key)) if listed else (value,)
    for item in values:
        _refuse_uncastable(item, having, key)
    return values


def _refuse_uncastable(value: Any, options: list[Option], key: str) -> None:
    """Refuse a value that none of the options of one name can have, with what the first of them would say."""
    mistakes = Mistakes()
    for option in options:
        with mistakes:
            option.cast(value)
            return
    raise next(iter(mistakes)).reworded(key=key, given=value)
