"""Checkpoints of stacks that are still trained: files in a folder beside the store, too large and short-lived for it.

A worker writes its stack's, the driver discards it with the stack's lease. They save time and hold no result: whatever
becomes of them, the runs in the store are the same.
"""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Final

from d2lbench.store.database import Database

#: A checkpoint that nobody has gone on from for this long, in seconds (30 days), is discarded.
FORGOTTEN_SECONDS: Final = 30 * 86_400.0


class Checkpoints(Database):
    """The part of the store that says where checkpoints lie, and clears them away."""

    @property
    def _folder(self) -> Path:
        return self.path.resolve().with_name(self.path.name + ".checkpoints")

    def checkpoint(self, environment: str, stack: str) -> Path:
        """Return the file, which need not exist, for a stack's training in an environment."""
        return self._folder / f"{environment.replace('/', '-')}-{stack}.safetensors"

    def discard_checkpoint(self, environment: str, stack: str) -> None:
        """Remove a stack's checkpoint, and what processes that died left half written of it."""
        self._remove(list(self._folder.glob(f"*{self.checkpoint(environment, stack).name}*")))

    def discard_forgotten(self) -> None:
        """Remove the checkpoints that nobody has gone on from for a month: their grids have changed."""
        before = time.time() - FORGOTTEN_SECONDS
        self._remove([file for file in self._folder.glob("*.safetensors*") if _written_before(file, before)])

    def _remove(self, files: list[Path]) -> None:
        """Remove files, and the folder with the last of them; what cannot be removed only takes room."""
        for file in files:
            with contextlib.suppress(OSError):
                file.unlink(missing_ok=True)
        if files:
            with contextlib.suppress(OSError):
                self._folder.rmdir()


def _written_before(file: Path, moment: float) -> bool:
    """Say whether a file was written before a moment; one that has just gone was not."""
    try:
        return file.stat().st_mtime < moment
    except OSError:
        return False
