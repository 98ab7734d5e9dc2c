"""A registry of named factories whose options are read from their signatures.

A leaf: it knows nothing of deep learning. A factory's positional parameters are what the engine hands it;
its keyword-only parameters are the options that a grid may name, with type, bounds and default::

    @register("optimizer", "sgd")
    def sgd(*, lr: Annotated[float, Ge(0)] = 0.1) -> Family: ...

Registering buys validation, listing, documentation and the contract tests.
"""

from __future__ import annotations

import functools
import inspect
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeVar

from annotated_types import Ge, Gt, Le, Lt, MinLen

from d2lbench.core.errors import GridError, nearest_name

Factory = TypeVar("Factory", bound=Callable[..., Any])


class _Required:
    """The default of an option that has none."""

    def __repr__(self) -> str:
        return "required"


REQUIRED: Final = _Required()


@dataclass(frozen=True)
class Option:
    """One option of a registered thing, read from one keyword-only parameter."""

    name: str
    annotation: Any
    default: Any

    @functools.cached_property
    def is_sequence(self) -> bool:
        """Whether the option takes a list as one value (and so expands over a list of lists)."""
        return any(typing.get_origin(member) is tuple for member in _members(self.annotation))

    @functools.cached_property
    def is_float(self) -> bool:
        """Whether the option is a plain real number: data of the engine, not structure."""
        return any(_bare(member) is float for member in _members(self.annotation))

    @functools.cached_property
    def allowed(self) -> str:
        """What the option takes, in words: ``number ≥ 0``."""
        return describe(self.annotation)

    @functools.cached_property
    def _validate(self) -> Callable[[Any], Any]:
        from pydantic import ConfigDict, TypeAdapter

        config = ConfigDict(strict=True, allow_inf_nan=False)
        return TypeAdapter(self.annotation, config=config).validate_python

    def cast(self, value: Any) -> Any:
        """Return ``value`` in the declared type.

        Lists become tuples, a scalar given to a sequence a tuple of one, a whole number given to a real option a
        float.

        Raises
        ------
        GridError
            Names the option, what was given and what is allowed.
        """
        from pydantic import ValidationError

        prepared = _tupled(value)
        if self.is_sequence and not isinstance(prepared, tuple) and prepared is not None:
            prepared = (prepared,)
        try:
            return self._validate(prepared)
        except ValidationError:
            nearest = nearest_name(value, choices(self.annotation)) if isinstance(value, str) else None
            problem = "is not allowed here"
            raise GridError(problem, key=self.name, given=value, allowed=self.allowed, nearest=nearest) from None


@dataclass(frozen=True)
class Entry:
    """A registered thing: its factory, its options, and what the declaration says beside them."""

    kind: str
    name: str
    factory: Callable[..., Any]
    options: Mapping[str, Option]
    traits: Mapping[str, Any] = field(default_factory=dict)

    @property
    def summary(self) -> str:
        """The first line of the factory's docstring."""
        return (inspect.getdoc(self.factory) or "").partition("\n")[0]

    def trait(self, name: str, default: Any = None) -> Any:
        """Return what the declaration says of ``name``."""
        return self.traits.get(name, default)

    def resolve(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return every option with its value: given ones checked and cast, the others at their defaults.

        Raises
        ------
        GridError
            An unknown option, a missing one, or a value that is not allowed.
        """
        owner = f'{self.kind} "{self.name}"'
        for name in given:
            if name not in self.options:
                problem = f"{owner} has no such option"
                allowed = ", ".join(self.options) or "no options"
                raise GridError(problem, key=name, allowed=allowed, nearest=nearest_name(name, self.options))
        values = {}
        for name, option in self.options.items():
            if name in given:
                values[name] = option.cast(given[name])
            elif option.default is REQUIRED:
                problem = f"{owner} needs this option"
                raise GridError(problem, key=name, allowed=option.allowed)
            else:
                values[name] = option.default
        return values


class Registry:
    """Named factories by kind (``optimizer``, ``model``, …)."""

    def __init__(self) -> None:
        self._entries: dict[str, dict[str, Entry]] = {}

    def register(self, kind: str, name: str, **traits: Any) -> Callable[[Factory], Factory]:
        """Return a decorator that registers a factory under ``kind`` and ``name`` and hands it back unchanged.

        Raises
        ------
        ValueError
            The name is taken: two things may not answer to one name.
        """

        def decorate(factory: Factory) -> Factory:
            entries = self._entries.setdefault(kind, {})
            if name in entries:
                problem = f'{kind} "{name}" is registered already, by {entries[name].factory.__module__}'
                raise ValueError(problem)
            entries[name] = Entry(kind, name, factory, _options(factory), traits)
            return factory

        return decorate

    def having(self, kind: str, entries: Iterable[Entry]) -> Registry:
        """Return a registry like this one, but for the things of one kind."""
        other = Registry()
        other._entries = {**self._entries, kind: {entry.name: entry for entry in entries}}
        return other

    def kinds(self) -> tuple[str, ...]:
        """Return the kinds that have at least one entry."""
        return tuple(self._entries)

    def names(self, kind: str) -> tuple[str, ...]:
        """Return the names registered under ``kind``, in order of registration."""
        return tuple(self._entries.get(kind, {}))

    def entries(self, kind: str) -> tuple[Entry, ...]:
        """Return the entries registered under ``kind``, in order of registration."""
        return tuple(self._entries.get(kind, {}).values())

    def get(self, kind: str, name: str) -> Entry:
        """Return one entry.

        Raises
        ------
        GridError
            Nothing of that kind has that name; lists the names and the nearest one.
        """
        entries = self._entries.get(kind, {})
        if name in entries:
            return entries[name]
        problem = f"unknown {kind}"
        raise GridError(problem, given=name, allowed=", ".join(entries), nearest=nearest_name(name, entries))


def _options(factory: Callable[..., Any]) -> dict[str, Option]:
    """Read the keyword-only parameters; the others' annotations may name torch, which is not imported here."""
    parameters = inspect.signature(factory).parameters.values()
    named = {parameter.name: parameter for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY}
    written = {"__annotations__": {name: parameter.annotation for name, parameter in named.items()}}
    names = getattr(factory, "__globals__", {})
    hints = typing.get_type_hints(type("Options", (), written), globalns=names, include_extras=True)
    return {
        name: Option(name, hints[name], REQUIRED if parameter.default is parameter.empty else parameter.default)
        for name, parameter in named.items()
    }


def _tupled(value: Any) -> Any:
    return tuple(_tupled(item) for item in value) if isinstance(value, list | tuple) else value


def _bare(annotation: Any) -> Any:
    return typing.get_args(annotation)[0] if typing.get_origin(annotation) is typing.Annotated else annotation


def _members(annotation: Any) -> tuple[Any, ...]:
    bare = _bare(annotation)
    if typing.get_origin(bare) in (typing.Union, types.UnionType):
        return tuple(_bare(member) for member in typing.get_args(bare))
    return (bare,)


def choices(annotation: Any) -> tuple[str, ...]:
    """Return the words that an annotation made of ``Literal`` admits."""
    return tuple(
        word
        for member in _members(annotation)
        if typing.get_origin(member) is Literal
        for word in typing.get_args(member)
        if isinstance(word, str)
    )


_TYPE_WORDS = {float: "number", int: "whole number", bool: "true or false", str: "text"}


def describe(annotation: Any) -> str:
    """Say in words what an annotation admits: ``list of numbers ≥ 0 and < 1``."""
    bare = _bare(annotation)
    origin, arguments = typing.get_origin(bare), typing.get_args(bare)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(describe(member) for member in arguments if member is not types.NoneType)
    if origin is Literal:
        return " or ".join(f'"{word}"' if isinstance(word, str) else str(word).lower() for word in arguments)
    if origin is tuple:
        if len(arguments) == 2 and arguments[1] is Ellipsis:  # noqa: PLR2004
            return "list, each a " + describe(arguments[0])
        parts = [describe(argument) for argument in arguments]
        if len(set(parts)) > 1:
            return "list of " + ", then ".join(f"a {part}" for part in parts)
        return f"list of {len(arguments)}, each a {parts[0]}"
    return _TYPE_WORDS.get(bare, str(getattr(bare, "__name__", bare))) + _bounds(annotation)


def _bounds(annotation: Any) -> str:
    if typing.get_origin(annotation) is not typing.Annotated:
        return ""
    signs = ((Ge, "ge", "≥"), (Gt, "gt", ">"), (Le, "le", "≤"), (Lt, "lt", "<"), (MinLen, "min_length", "length ≥"))
    found = [
        f"{sign} {getattr(constraint, attribute)}"
        for constraint in typing.get_args(annotation)[1:]
        for kind, attribute, sign in signs
        if isinstance(constraint, kind)
    ]
    return " " + " and ".join(found) if found else ""


REGISTRY: Final = Registry()
register = REGISTRY.register
