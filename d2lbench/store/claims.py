"""Claims: when each was first seen, and whether data that answer it were there already."""

from __future__ import annotations

from d2lbench.store.database import Database, now
from d2lbench.store.schema import checked, seal


class Claims(Database):
    """The part of the store that remembers which claims were made before their data."""

    def see_claim(self, grid: str, scale: str, claim: str, digest: str, *, has_data: bool) -> None:
        """Note the moment a declaration is first seen, and whether runs that answer it were there already."""
        self.see_claims([(grid, scale, claim, digest, has_data)])

    def see_claims(self, seen: list[tuple[str, str, str, str, bool]]) -> None:
        """Note several at once: grid, scale, claim, its digest, and whether there were data."""
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
