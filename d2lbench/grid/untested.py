"""The shape of ``[[untested]]``: statements on a grid's subject that it does not put to the test, and why."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from d2lbench.errors import GridError
from d2lbench.grid import record
from d2lbench.grid.claim_file import Text, refuse_no_id
from d2lbench.grid.document import tables


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
