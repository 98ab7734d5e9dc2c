"""The shape of a claim in a grid file, before its arms and metrics are looked up."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Annotated, Any, Final, Literal

from annotated_types import Ge, MinLen

from d2lbench.core.errors import GridError
from d2lbench.grid.file import record

KINDS: Final = ("identity", "count", "demonstration", "comparison", "equivalence", "timing")
#: The keys of which a claim has exactly one.
DIRECTIONS: Final = ("higher", "lower", "no_worse", "same")

Kind = Literal["identity", "count", "demonstration", "comparison", "equivalence", "timing"]
Text = Annotated[str, MinLen(1)]
Stage = Literal["tuned", "default", "trials"]
Better = Literal["higher", "lower"]
As = Literal["difference", "ratio"]
Scale = Literal["quick", "full"]
Margin = Annotated[float, Ge(0)]


@dataclass(frozen=True, kw_only=True)
class PartText:
    """One comparison as it is written: what is measured, on which sides, in which direction, by which margin."""

    metric: Any = None
    statistic: Any = None
    over: str = ""
    stage: Stage | None = None
    select: Any = None
    where: Any = None
    higher: Any = None
    lower: Any = None
    no_worse: Any = None
    same: Any = None
    than: Any = None
    better: Better | None = None
    margin: Margin | None = None
    tolerance: Margin | None = None
    as_: As | None = None
    reason: str = ""
    label: str = ""
    quick: Any = None
    key: str = field(default="", metadata={"derived": True})

    @property
    def direction(self) -> str:
        """The one of higher, lower, no_worse and same that is named."""
        return next(name for name in DIRECTIONS if getattr(self, name) is not None)


@dataclass(frozen=True, kw_only=True)
class ClaimHead(PartText):
    """Everything that a claim may say."""

    id: str
    kind: Kind
    origin: Literal["notes", "book", "ours"]
    says: Text
    source: Text
    scales: Annotated[tuple[Scale, ...], MinLen(1)] = ("quick", "full")
    part: Any = ()


@dataclass(frozen=True)
class ClaimText:
    """A claim as it is written, its parts completed with what the claim says for all of them."""

    head: ClaimHead
    parts: tuple[PartText, ...]
    raw: Mapping[str, Any]


@dataclass(frozen=True)
class QuickText:
    """What a claim may say otherwise at the quick scale."""

    margin: Margin | None = None
    metric: Any = None


def parse_claims(value: Any) -> tuple[ClaimText, ...]:
    """Return the claims of a file, written ``[[claims]]`` or ``[claims.<id>]``."""
    found: list[ClaimText] = []
    for key, table in _with_ids(value):
        claim = _claim(table, key)
        if any(claim.head.id == other.head.id for other in found):
            problem = "is the id of another claim, too"
            raise GridError(problem, key=f"{key}.id", given=claim.head.id, allowed="a different id for each claim")
        found.append(claim)
    return tuple(found)


def _with_ids(value: Any) -> list[tuple[str, dict[str, Any]]]:
    if isinstance(value, Mapping):
        pairs = [(f"claims.{name}", {"id": name, **_table(item, f"claims.{name}")}) for name, item in value.items()]
        for (key, table), name in zip(pairs, value, strict=True):
            if table["id"] != name:
                problem = "differs from the name of the table"
                raise GridError(problem, key=f"{key}.id", given=table["id"], allowed=f'"{name}"')
        return pairs
    if not isinstance(value, list | tuple):
        problem = "is not a list of tables"
        raise GridError(problem, key="claims", given=value, allowed="[[claims]] or [claims.<id>]")
    pairs = []
    for index, item in enumerate(value):
        table = _table(item, f"claims[{index}]")
        name = table.get("id")
        pairs.append((f"claims.{name}" if isinstance(name, str) and _ID.fullmatch(name) else f"claims[{index}]", table))
    return pairs


_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,79}")


def refuse_no_id(name: str, key: str) -> None:
    """Refuse what cannot name a claim in a file, a link or a terminal.

    Raises
    ------
    GridError
        Something but letters, digits, hyphens and underscores, or too long.
    """
    if not _ID.fullmatch(name):
        problem = "is not an id"
        raise GridError(problem, key=f"{key}.id", given=name, allowed="letters, digits, - and _, at most 80")


def _table(value: Any, key: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        problem = "is not a table"
        raise GridError(problem, key=key, given=value, allowed="a table that says the claim")
    return dict(value)


def _claim(table: dict[str, Any], key: str) -> ClaimText:
    head = record.read(ClaimHead, table, key, key=key)
    refuse_no_id(head.id, key)
    shared = {name: item for name, item in table.items() if name in record.shape(PartText)}
    if "part" not in table:
        return ClaimText(head, (_part(shared, key, head.kind),), table)
    if not isinstance(head.part, list | tuple) or not head.part:
        problem = "is not a list of tables"
        raise GridError(problem, key=f"{key}.part", given=head.part, allowed="[[claims.part]]")
    parts = []
    for index, own in enumerate(head.part):
        place = f"{key}.part[{index}]"
        parts.append(_part(_overlaid(shared, _table(own, place), place), place, head.kind))
    return ClaimText(head, tuple(parts), table)


def _overlaid(shared: Mapping[str, Any], own: dict[str, Any], key: str) -> dict[str, Any]:
    """Return what the claim says with what the part says over it; a part's direction replaces the claim's."""
    record.refuse_unknown(own, record.shape(PartText), key)
    dropped: set[str] = set()
    named = [name for name in DIRECTIONS if name in own]
    if named:
        dropped = {*DIRECTIONS, "better"} | ({"than"} if named == ["same"] else set())
    return {**{name: item for name, item in shared.items() if name not in dropped}, **own}


def _part(table: Mapping[str, Any], key: str, kind: str) -> PartText:
    part = record.read(PartText, table, key, key=key)
    if part.metric is None and kind != "timing":
        problem = "is missing"
        raise GridError(problem, key=f"{key}.metric", allowed="the name of a metric, or a table with its options")
    record.read(QuickText, {} if part.quick is None else part.quick, f"{key}.quick")
    _check_direction(part, key, kind)
    return part


def _check_direction(part: PartText, key: str, kind: str) -> None:
    named = [name for name in DIRECTIONS if getattr(part, name) is not None]
    if len(named) != 1:
        problem = "a claim has exactly one direction"
        raise GridError(problem, key=key, given=named, allowed="one of " + ", ".join(DIRECTIONS))
    direction = named[0]
    if direction == "same":
        if part.than is not None:
            problem = 'does not go with "same", whose two sides are a list'
            raise GridError(problem, key=f"{key}.than", given=part.than, allowed="same = [a, b]")
        if not isinstance(part.same, list | tuple) or len(part.same) != 2:  # noqa: PLR2004  (a pair)
            problem = "is not a pair of sides"
            raise GridError(problem, key=f"{key}.same", given=part.same, allowed="same = [a, b]")
    elif part.than is None:
        problem = f'is missing beside "{direction}"'
        raise GridError(problem, key=f"{key}.than", allowed='a selector, "baseline" or a number')
    if (direction == "no_worse") != (part.better is not None):
        problem = 'goes with "no_worse", and no_worse needs it'
        raise GridError(problem, key=f"{key}.better", given=part.better, allowed='"higher" or "lower"')
    _check_kind(direction, key, kind)


def _check_kind(direction: str, key: str, kind: str) -> None:
    allowed = {"comparison": ("higher", "lower", "no_worse"), "equivalence": ("same", "no_worse")}.get(kind, DIRECTIONS)
    if direction not in allowed:
        problem = f"does not suit a claim of the kind {kind}"
        raise GridError(problem, key=f"{key}.{direction}", allowed=" or ".join(allowed))


def head_keys() -> tuple[str, ...]:
    """Return the keys that a claim may hold."""
    return tuple(entry.name.rstrip("_") for entry in fields(ClaimHead) if not entry.metadata.get("derived"))
