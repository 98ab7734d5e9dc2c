"""A registry of named factories whose options are read from their signatures.

What a declaration may say of each kind stands in :mod:`d2lbench.core.kinds`. A factory's positional parameters are
what the engine hands it; its keyword-only parameters are the options that a grid may name, with type, bounds and
default::

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
from dataclasses import MISSING, dataclass, fields
from typing import Any, Final, Generic, Literal, ParamSpec, TypeVar, overload

from annotated_types import Ge, Gt, Le, Lt, MinLen

from d2lbench.core.errors import GridError, nearest_name
from d2lbench.core.kinds import KINDS, MetricTraits, Traits

Factory = TypeVar("Factory", bound=Callable[..., Any])
Declared = ParamSpec("Declared")
Kind = TypeVar("Kind", bound=Traits)
Kind_co = TypeVar("Kind_co", bound=Traits, covariant=True)


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
        if self.is_sequence and isinstance(prepared, int | float | str):
            prepared = (prepared,)
        try:
            return self._validate(prepared)
        except ValidationError:
            nearest = nearest_name(value, choices(self.annotation)) if isinstance(value, str) else None
            problem = "is not allowed here"
            raise GridError(problem, key=self.name, given=value, allowed=self.allowed, nearest=nearest) from None


@dataclass(frozen=True)
class Entry(Generic[Kind_co]):
    """A registered thing: its factory, its options, and what the declaration says beside them."""

    name: str
    factory: Callable[..., Any]
    options: Mapping[str, Option]
    traits: Kind_co

    @property
    def kind(self) -> str:
        """What kind of thing it is, ``optimizer`` or ``model``."""
        return self.traits.kind

    @property
    def summary(self) -> str:
        """The first line of the factory's docstring."""
        return (inspect.getdoc(self.factory) or "").partition("\n")[0]

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
    """Named factories by kind (``optimizer``, ``model``, …).

    Where the kind is known it is looked up by its dataclass, ``get(MetricTraits, name)``, which types the entry's
    traits; code for any kind names it.
    """

    def __init__(self) -> None:
        self._entries: dict[str, dict[str, Entry[Any]]] = {}

    @overload
    def register(
        self, kind: Callable[Declared, Traits], name: str, /, *args: Declared.args, **traits: Declared.kwargs
    ) -> Callable[[Factory], Factory]: ...
    @overload
    def register(self, kind: str, name: str, /, **traits: object) -> Callable[[Factory], Factory]: ...
    def register(self, kind: object, name: str, /, *none: object, **traits: object) -> Callable[[Factory], Factory]:
        """Return a decorator that registers a factory under ``kind`` and ``name`` and hands it back unchanged.

        ``kind`` is the name of a kind, or its dataclass of :mod:`d2lbench.core.kinds`, against whose fields a type
        checker then reads ``traits``.

        Raises
        ------
        ValueError
            There is no such kind; the name is taken: two things may not answer to one name; or a trait is missing,
            unknown or of another type: names the kind, the name, what was given and what is allowed.
        """
        wanted = kind.kind if isinstance(kind, type) and issubclass(kind, Traits) else str(kind)
        try:
            declared = _declared(wanted, *none, **traits)
        except GridError as error:
            raise ValueError(str(error.located(key=f'{wanted} "{name}"'))) from None

        def decorate(factory: Factory) -> Factory:
            entries = self._entries.setdefault(declared.kind, {})
            if name in entries:
                problem = f'{declared.kind} "{name}" is registered already, by {entries[name].factory.__module__}'
                raise ValueError(problem)
            entries[name] = Entry(name, factory, _options(factory), declared)
            return factory

        return decorate

    def having(self, kind: str, entries: Iterable[Entry[Traits]]) -> Registry:
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

    @overload
    def entries(self, kind: type[Kind]) -> tuple[Entry[Kind], ...]: ...
    @overload
    def entries(self, kind: str) -> tuple[Entry[Traits], ...]: ...
    def entries(self, kind: type[Kind] | str) -> tuple[Entry[Kind], ...] | tuple[Entry[Traits], ...]:
        """Return the entries registered under ``kind``, in order of registration."""
        return tuple(self._entries.get(kind if isinstance(kind, str) else kind.kind, {}).values())

    @overload
    def get(self, kind: type[Kind], name: str) -> Entry[Kind]: ...
    @overload
    def get(self, kind: str, name: str) -> Entry[Traits]: ...
    def get(self, kind: type[Kind] | str, name: str) -> Entry[Kind] | Entry[Traits]:
        """Return one entry.

        Raises
        ------
        GridError
            Nothing of that kind has that name; lists the names and the nearest one.
        """
        wanted = kind if isinstance(kind, str) else kind.kind
        entries = self._entries.get(wanted, {})
        if name in entries:
            return entries[name]
        problem = f"unknown {wanted}"
        raise GridError(problem, given=name, allowed=", ".join(entries), nearest=nearest_name(name, entries))


@functools.cache
def _fields(kind: str) -> Mapping[str, Option]:
    """Return what a declaration of a kind may say, read from the fields of its dataclass."""
    hints = typing.get_type_hints(KINDS[kind])
    return {
        each.name: Option(
            each.name, hints[each.name], REQUIRED if each.default is each.default_factory is MISSING else each.default
        )
        for each in fields(KINDS[kind])
    }


def _declared(kind: str, /, **given: object) -> Traits:
    """Return what is declared of a thing, each trait checked against its field."""
    if kind not in KINDS:
        problem = "there is no such kind of thing"
        raise GridError(problem, given=kind, allowed=", ".join(KINDS), nearest=nearest_name(kind, KINDS))
    known = _fields(kind)
    for trait, value in given.items():
        if trait not in known:
            problem = "there is no such trait"
            allowed, nearest = ", ".join(known), nearest_name(trait, known)
            raise GridError(problem, key=trait, given=value, allowed=allowed, nearest=nearest)
    for trait, field in known.items():
        if field.default is REQUIRED and trait not in given:
            problem = "must be declared"
            raise GridError(problem, key=trait, allowed=field.allowed)
    written = {**given, "metrics": _metrics(given["metrics"])} if "metrics" in given else given
    return KINDS[kind](**{trait: known[trait].cast(value) for trait, value in written.items()})


def _metrics(written: object) -> object:
    """Return the numbers that an experiment declares, each with its traits: written as tables, or as names alone."""
    if isinstance(written, list | tuple):
        return dict.fromkeys(written, MetricTraits())
    if not isinstance(written, Mapping):
        return written
    metrics = dict(written)
    for name, traits in written.items():
        if isinstance(traits, Mapping):
            try:
                metrics[name] = _declared(MetricTraits.kind, **traits)
            except GridError as error:
                raise error.located(key=f"metrics.{name}") from None
    return metrics


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


_TYPE_WORDS = {
    float: "number",
    int: "whole number",
    bool: "true or false",
    str: "text",
    Callable: "function",
    Mapping: "table",
}


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
    return _TYPE_WORDS.get(origin or bare, str(getattr(bare, "__name__", bare))) + _bounds(annotation)


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
