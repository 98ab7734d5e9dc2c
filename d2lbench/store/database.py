"""The file: its tables, made whole or not at all, checked when opened; every error of the storage in one sentence."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import uuid
import zlib
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from d2lbench.core.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

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

#: How long to wait for another process's transaction, in seconds.
PATIENCE: Final = 60.0

_DAMAGED: Final = "the file is damaged or no store: move it away and run again, or restore a copy"
_FULL: Final = "make room or choose another place with --store; finished stacks are kept, run again to go on"
_BUSY: Final = "another process holds it; run again when that has ended"


class Database:
    """One SQLite file and what all parts of the store do with it: guarded reads and transactions."""

    def __init__(self, path: str | Path, *, create: bool = True) -> None:
        self.path = Path(path)
        with self._guarded("opened"):
            if not self.path.exists():
                self._make(create=create)
            if self.path.stat().st_size == 0:
                problem = "it is empty"
                raise sqlite3.DatabaseError(problem)
            self._connection = _connect(self.path)
        try:
            with self._guarded("opened"):
                self._check()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        """Hand out the open store."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Close the file; the store cannot be used afterwards."""
        with contextlib.suppress(sqlite3.Error):  # all that counts was committed
            self._connection.close()

    def _make(self, *, create: bool) -> None:
        """Put a finished empty store in place, so that nobody ever sees half of one."""
        if not create:
            problem = f"no store at {self.path}; `d2lbench run` makes one, --store names another"
            raise StoreError(problem)
        log = self.path.with_name(self.path.name + "-wal")
        if log.exists() and not self.path.exists():
            problem = f"{log} lies there without its store: put the store back beside it, or move it away"
            raise StoreError(problem)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        draft = self.path.with_name(f".{self.path.name}.{uuid.uuid4().hex[:8]}")
        try:
            with contextlib.closing(_connect(draft)) as connection:
                lay_out(connection)
            with contextlib.suppress(FileExistsError):  # another process was faster
                os.link(draft, self.path)
        finally:
            draft.unlink(missing_ok=True)

    def _check(self) -> None:
        written = version(self._connection)
        if written != SCHEMA_VERSION:
            age = "a newer" if written > SCHEMA_VERSION else "an older"
            problem = (
                f"{self.path} was written by {age} d2lbench (schema {written}, this one knows {SCHEMA_VERSION}): "
                "use that version (pip install --upgrade d2lbench), or another file with --store"
            )
            raise StoreError(problem)
        verify(self._connection)

    @contextlib.contextmanager
    def _guarded(self, verb: str) -> Iterator[None]:
        """Turn the storage's own errors into one sentence with the path and the way out."""
        try:
            yield
        except (sqlite3.Error, OSError, UnicodeDecodeError) as error:  # the last: SQLite quotes what it found
            problem = f"{self.path} could not be {verb}: {error}; {_remedy(error)}"
            raise StoreError(problem) from error

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Carry out everything inside, or nothing."""
        with self._guarded("written"):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):  # SQLite has undone it by itself where the disk is full
                    self._connection.execute("ROLLBACK")
                raise


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None)
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = FULL")
    return connection


def _remedy(error: Exception) -> str:
    """Return the way out of an error of the storage."""
    text = str(error)
    if "locked" in text or "busy" in text:
        return _BUSY
    whole = isinstance(error, sqlite3.OperationalError | OSError) and not any(
        word in text for word in ("malformed", "decode", "no such", "not a database")
    )
    return _FULL if whole else _DAMAGED


def now() -> str:
    """Return the moment, to the second, in universal time."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def lay_out(connection: sqlite3.Connection) -> None:
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
    """Check that the tables are the ones that :func:`lay_out` makes, that SQLite finds the file whole, and the seals.

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
