"""A JSON Schema (draft 2020-12) of the grid file, with every registered name and its options, for editors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from d2lbench.core.registry import REQUIRED
from d2lbench.grid.file import record
from d2lbench.grid.file.claims import DIRECTIONS, ClaimHead, PartText, QuickText
from d2lbench.grid.file.published import PublishedText, Untested
from d2lbench.grid.file.shape import BASE_KEYS, MOST_SEEDS, NAMED_KEYS, QUICK_KEYS, TopLevel, TuneEntry
from d2lbench.grid.kernels import with_settings
from d2lbench.grid.resolve import SCALARS
from d2lbench.grid.tune import Interval

if TYPE_CHECKING:
    from collections.abc import Mapping

    from d2lbench.core.kinds import Traits
    from d2lbench.core.registry import Entry, Option, Registry

Schema: TypeAlias = dict[str, Any]
_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_NUMBER_TEXT: Schema = {"type": "number"}
#: Quoted dotted keys (``"model.depth"``) mean the nested ones; their values are checked when the grid is read.
_DOTTED: Schema = {f"^({'|'.join(NAMED_KEYS)})\\.[A-Za-z0-9_]+$": True}


def json_schema(registry: Registry) -> Schema:
    """Return the schema of a grid file."""
    registry = with_settings(registry)
    kinds = (*NAMED_KEYS, "metric", "statistic")
    definitions: Schema = {}
    for kind in kinds:
        definitions[kind] = _component(registry, kind, lists=False)
    for kind in NAMED_KEYS:
        definitions[f"{kind}-values"] = _component(registry, kind, lists=True)
    for name, lists in (("changes", False), ("axes", True)):
        definitions[name] = _table(_base(registry, lists=lists), dotted=True)
    definitions["selector"] = definitions["axes"]
    definitions["side"] = _side(registry)
    definitions["seeds"] = _any(
        {"type": "integer", "minimum": 1, "maximum": MOST_SEEDS},
        {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1, "uniqueItems": True},
    )
    definitions["tune"] = {"type": "array", "items": _tune()}
    definitions["part"] = _claim(PartText)
    definitions["claim"] = _claim(ClaimHead)
    definitions["published"] = _published()
    top = _table(_top(registry), required=("format", "title"))
    return {"$schema": _DIALECT, "title": "d2lbench grid", **top, "$defs": definitions}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


def _any(*schemas: Schema) -> Schema:
    return {"anyOf": list(schemas)}


def _table(properties: Schema, *, required: tuple[str, ...] = (), dotted: bool = False) -> Schema:
    table: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    if dotted:
        table["patternProperties"] = _DOTTED
    return {**table, "required": list(required)} if required else table


def _option(option: Option, *, lists: bool) -> Schema:
    """Return what one option may be: its value, a scalar for every layer, or where lists expand a list of either."""
    from pydantic import TypeAdapter

    value = TypeAdapter(option.annotation).json_schema()
    if option.is_sequence:
        items = [part["items"] for part in (value, *value.get("anyOf", ())) if isinstance(part.get("items"), dict)]
        value = _any(value, *items)
    schema = _any(value, {"type": "array", "items": value, "minItems": 1}) if lists else value
    return {**schema, "description": f"{option.allowed}; default {option.default!r}"}


def _component(registry: Registry, kind: str, *, lists: bool) -> Schema:
    """Return a name, a table with one, or a table of changes; where lists expand, a list of these, too."""
    entries = registry.entries(kind)
    names: Schema = {"enum": [entry.name for entry in entries]}
    tables = [_entry(entry, lists=lists) for entry in entries]
    options = {name: option for entry in entries for name, option in entry.options.items()}
    change = _table({name: _option(option, lists=lists) for name, option in options.items()})
    one = _any(names, *tables, *((change,) if kind in NAMED_KEYS else ()))
    return _any(one, {"type": "array", "items": one, "minItems": 1}) if lists else one


def _entry(entry: Entry[Traits], *, lists: bool) -> Schema:
    properties = {name: _option(option, lists=lists) for name, option in entry.options.items()}
    required = tuple(name for name, option in entry.options.items() if option.default is REQUIRED)
    table = _table({"name": {"const": entry.name}, **properties}, required=("name", *required))
    return {**table, "title": f'{entry.kind} "{entry.name}"', "description": entry.summary}


def _base(registry: Registry, *, lists: bool) -> Schema:
    suffix = "-values" if lists else ""
    plain = {key: _option(option, lists=lists) for key, option in SCALARS.items()}
    named = {key: _ref(f"{key}{suffix}") for key in NAMED_KEYS if registry.names(key)}
    return {key: {**named, **plain}[key] for key in BASE_KEYS if key in named or key in plain}


def _side(registry: Registry) -> Schema:
    stage: Schema = {"enum": ["tuned", "default", "trials"]}
    selector = _table({**_base(registry, lists=True), "stage": stage}, dotted=True)
    return _any({"const": "baseline"}, _NUMBER_TEXT, selector)


def _tune() -> Schema:
    interval = _table(_plain(Interval), required=("low", "high"))
    space = {"type": "object", "description": f"values by key: a ladder, or {interval['required']} with budget"}
    return _table({**_plain(TuneEntry), "match": _ref("selector"), "space": space}, required=("space",))


def _plain(shape: Any) -> Schema:
    """Return the keys of a record that have a type of their own."""
    options: Mapping[str, Option] = record.shape(shape)
    return {name: _option(option, lists=False) for name, option in options.items() if option.annotation is not Any}


def _claim(shape: Any) -> Schema:
    side = _ref("side")
    quick = _table({**_plain(QuickText), "metric": _ref("metric")})
    properties = {
        **_plain(shape),
        "metric": _ref("metric"),
        "statistic": _ref("statistic"),
        "select": _ref("metric"),
        "where": _ref("selector"),
        **dict.fromkeys((*DIRECTIONS, "than"), side),
        "same": {"type": "array", "items": side, "minItems": 2, "maxItems": 2},
        "quick": quick,
    }
    if shape is ClaimHead:
        properties["part"] = {"type": "array", "items": _ref("part"), "minItems": 1}
        properties["scales"] = {"type": "array", "items": {"enum": ["quick", "full"]}, "minItems": 1}
        return _table(properties, required=("kind", "origin", "says", "source"))
    return _table(properties)


def _published() -> Schema:
    properties = {**_plain(PublishedText), "metric": _ref("metric"), "arm": _ref("side")}
    return _table(properties, required=("id", "says", "source", "metric", "arm", "value"))


def _top(registry: Registry) -> Schema:
    axes = _ref("axes")
    quick = {**_base(registry, lists=False), "seeds": _ref("seeds"), "tune": _ref("tune")}
    when = _table({"match": _ref("selector"), "set": _ref("changes")}, required=("match", "set"))
    claims = {"type": "array", "items": {**_ref("claim"), "required": ["id"]}}
    properties = {
        **_plain(TopLevel),
        "seeds": _ref("seeds"),
        "metrics": {"type": "array", "items": _ref("metric")},
        "base": _ref("changes"),
        **dict.fromkeys(("vary", "product", "zip"), axes),
        "exclude": {"type": "array", "items": _ref("selector")},
        "when": {"type": "array", "items": when},
        "tune": _ref("tune"),
        "quick": _table({**quick, **{key: axes for key in QUICK_KEYS if key not in ("seeds", "tune")}}, dotted=True),
        "claims": _any(claims, {"type": "object", "additionalProperties": _ref("claim")}),
        "published": {"type": "array", "items": _ref("published")},
        "untested": {"type": "array", "items": _table(_plain(Untested), required=("id", "says", "source", "reason"))},
    }
    return {key: properties[key] for key in record.shape(TopLevel)}
