"""Tables of a grid file as pydantic models, and the one translator from pydantic's errors to ours."""

from __future__ import annotations

import functools
import operator
import typing
from collections.abc import Mapping
from typing import Annotated, Any, TypeAlias, TypeVar

from annotated_types import MinLen
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from d2lbench.core.errors import GridError, nearest_key, nearest_name, together
from d2lbench.core.registry import choices, describe
from d2lbench.grid.file import document

#: Where something stands in a document: keys of tables and numbers in lists.
Path: TypeAlias = tuple[str | int, ...]
#: What the translator makes of an error: the places, each with its mistake.
Placed: TypeAlias = list[tuple[Path, GridError]]


def refusal(*mistakes: tuple[Path, GridError]) -> PydanticCustomError:
    """Return what a validator raises in our own words: for each mistake the place within its value, and the error."""
    return PydanticCustomError("grid", "refused", {"mistakes": list(mistakes)})


class Table(BaseModel):
    """A table of a grid file: nothing is cast but whole numbers to real ones, and no other key may stand in it."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _nested(cls, value: Any) -> Any:
        return nested(value) if isinstance(value, Mapping) else value

    @classmethod
    def known(cls) -> tuple[str, ...]:
        """Return the keys that the table may hold."""
        return tuple(hints(cls))


def nested(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return a table with quoted dotted keys spelled as tables, for a validator."""
    try:
        return document.nested(value)
    except GridError as error:
        path = tuple(filter(None, error.key.split(".")))
        raise refusal((path, error)) from None


@functools.cache
def hints(model: type[Table]) -> Mapping[str, Any]:
    """Return the annotation of each key, by its name in the file."""
    found = typing.get_type_hints(model, include_extras=True)
    return {field.alias or name: found[name] for name, field in model.model_fields.items()}


def _several(value: Any) -> Any:
    """Return a list as a tuple, and what stands alone as a list of one."""
    return tuple(value) if isinstance(value, list | tuple) else value if value is None else (value,)


Item = TypeVar("Item")
#: A list; what stands alone is a list of one.
Several = Annotated[tuple[Item, ...], BeforeValidator(_several), Field(json_schema_extra={"several": True})]
OneOrMore = Annotated[
    tuple[Item, ...], MinLen(1), BeforeValidator(_several), Field(json_schema_extra={"several": True})
]
#: A list, and no single value.
Listed = Annotated[tuple[Item, ...], Strict(strict=False)]


def defined(name: str) -> WithJsonSchema:
    """Return what stands in a JSON Schema for something that the registry decides on."""
    return WithJsonSchema({"defined": name})


#: What is looked up later, named as the JSON Schema calls it.
Metric = Annotated[Any, defined("metric")]
Selector = Annotated[Any, defined("selector")]


def read(model: type[Any], table: Any, origin: str = "") -> Any:
    """Return a model of ``table``.

    Raises
    ------
    GridError
        Every key that is unknown or missing, and every value that is not allowed.
    """
    try:
        return model.model_validate(table)
    except ValidationError as error:
        raise together(each.located(key=origin) for _, each in translated(error, model, table)) from None


def translated(error: ValidationError, model: type[Table], table: Any) -> Placed:
    """Return each mistake that pydantic found in ``table`` with its place, in our words; several of one key as one."""
    found: dict[Path, GridError] = {}
    for each in error.errors(include_url=False):
        path, owner, annotation = _place(model, each["loc"])
        if each["type"] == "grid":
            for inner, own in each["ctx"]["mistakes"]:
                found.setdefault((*path, *inner), own.reworded(key=spelled((*path, *inner), table)))
        else:
            found.setdefault(path, _sentence(each["type"], path, owner, annotation, table))
    return list(found.items())


def _place(model: type[Table], loc: Path) -> tuple[Path, type[Table], Any]:
    """Return the key that an error is about, the model that has it and its annotation; values in it do not count."""
    owner, annotation = model, typing.cast("Any", model)
    for depth, step in enumerate(loc):
        inner, is_list = _model_of(annotation)
        if inner is None or is_list != isinstance(step, int):
            return loc[:depth], owner, annotation
        if is_list:
            annotation = inner
        else:
            owner, annotation = inner, hints(inner).get(str(step), Any)
    return loc, owner, annotation


def _model_of(annotation: Any) -> tuple[type[Table] | None, bool]:
    """Return the model in an annotation, and whether it is one of a list."""
    if isinstance(annotation, type) and issubclass(annotation, Table):
        return annotation, False
    for each in typing.get_args(annotation):
        inner, is_list = _model_of(each)
        if inner is not None:
            return inner, is_list or typing.get_origin(annotation) is tuple
    return None, False


def _sentence(kind: str, path: Path, owner: type[Table], annotation: Any, table: Any) -> GridError:
    key, (inner, is_list) = spelled(path, table), _model_of(annotation)
    if kind == "missing":
        bare = typing.get_args(annotation)[0] if typing.get_origin(annotation) is Annotated else annotation
        is_table = bare is Any or typing.get_origin(bare) is dict
        allowed = "a table" if is_table else describe(annotation)
        return GridError("is missing", key=key, allowed=allowed)
    if kind == "extra_forbidden":
        return unknown(str(path[-1]), key, owner.known())
    given: Any = functools.reduce(operator.getitem, path, table)
    if (kind == "tuple_type" and isinstance(given, dict)) or is_list:
        name = ".".join(step for step in path if isinstance(step, str))
        return GridError("is not a list of tables", key=key, given=given, allowed=f"[[{name}]]")
    if kind == "tuple_type":
        return GridError("is not a list", key=key, given=given, allowed="a list")
    if inner is not None:
        return GridError("is not a table", key=key, given=given, allowed=f"a table of {', '.join(inner.known())}")
    nearest = nearest_name(given, choices(annotation)) if isinstance(given, str) else None
    return GridError("is not allowed here", key=key, given=given, allowed=describe(annotation), nearest=nearest)


def unknown(name: str, key: str, allowed: typing.Iterable[str]) -> GridError:
    """Return the error of a key that there is not, with those that there are and the nearest one."""
    names = tuple(allowed)
    nearest = nearest_key(name, names)
    return GridError("is not a key of a grid", key=key, allowed=", ".join(names), nearest=nearest)


def spelled(path: Path, table: Any) -> str:
    """Return a path as messages spell it: ``claims.wide-wins.part[0].margin``; an item without an id by its number."""
    key = ""
    for depth, step in enumerate(path):
        entry = table[path[0]][step] if depth == 1 and isinstance(step, int) else None
        name = entry.get("id") if isinstance(entry, dict) else None
        if isinstance(step, str):
            key = f"{key}.{step}" if key else step
        else:
            key += f".{name}" if isinstance(name, str) and name and "." not in name else f"[{step}]"
    return key
