"""Final weights, for grids that keep them: a safetensors file a run, in a table made when the first is kept."""

from __future__ import annotations

import sqlite3
from typing import Final

from d2lbench.store.database import Database
from d2lbench.store.schema import checked, seal

_TABLE: Final = """CREATE TABLE IF NOT EXISTS weights (
    run INTEGER PRIMARY KEY REFERENCES runs (sequence) ON DELETE CASCADE, content BLOB NOT NULL, seal INTEGER NOT NULL
)"""


def save_weights(connection: sqlite3.Connection, number: int, content: bytes) -> None:
    """Put a run's weights beside it; nothing where there are none."""
    if content:
        connection.execute(_TABLE)
        connection.execute("INSERT OR REPLACE INTO weights VALUES (?, ?, ?)", (number, content, seal(number, content)))


class Weights(Database):
    """The part of the store that holds final weights."""

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
