"""Runs: what became of each cell, with its series, and its final weights where a grid keeps them."""

from __future__ import annotations

import contextlib
import json
import math
import sqlite3
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from d2lbench.core.runs import FINISHED, Run
from d2lbench.store.database import SEALED, Database, checked, now, seal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from d2lbench.core.runs import Series

_COLUMNS: Final = SEALED["runs"]
_SELECT: Final = f"SELECT sequence, {_COLUMNS}, seal FROM"
_WEIGHTS: Final = """CREATE TABLE IF NOT EXISTS weights (
    run INTEGER PRIMARY KEY REFERENCES runs (sequence) ON DELETE CASCADE, content BLOB NOT NULL, seal INTEGER NOT NULL
)"""


class Runs(Database):
    """The part of the store that holds runs and what they were made with."""

    def finished(self, environment: str) -> dict[str, frozenset[str]]:
        """Return the finished cells of an environment, each with the optional series that it has."""
        query = f"SELECT cell, extras FROM runs WHERE environment = ? AND status IN {FINISHED}"  # noqa: S608
        with self._guarded("read"):
            return {cell: _names(extras) for cell, extras in self._connection.execute(query, (environment,))}

    def finished_of(self, environment: str, cells: Iterable[str], extras: frozenset[str]) -> frozenset[str]:
        """Return which of the given cells are finished by now, with all of the optional series asked for."""
        found = self.runs(environment, cells, contents=False).values()
        return frozenset(run.cell for run in found if run.status in FINISHED and extras <= run.extras)

    def save(self, environment: str, stack: str, runs: Iterable[Run], provenance: Mapping[str, Any]) -> int:
        """Store a stack's runs in one transaction, end its lease, and return how many rows are new or better.

        A finished run is never replaced; optional series that it lacks are put beside it.
        """
        with self._transaction() as connection:
            origin = _origin(connection, provenance)
            added = sum(_save_run(connection, environment, stack, run, origin) for run in runs)
            connection.execute("DELETE FROM leases WHERE stack = ?", (stack,))
            return added

    def runs(self, environment: str, cells: Iterable[str], *, contents: bool = True) -> dict[str, Run]:
        """Return the runs of the given cells by cell identity, without series where ``contents`` is false."""
        with self._guarded("read"), self._snapshot():
            self._connection.execute("DELETE FROM wanted")
            self._connection.executemany("INSERT OR IGNORE INTO wanted VALUES (?)", ((cell,) for cell in cells))
            rows = self._connection.execute(
                f"{_SELECT} wanted JOIN runs USING (cell) WHERE environment = ?", (environment,)
            )
            runs = {run.sequence: (run, parts) for run, parts in map(_run, rows)}
            if contents:
                self._fill(environment, runs)
            return {run.cell: run for run, _ in runs.values()}

    def matching(self, environment: str, prefix: str) -> dict[str, Run]:
        """Return the runs whose cell identity begins with ``prefix``."""
        with self._guarded("read"):
            query = "SELECT cell FROM runs WHERE environment = ? AND substr(cell, 1, ?) = ?"
            rows = self._connection.execute(query, (environment, len(prefix), prefix))
            cells = [row[0] for row in rows]
        return self.runs(environment, cells)

    def environments(self) -> tuple[str, ...]:
        """Return the environments that the store has runs of."""
        with self._guarded("read"):
            return tuple(row[0] for row in self._connection.execute("SELECT DISTINCT environment FROM runs ORDER BY 1"))

    def provenances(self, environment: str) -> list[dict[str, Any]]:
        """Return what the runs of an environment were made with, oldest first."""
        query = (
            "SELECT content, seal FROM provenance WHERE id IN (SELECT provenance FROM runs WHERE environment = ?)"
            " ORDER BY id"
        )
        with self._guarded("read"):
            rows = self._connection.execute(query, (environment,))
            return [json.loads(checked(row)[0]) for row in rows]

    def weights(self, environment: str, cell: str) -> bytes | None:
        """Return a cell's final weights as a safetensors file, or None where none were kept."""
        with self._guarded("read"):
            if not self._connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'weights'").fetchone():
                return None
            query = (
                "SELECT run, content, weights.seal FROM weights JOIN runs ON run = sequence"
                " WHERE cell = ? AND environment = ?"
            )
            row = self._connection.execute(query, (cell, environment)).fetchone()
            return None if row is None else bytes(checked(row)[1])

    @contextlib.contextmanager
    def _snapshot(self) -> Iterator[None]:
        """Read several tables as they are at one moment."""
        self._connection.execute("CREATE TEMP TABLE IF NOT EXISTS wanted (cell TEXT PRIMARY KEY) WITHOUT ROWID")
        self._connection.execute("BEGIN")
        try:
            yield
        finally:
            self._connection.execute("ROLLBACK")

    def _fill(self, environment: str, runs: dict[int, tuple[Run, int]]) -> None:
        """Read the runs' arrays and see that none is missing."""
        found: Counter[int] = Counter()
        for row in self._connection.execute(_of_wanted("series", "name, x, y"), (environment,)):
            number, name, x, y = checked(row)
            runs[number][0].series[name] = (_vector(x), _vector(y))
            found[number] += 1
        for row in self._connection.execute(_of_wanted("correctness", "split, bits, examples"), (environment,)):
            number, split, bits, examples = checked(row)
            runs[number][0].correctness[split] = (bits, examples)
            found[number] += 1
        if any(found[number] != parts for number, (_, parts) in runs.items()):
            problem = "a series is missing"
            raise sqlite3.DatabaseError(problem)


def _of_wanted(table: str, columns: str) -> str:
    return (
        f"SELECT run, {columns}, {table}.seal FROM wanted JOIN runs USING (cell) JOIN {table} ON run = sequence"  # noqa: S608
        " WHERE environment = ?"
    )


def _origin(connection: sqlite3.Connection, provenance: Mapping[str, Any]) -> int:
    content = json.dumps(dict(provenance), sort_keys=True)
    row = (content, seal(content))
    connection.execute("INSERT OR IGNORE INTO provenance (content, seal) VALUES (?, ?)", row)
    found = connection.execute("SELECT id FROM provenance WHERE content = ?", (content,)).fetchone()
    return int(found[0])


def _save_run(connection: sqlite3.Connection, environment: str, stack: str, run: Run, origin: int) -> bool:
    old = connection.execute(f"{_SELECT} runs WHERE cell = ? AND environment = ?", (run.cell, environment)).fetchone()
    if old:
        known, _ = _run(old)
        if known.status in FINISHED:
            return run.status in FINISHED and _add_series(connection, old, run)
        connection.execute("DELETE FROM runs WHERE sequence = ?", (known.sequence,))
    reason = run.reason.encode(errors="replace").decode()  # SQLite refuses half of a surrogate pair
    content = (
        *(run.cell, environment, run.seed, run.identity, run.status, reason, run.diverged_step),
        *(_real(run.chance), _real(run.constant_loss), _real(run.last_finite_loss), _joined(run.extras), stack, origin),
        *(now(), len(run.series) + len(run.correctness)),
    )
    places = ", ".join("?" * (len(content) + 1))
    query = f"INSERT INTO runs ({_COLUMNS}, seal) VALUES ({places})"  # noqa: S608
    number = int(connection.execute(query, (*content, seal(*content))).lastrowid or 0)
    _save_series(connection, number, run.series)
    rows = ((number, split, packed, examples) for split, (packed, examples) in run.correctness.items())
    connection.executemany("INSERT INTO correctness VALUES (?, ?, ?, ?, ?)", ((*row, seal(*row)) for row in rows))
    _save_weights(connection, number, run.weights)
    return True


def _add_series(connection: sqlite3.Connection, old: tuple[Any, ...], run: Run) -> bool:
    """Put optional series that a finished run lacks beside it; all else of it stays as it is."""
    known, parts = _run(old)
    added = {name: xy for name, xy in run.series.items() if name in run.extras - known.extras}
    if run.extras <= known.extras:
        return False
    _save_series(connection, known.sequence, added)
    _save_weights(connection, known.sequence, run.weights)
    row = dict(zip(_COLUMNS.split(", "), old[1:-1], strict=True))
    row |= {"extras": _joined(known.extras | run.extras), "parts": parts + len(added)}
    change = (row["extras"], row["parts"], seal(*row.values()), known.sequence)
    connection.execute("UPDATE runs SET extras = ?, parts = ?, seal = ? WHERE sequence = ?", change)
    return True


def _save_series(connection: sqlite3.Connection, number: int, series: Mapping[str, Series]) -> None:
    rows = ((number, name, *(each.astype("<f8").tobytes() for each in xy)) for name, xy in series.items())
    connection.executemany("INSERT INTO series VALUES (?, ?, ?, ?, ?)", ((*row, seal(*row)) for row in rows))


def _save_weights(connection: sqlite3.Connection, number: int, content: bytes) -> None:
    """Put a run's weights beside it, where there are any, in a table made when the first are kept."""
    if content:
        connection.execute(_WEIGHTS)
        connection.execute("INSERT OR REPLACE INTO weights VALUES (?, ?, ?)", (number, content, seal(number, content)))


def _run(row: tuple[Any, ...]) -> tuple[Run, int]:
    """Return a row as a run without its arrays, and how many of these it has."""
    content = dict(zip(_COLUMNS.split(", "), checked(row[1:]), strict=True))
    parts = content.pop("parts")
    names = _names(content.pop("extras"))
    told = {name: content[name] for name in content.keys() - {"environment", "stack", "provenance"}}
    return Run(**told, extras=names, sequence=row[0]), parts


def _names(joined: str) -> frozenset[str]:
    return frozenset(filter(None, joined.split(",")))


def _joined(names: frozenset[str]) -> str:
    return ",".join(sorted(names))


def _real(value: float | None) -> float | None:
    """Return a number as SQLite gives it back: NaN is its NULL."""
    return None if value is None or math.isnan(value) else float(value)


def _vector(content: bytes) -> NDArray[np.float64]:
    import numpy as np

    return np.frombuffer(content, dtype="<f8").astype(np.float64)
