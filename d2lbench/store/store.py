"""The store as it is opened: runs, leases, checkpoints, timings and claims behind one SQLite file."""

from __future__ import annotations

from d2lbench.store.database import checked, now, seal
from d2lbench.store.leases import Checkpoints, Leases
from d2lbench.store.runs import Runs
from d2lbench.store.timings import Timings


class Store(Runs, Leases, Checkpoints, Timings):
    """An open store. Use it as a context manager; every method raises :class:`StoreError` when the storage fails."""

    def see_claims(self, seen: list[tuple[str, str, str, str, bool]]) -> None:
        """Note when declarations are first seen: grid, scale, claim, its digest, and whether data were there already.

        A claim first seen after runs that answer it was not made before its data, and is marked so.
        """
        moment = now()
        rows = [(*names, moment, int(has_data)) for *names, has_data in seen]
        with self._transaction() as connection:
            connection.executemany(
                "INSERT OR IGNORE INTO claims VALUES (?, ?, ?, ?, ?, ?, ?)", ((*row, seal(*row)) for row in rows)
            )

    def claim_seen(self, grid: str, scale: str, claim: str, digest: str) -> tuple[str, bool] | None:
        """Return when a declaration was first seen and whether that was after its data; None if never."""
        query = "SELECT * FROM claims WHERE grid = ? AND scale = ? AND claim = ? AND digest = ?"
        with self._guarded("read"):
            row = self._connection.execute(query, (grid, scale, claim, digest)).fetchone()
            if row is None:
                return None
            *_, first_seen, after_data = checked(row)
            return str(first_seen), bool(after_data)
