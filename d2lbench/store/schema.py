"""What the file looks like inside, and how a reader makes sure that it still looks like that."""

from __future__ import annotations

import sqlite3
import zlib
from typing import Any, Final

SCHEMA_VERSION: Final = 1

#: Every row that a reader believes carries a seal, the check sum of its content: SQLite notices torn pages by itself,
#: but not one flipped bit inside a number.
TABLES: Final = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE provenance (id INTEGER PRIMARY KEY, content TEXT NOT NULL UNIQUE, seal INTEGER NOT NULL)",
    """CREATE TABLE runs (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    cell TEXT NOT NULL, environment TEXT NOT NULL, seed INTEGER NOT NULL, identity TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('done', 'diverged', 'failed', 'skipped')),
    reason TEXT NOT NULL, diverged_step INTEGER, chance REAL, constant_loss REAL, last_finite_loss REAL,
    extras TEXT NOT NULL, stack TEXT NOT NULL, provenance INTEGER NOT NULL REFERENCES provenance (id),
    stored_at TEXT NOT NULL, parts INTEGER NOT NULL, seal INTEGER NOT NULL,
    UNIQUE (cell, environment)
)""",
    """CREATE TABLE series (
    run INTEGER NOT NULL REFERENCES runs (sequence) ON DELETE CASCADE,
    name TEXT NOT NULL, x BLOB NOT NULL, y BLOB NOT NULL, seal INTEGER NOT NULL, PRIMARY KEY (run, name)
) WITHOUT ROWID""",
    """CREATE TABLE correctness (
    run INTEGER NOT NULL REFERENCES runs (sequence) ON DELETE CASCADE,
    split TEXT NOT NULL, bits BLOB NOT NULL, examples INTEGER NOT NULL, seal INTEGER NOT NULL, PRIMARY KEY (run, split)
) WITHOUT ROWID""",
    "CREATE TABLE leases (stack TEXT PRIMARY KEY, owner TEXT NOT NULL, beat REAL NOT NULL) WITHOUT ROWID",
    """CREATE TABLE claims (
    grid TEXT NOT NULL, scale TEXT NOT NULL, claim TEXT NOT NULL, digest TEXT NOT NULL,
    first_seen TEXT NOT NULL, after_data INTEGER NOT NULL, seal INTEGER NOT NULL,
    PRIMARY KEY (grid, scale, claim, digest)
) WITHOUT ROWID""",
)

#: The sealed columns of each table that is checked whole when the file is opened; the long ones are when they are read.
SEALED: Final = {
    "provenance": "content",
    "runs": (
        "cell, environment, seed, identity, status, reason, diverged_step, chance, constant_loss, last_finite_loss,"
        " extras, stack, provenance, stored_at, parts"
    ),
    "claims": "grid, scale, claim, digest, first_seen, after_data",
}


def create(connection: sqlite3.Connection) -> None:
    """Lay out an empty file."""
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("BEGIN IMMEDIATE")
    for statement in TABLES:
        connection.execute(statement)
    connection.execute("INSERT INTO meta VALUES ('schema', ?)", (str(SCHEMA_VERSION),))
    connection.execute("COMMIT")


def seal(*content: object) -> int:
    """Return the check sum of a row's content, as SQLite gives it back."""
    return zlib.crc32(repr(content).encode())


def checked(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return a row without the seal that ends it.

    Raises
    ------
    sqlite3.DatabaseError
        The row is not what was written.
    """
    if row[-1] != seal(*row[:-1]):
        problem = "a row is not what was written"
        raise sqlite3.DatabaseError(problem)
    return row[:-1]


def version(connection: sqlite3.Connection) -> int:
    """Return the schema's version as the file gives it.

    Raises
    ------
    sqlite3.DatabaseError
        The file gives none: it is damaged, or another program's.
    """
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone():
        problem = "it holds no store"
        raise sqlite3.DatabaseError(problem)
    row = connection.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone()
    if row is None or not str(row[0]).isdecimal():
        problem = "its version is not readable"
        raise sqlite3.DatabaseError(problem)
    return int(row[0])


def verify(connection: sqlite3.Connection) -> None:
    """Check that the tables are the ones that :func:`create` makes, that SQLite finds the file whole, and the seals.

    Raises
    ------
    sqlite3.DatabaseError
        They are not.
    """
    found = {row[0] for row in connection.execute("SELECT sql FROM sqlite_master WHERE type = 'table'")}
    if not found.issuperset(TABLES):
        problem = "its tables are not a store's"
        raise sqlite3.DatabaseError(problem)
    verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if verdict != "ok":
        raise sqlite3.DatabaseError(verdict)
    for table, columns in SEALED.items():
        for row in connection.execute(f"SELECT {columns}, seal FROM {table}"):  # noqa: S608  (our own names)
            checked(row)
    lost = "SELECT 1 FROM runs LEFT JOIN provenance ON id = provenance WHERE id IS NULL LIMIT 1"
    if connection.execute(lost).fetchone():
        problem = "a row is missing"
        raise sqlite3.DatabaseError(problem)
