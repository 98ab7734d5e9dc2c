"""Timings: what kernels and arms cost on a machine, in a table made when the first is saved.

A row belongs to a machine, told by its key, for times compare on one machine only. A newer row of the same thing takes
the older one's place. What a kernel's time is a time of, is a :class:`KernelKey`.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from d2lbench.core.files import plain
from d2lbench.core.spec import digest
from d2lbench.store.database import Database, checked, now, seal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: ``machine``: its facts. ``ceilings``: the best it does in a setting. ``case``: a phase of a kernel case. ``cost``: a
#: structure that grids train. ``memory``: bytes that a network holds.
Kind = Literal["machine", "ceilings", "case", "cost", "memory"]

_NAME: Final = "timings"
_TABLE: Final = """CREATE TABLE timings (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL, key TEXT NOT NULL, machine TEXT NOT NULL, environment TEXT NOT NULL,
    content TEXT NOT NULL, stored_at TEXT NOT NULL, seal INTEGER NOT NULL,
    UNIQUE (kind, key, machine, environment)
)"""
_COLUMNS: Final = "kind, key, machine, environment, content, stored_at"


#: What is timed apart: a forward pass without a graph; with one; the pass back through a graph built outside the
#: window; an optimizer's step (or a fill, or an epoch of loading); forward and backward in one go.
Phase = Literal["forward", "forward-train", "backward", "step", "whole"]
PHASES: Final[tuple[Phase, ...]] = get_args(Phase)


@dataclass(frozen=True)
class Setting:
    """How kernels are measured: what is the same for every row of a table, and what is an axis."""

    device: str = "cpu"
    dtype: str = "float32"
    threads: int = 1
    compiled: bool = False
    cold: bool = False

    @property
    def kind(self) -> str:
        """``hot`` or ``cold``: two kinds of time that never share a column."""
        return "cold" if self.cold else "hot"

    def as_record(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {**asdict(self), "kind": self.kind}


@dataclass(frozen=True)
class KernelKey:
    """What identifies the time of a kernel on a machine: a case, its size, one of its phases, and the setting.

    ``implementation`` is empty where there is only one. As text, and as stored, case and implementation are one word:
    ``adam[fused]``.
    """

    name: str
    implementation: str
    size: str
    phase: Phase
    setting: Setting = Setting()

    @property
    def case(self) -> str:
        """``adam[fused]``: what is timed, whatever its size."""
        return f"{self.name}[{self.implementation}]" if self.implementation else self.name

    def __str__(self) -> str:
        """Return ``adam[fused]/small``."""
        return f"{self.case}/{self.size}"

    def as_record(self) -> dict[str, Any]:
        """Return it as it is stored."""
        return {"case": self.case, "size": self.size, "phase": self.phase, "setting": self.setting.as_record()}

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> KernelKey:
        """Return the key of what :meth:`as_record` made, which may hold more beside it."""
        name, _, implementation = record["case"].partition("[")
        setting = Setting(**{each.name: record["setting"][each.name] for each in fields(Setting)})
        return cls(name, implementation.removesuffix("]"), record["size"], record["phase"], setting)

    @property
    def digest(self) -> str:
        """The key of its row in the store."""
        return digest(self.as_record())


@dataclass(frozen=True)
class Timing:
    """One thing measured on one machine: ``content`` is plain data, in which what is no finite number is None.

    ``key`` says what was measured, in which setting; ``machine`` on what; ``sequence`` and ``stored_at`` are the
    store's.
    """

    kind: Kind
    key: str
    machine: str
    environment: str
    content: dict[str, Any] = field(default_factory=dict)
    sequence: int = 0
    stored_at: str = ""


class Timings(Database):
    """The part of the store that holds timings."""

    def save_timings(self, timings: Iterable[Timing]) -> None:
        """Store timings in one transaction; each takes the place of an older one of the same thing, machine and so."""
        moment = now()
        with self._transaction() as connection:
            if not self._has_timings():
                connection.execute(_TABLE)
            for each in timings:
                row = (each.kind, each.key, each.machine, each.environment, _written(each.content), moment)
                places = ", ".join("?" * (len(row) + 1))
                query = f"INSERT OR REPLACE INTO timings ({_COLUMNS}, seal) VALUES ({places})"  # noqa: S608
                connection.execute(query, (*row, seal(*row)))

    def timings(self, kind: Kind) -> tuple[Timing, ...]:
        """Return all timings of a kind, of every machine, the oldest first."""
        with self._guarded("read"):
            if not self._has_timings():
                return ()
            query = f"SELECT sequence, {_COLUMNS}, seal FROM timings WHERE kind = ? ORDER BY sequence"  # noqa: S608
            return tuple(map(_timing, self._connection.execute(query, (kind,)).fetchall()))

    def _has_timings(self) -> bool:
        """Say whether the table was made; either of its two entries in SQLite's own table says so, if one is damaged.

        What then follows fails on the damaged one, and so tells of it.
        """
        query = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND (name = ? OR sql = ?)"
        return self._connection.execute(query, (_NAME, _TABLE)).fetchone() is not None


def _timing(row: tuple[Any, ...]) -> Timing:
    kind, key, machine, environment, content, stored_at = checked(row[1:])
    return Timing(kind, key, machine, environment, json.loads(content), row[0], stored_at)


def _written(content: dict[str, Any]) -> str:
    text = json.dumps(plain(content), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.encode(errors="replace").decode()
