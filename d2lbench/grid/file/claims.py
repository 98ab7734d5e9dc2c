"""Claims, published numbers and untested statements as they are written, before arms and metrics are looked up."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Literal, Self

from annotated_types import Ge, MinLen
from pydantic import AfterValidator, Field, PrivateAttr, WithJsonSchema, model_validator

from d2lbench.core.errors import GridError, Mistakes
from d2lbench.grid.file.table import Listed, Metric, OneOrMore, Path, Placed, Selector, Several, Table, defined, refusal

KINDS: Final = ("identity", "count", "demonstration", "comparison", "equivalence", "timing")
#: The keys of which a claim has exactly one.
DIRECTIONS: Final = ("higher", "lower", "no_worse", "same")
#: The directions that suit a kind; of the others all do.
_SUITED: Final[Mapping[str, tuple[str, ...]]] = {
    "comparison": ("higher", "lower", "no_worse"),
    "equivalence": ("same", "no_worse"),
}
_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,79}")


def _id(name: str) -> str:
    """Refuse what cannot name something in a file, a link or a terminal."""
    if not _ID.fullmatch(name):
        raise refusal(((), GridError("is not an id", given=name, allowed="letters, digits, - and _, at most 80")))
    return name


def _unique(what: str, allowed: str = "a different id for each") -> AfterValidator:
    """Return a validator that refuses the id of another entry."""

    def check(entries: tuple[Any, ...]) -> tuple[Any, ...]:
        names = [entry.id for entry in entries]
        again = [(i, name) for i, name in enumerate(names) if name in names[:i]]
        problem = f"is the id of another {what}, too"
        if again:
            raise refusal(*[((i, "id"), GridError(problem, given=name, allowed=allowed)) for i, name in again])
        return entries

    return AfterValidator(check)


Kind = Literal["identity", "count", "demonstration", "comparison", "equivalence", "timing"]
Id = Annotated[str, AfterValidator(_id)]
Text = Annotated[str, MinLen(1)]
Stage = Literal["tuned", "default", "trials"]
Better = Literal["higher", "lower"]
As = Literal["difference", "ratio"]
Scale = Literal["quick", "full"]
Scales = OneOrMore[Scale]
Margin = Annotated[float, Ge(0)]
Side = Annotated[Any, defined("side")]


class QuickText(Table):
    """What a claim may say otherwise at the quick scale."""

    margin: Margin | None = None
    metric: Metric = None


class PartKeys(Table):
    """What a claim says for all of its parts, or a part for itself."""

    metric: Metric = None
    statistic: Annotated[Any, defined("statistic")] = None
    over: str = ""
    stage: Stage | None = None
    select: Metric = None
    where: Selector = None
    higher: Side = None
    lower: Side = None
    no_worse: Side = None
    same: Annotated[Any, WithJsonSchema({"type": "array", "items": {"defined": "side"}})] = None
    than: Side = None
    better: Better | None = None
    margin: Margin | None = None
    tolerance: Margin | None = None
    as_: As | None = Field(None, alias="as")
    reason: str = ""
    label: str = ""
    quick: QuickText | None = None

    @property
    def named(self) -> dict[str, Any]:
        """The keys of a part that are written, by attribute."""
        return {name: getattr(self, name) for name in PartKeys.model_fields if name in self.model_fields_set}


class PartText(PartKeys):
    """One comparison as it is written: what is measured, on which sides, in which direction, by which margin."""

    key: str

    @property
    def direction(self) -> str:
        """The one of higher, lower, no_worse and same that is named."""
        return next(name for name in DIRECTIONS if getattr(self, name) is not None)


class ClaimText(PartKeys):
    """A claim as it is written; ``parts`` are completed with what the claim says for all of them."""

    id: Id
    kind: Kind
    origin: Literal["notes", "book", "ours"]
    says: Text
    source: Text
    scales: Scales = ("quick", "full")
    part: Annotated[Listed[PartKeys], MinLen(1)] | None = None
    _raw: Mapping[str, Any] = PrivateAttr(default_factory=dict)

    @model_validator(mode="wrap")
    @classmethod
    def _written(cls, value: Any, handler: Callable[[Any], Self]) -> Self:
        claim = handler(value)
        claim.__pydantic_private__ = {"_raw": value}
        found = [each for i, part in enumerate(claim.parts) for each in _problems(part, claim, i)]
        if found:
            raise refusal(*found)
        return claim

    @property
    def raw(self) -> Mapping[str, Any]:
        """The table as it is written."""
        return self._raw

    @functools.cached_property
    def parts(self) -> tuple[PartText, ...]:
        """The parts; one where the claim has no ``[[claims.part]]``."""
        key = f"claims.{self.id}"
        if self.part is None:
            return (PartText.model_construct(key=key, **self.named),)
        found = []
        for index, own in enumerate(self.part):
            named = [name for name in DIRECTIONS if name in own.named]
            dropped = {*DIRECTIONS, "better"} if named else set[str]()  # a part's direction replaces the claim's
            dropped |= {"than"} if named == ["same"] else set()
            shared = {name: value for name, value in self.named.items() if name not in dropped}
            found.append(PartText.model_construct(key=f"{key}.part[{index}]", **{**shared, **own.named}))
        return tuple(found)


def _problems(part: PartText, claim: ClaimText, index: int) -> Placed:
    """Return what does not go together in one part, with its place in the claim."""
    at: Path = () if claim.part is None else ("part", index)
    found: Placed = []
    if part.metric is None and claim.kind != "timing":
        allowed = "the name of a metric, or a table with its options"
        found.append(((*at, "metric"), GridError("is missing", allowed=allowed)))
    named = [name for name in DIRECTIONS if getattr(part, name) is not None]
    if len(named) != 1:
        allowed = "one of " + ", ".join(DIRECTIONS)
        return [*found, (at, GridError("a claim has exactly one direction", given=named, allowed=allowed))]
    direction = named[0]
    if direction == "same" and part.than is not None:
        problem = 'does not go with "same", whose two sides are a list'
        found.append(((*at, "than"), GridError(problem, given=part.than, allowed="same = [a, b]")))
    elif direction == "same" and (not isinstance(part.same, list | tuple) or len(part.same) != 2):  # noqa: PLR2004
        error = GridError("is not a pair of sides", given=part.same, allowed="same = [a, b]")
        found.append(((*at, "same"), error))
    elif direction != "same" and part.than is None:
        error = GridError(f'is missing beside "{direction}"', allowed='a selector, "baseline" or a number')
        found.append(((*at, "than"), error))
    if (direction == "no_worse") != (part.better is not None):
        problem = 'goes with "no_worse", and no_worse needs it'
        found.append(((*at, "better"), GridError(problem, given=part.better, allowed='"higher" or "lower"')))
    allowed_here = _SUITED.get(claim.kind, DIRECTIONS)
    if direction not in allowed_here:
        problem = f"does not suit a claim of the kind {claim.kind}"
        found.append(((*at, direction), GridError(problem, allowed=" or ".join(allowed_here))))
    return found


def listed(value: Any) -> Any:
    """Return claims written as ``[claims.<id>]`` as a list of tables with ids.

    Raises
    ------
    GridError
        Not tables, or an id differs from the name of its table.
    """
    if not isinstance(value, list | Mapping):
        problem = "is not a list of tables"
        raise GridError(problem, key="claims", given=value, allowed="[[claims]] or [claims.<id>]")
    if isinstance(value, list):
        return value
    mistakes = Mistakes()
    for name, table in value.items():
        if not isinstance(table, Mapping):
            problem, allowed = "is not a table", "a table that says the claim"
            mistakes.note(GridError(problem, key=f"claims.{name}", given=table, allowed=allowed))
        elif table.get("id", name) != name:
            problem = "differs from the name of the table"
            mistakes.note(GridError(problem, key=f"claims.{name}.id", given=table["id"], allowed=f'"{name}"'))
    mistakes.refuse()
    return [{"id": name, **table} for name, table in value.items()]


class PublishedText(Table):
    """A number that somebody else found: where, of which of our arms, and in what the published run differs from ours.

    Attributes
    ----------
    value
        In the metric's unit, one number or several: one for each edition that tells its own.
    approximate
        Whether the numbers were read off a figure.
    differs
        Settings of the published run that are not those of our arm; a reader judges what they do.
    scales
        Where ours is put beside it; where it is not said, at the full scale, and at the quick one, too, if the grid has
        no ``[quick]`` that would change the setting.
    """

    id: Id
    says: Text
    source: Text
    metric: Metric
    arm: Side
    value: OneOrMore[float]
    approximate: bool = False
    differs: Several[Text] = ()
    scales: Scales | None = None

    @property
    def key(self) -> str:
        """Where it is written, for messages."""
        return f"published.{self.id}"

    def is_asked(self, scale: str, *, has_quick: bool) -> bool:
        """Whether ours is put beside it at a scale."""
        usual = ("full",) if has_quick else ("quick", "full")
        return scale in (self.scales or usual)


class Untested(Table):
    """A statement that a report lists with the reason for which nothing was run for it."""

    id: Id
    says: Text
    source: Text
    reason: Text


Claims = Annotated[Listed[ClaimText], _unique("claim", "a different id for each claim")]
PublishedNumbers = Annotated[Listed[PublishedText], _unique("published number")]
UntestedStatements = Annotated[Listed[Untested], _unique("statement")]
