"""A JSON Schema (draft 2020-12) of the grid file, with every registered name and its options, for editors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from pydantic import TypeAdapter

from d2lbench.core.registry import REQUIRED
from d2lbench.grid.file.shape import BASE_KEYS, MOST_SEEDS, NAMED_KEYS, QUICK_KEYS, GridKeys
from d2lbench.grid.kernels import with_settings
from d2lbench.grid.resolve import SCALARS

if TYPE_CHECKING:
    from d2lbench.core.kinds import Traits
    from d2lbench.core.registry import Entry, Option, Registry

Schema: TypeAlias = dict[str, Any]
_DIALECT = "https://json-schema.org/draft/2020-12/schema"
#: Quoted dotted keys (``"model.depth"``) mean the nested ones; their values are checked when the grid is read.
_DOTTED: Schema = {f"^({'|'.join(NAMED_KEYS)})\\.[A-Za-z0-9_]+$": True}


def json_schema(registry: Registry) -> Schema:
    """Return the schema of a grid file: that of its models, with what the registry decides on filled in."""
    registry = with_settings(registry)
    schema = GridKeys.model_json_schema()
    named: Schema = {kind: _component(registry, kind, lists=False) for kind in (*NAMED_KEYS, "metric", "statistic")}
    named |= {f"{kind}-values": _component(registry, kind, lists=True) for kind in NAMED_KEYS}
    changes, axes = _base(registry, lists=False), _base(registry, lists=True)
    stage: Schema = {"enum": ["tuned", "default", "trials"]}
    sections: Schema = {"seeds": _ref("seeds"), "tune": schema["properties"]["tune"]}
    sections |= {key: _ref("axes") for key in QUICK_KEYS if key not in sections}
    claim, claims = schema["$defs"]["ClaimText"], schema["properties"]["claims"]
    by_id = {**claim, "required": [key for key in claim["required"] if key != "id"]}
    schema["properties"]["claims"] = _any(claims, {"type": "object", "additionalProperties": by_id})
    schema["$defs"] |= named
    schema["$defs"] |= {
        "changes": _table(changes, dotted=True),
        "axes": _table(axes, dotted=True),
        "selector": _table(axes, dotted=True),
        "side": _any({"const": "baseline"}, {"type": "number"}, _table({**axes, "stage": stage}, dotted=True)),
        "space": {"type": "object", "description": "values by key: a ladder, or { low, high, log } with budget"},
        "quick": _table({**changes, **sections}, dotted=True),
        "seeds": _any(
            {"type": "integer", "minimum": 1, "maximum": MOST_SEEDS},
            {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1, "uniqueItems": True},
        ),
    }
    return {"$schema": _DIALECT, **_filled(schema), "title": "d2lbench grid"}


def _filled(part: Any) -> Any:
    """Return a part of the models' schema with references to what the registry defines, and single values allowed."""
    if isinstance(part, list):
        return [_filled(item) for item in part]
    if not isinstance(part, dict):
        return part
    if isinstance(part.get("defined"), str):
        return _ref(part["defined"])
    filled = {key: _filled(item) for key, item in part.items() if key != "several"}
    return _any(filled, filled["items"]) if part.get("several") is True else filled


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
