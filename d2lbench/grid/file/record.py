"""Read a table of a grid into a frozen record whose annotations say what each key may hold."""

from __future__ import annotations

import dataclasses
import functools
import typing
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from d2lbench.core.errors import GridError, nearest_name
from d2lbench.core.registry import REQUIRED, Option

Record = TypeVar("Record")


@functools.cache
def shape(record: Any) -> Mapping[str, Option]:
    """Return the keys that ``record`` may hold, read from its annotations.

    A trailing underscore (``as_``) keeps a key that is a word of Python apart from it.
    """
    hints = typing.get_type_hints(record, include_extras=True)
    return {
        field.name.rstrip("_"): Option(field.name.rstrip("_"), hints[field.name], _default(field))
        for field in dataclasses.fields(record)
        if not field.metadata.get("derived")
    }


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default is not dataclasses.MISSING:
        return field.default
    return REQUIRED if field.default_factory is dataclasses.MISSING else field.default_factory()


def read(record: Callable[..., Record], table: object, key: str = "", /, **derived: Any) -> Record:
    """Return a ``record`` with the values of ``table``, each checked and cast.

    Raises
    ------
    GridError
        Not a table, an unknown or a missing key, or a value that is not allowed.
    """
    if not isinstance(table, Mapping):
        problem = "is not a table"
        raise GridError(problem, key=key, given=table, allowed=f"a table of {', '.join(shape(record))}")
    options = shape(record)
    refuse_unknown(table, options, key)
    values: dict[str, Any] = {}
    for name, option in options.items():
        if name in table:
            values[_attribute(record, name)] = cast(option, table[name], key)
        elif option.default is REQUIRED:
            problem = "is missing"
            allowed = "a table" if option.annotation is Any else option.allowed
            raise GridError(problem, key=f"{key}.{name}" if key else name, allowed=allowed)
    return record(**values, **derived)


def _attribute(record: Any, name: str) -> str:
    return name if name in {field.name for field in dataclasses.fields(record)} else f"{name}_"


def cast(option: Option, value: Any, key: str = "") -> Any:
    """Return ``value`` as ``option`` declares it; the error names ``key`` in front of the option."""
    if option.annotation is Any:
        return value
    try:
        return option.cast(value)
    except GridError as error:
        raise error.located(key=key) from None


def refuse_unknown(table: Mapping[str, Any], allowed: Mapping[str, Any], key: str = "") -> None:
    """Refuse the first key of ``table`` that is not among ``allowed``.

    Raises
    ------
    GridError
        Names the key, those that are allowed, and the nearest one.
    """
    for name in table:
        if name not in allowed:
            problem = "is not a key of a grid"
            raise GridError(
                problem,
                key=f"{key}.{name}" if key else name,
                allowed=", ".join(allowed),
                nearest=nearest_name(name, allowed),
            )
