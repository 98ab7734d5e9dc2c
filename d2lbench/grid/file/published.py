"""The shape of ``[[published]]``: a number that somebody else found, beside which ours are put, as it is written."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any

from annotated_types import MinLen

from d2lbench.core.errors import GridError
from d2lbench.grid.file import record
from d2lbench.grid.file.claims import Scale, Text, refuse_no_id
from d2lbench.grid.file.document import tables


@dataclass(frozen=True, kw_only=True)
class PublishedText:
    """What was published, where, of which of our arms, and in what the published run differs from ours.

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

    id: str
    says: Text
    source: Text
    metric: Any
    arm: Any
    value: Annotated[tuple[float, ...], MinLen(1)]
    approximate: bool = False
    differs: tuple[Text, ...] = ()
    scales: Annotated[tuple[Scale, ...], MinLen(1)] | None = None
    key: str = field(default="published", metadata={"derived": True})

    def is_asked(self, scale: str, *, has_quick: bool) -> bool:
        """Whether ours is put beside it at a scale."""
        usual = ("full",) if has_quick else ("quick", "full")
        return scale in (self.scales or usual)


def parse_published(value: Any) -> tuple[PublishedText, ...]:
    """Return the published numbers of a file.

    Raises
    ------
    GridError
        An unknown or a missing key, a value of another type, no id, or the id of another entry.
    """
    found: list[PublishedText] = []
    for index, table in enumerate(tables(value, "published")):
        name = table.get("id")
        key = f"published.{name}" if isinstance(name, str) and name else f"published[{index}]"
        entry = record.read(PublishedText, table, key, key=key)
        refuse_no_id(entry.id, key)
        if any(entry.id == other.id for other in found):
            problem = "is the id of another published number, too"
            raise GridError(problem, key=f"{key}.id", given=entry.id, allowed="a different id for each")
        found.append(entry)
    return tuple(found)


@dataclass(frozen=True, kw_only=True)
class Untested:
    """A statement that a report lists with the reason for which nothing was run for it."""

    id: str
    says: Text
    source: Text
    reason: Text
    key: str = field(default="untested", metadata={"derived": True})


def parse_untested(value: Any) -> tuple[Untested, ...]:
    """Return the statements that a file leaves untested.

    Raises
    ------
    GridError
        An unknown or a missing key, a value of another type, no id, or the id of another entry.
    """
    found: list[Untested] = []
    for index, table in enumerate(tables(value, "untested")):
        name = table.get("id")
        key = f"untested.{name}" if isinstance(name, str) and name else f"untested[{index}]"
        entry = record.read(Untested, table, key, key=key)
        refuse_no_id(entry.id, key)
        if any(entry.id == other.id for other in found):
            problem = "is the id of another statement, too"
            raise GridError(problem, key=f"{key}.id", given=entry.id, allowed="a different id for each")
        found.append(entry)
    return tuple(found)
