"""The open file: made whole or not at all, checked when opened, and every error of the storage told in one sentence."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from d2lbench.core.errors import StoreError
from d2lbench.store import schema

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Self

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

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
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
                schema.create(connection)
            with contextlib.suppress(FileExistsError):  # another process was faster
                os.link(draft, self.path)
        finally:
            draft.unlink(missing_ok=True)

    def _check(self) -> None:
        found = schema.version(self._connection)
        if found != schema.SCHEMA_VERSION:
            age = "a newer" if found > schema.SCHEMA_VERSION else "an older"
            problem = (
                f"{self.path} was written by {age} d2lbench (schema {found}, this one knows {schema.SCHEMA_VERSION}): "
                "use that version (pip install --upgrade d2lbench), or another file with --store"
            )
            raise StoreError(problem)
        schema.verify(self._connection)

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
