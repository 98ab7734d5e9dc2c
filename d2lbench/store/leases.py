"""Work in hand: who trains which stack, and where the checkpoints of trainings lie.

A lease keeps processes that share a store off each other's stacks, and ends when its holder does. Checkpoints are files
in a folder beside the store, too large and short-lived for it: a worker writes its stack's, the driver discards it with
the stack's lease. They save time and hold no result: whatever becomes of them, the runs in the store are the same.
"""

from __future__ import annotations

import contextlib
import os
import platform
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Final

from d2lbench.core.seeding import key_integer
from d2lbench.store.database import Database

if TYPE_CHECKING:
    from collections.abc import Iterable

#: A lease whose holder has not been heard of for this long, in seconds, is free again.
LEASE_SECONDS: Final = 120.0
#: A checkpoint that nobody has gone on from for this long, in seconds (30 days), is discarded.
FORGOTTEN_SECONDS: Final = 30 * 86_400.0


class Leases(Database):
    """The part of the store that says who works on which stack."""

    def lease_some(self, stacks: Iterable[str], owner: str, most: int) -> tuple[str, ...]:
        """Take the first ``most`` of the stacks that nobody else holds, and return them."""
        moment = time.time()
        taken: list[str] = []
        with self._transaction() as connection:
            for stack in stacks:
                if len(taken) == most:
                    break
                row = connection.execute("SELECT owner, beat FROM leases WHERE stack = ?", (stack,)).fetchone()
                if row is None or row[0] == owner or _is_free(str(row[0]), row[1], moment):
                    connection.execute("INSERT OR REPLACE INTO leases VALUES (?, ?, ?)", (stack, owner, moment))
                    taken.append(stack)
        return tuple(taken)

    def beat(self, owner: str) -> None:
        """Say that the owner is alive: renews all its leases."""
        with self._transaction() as connection:
            connection.execute("UPDATE leases SET beat = ? WHERE owner = ?", (time.time(), owner))

    def release(self, owner: str, stack: str | None = None) -> None:
        """Give back one lease of the owner, or all."""
        with self._transaction() as connection:
            connection.execute("DELETE FROM leases WHERE owner = ? AND ? IN (stack, '')", (owner, stack or ""))


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
        before, forgotten = time.time() - FORGOTTEN_SECONDS, []
        for file in self._folder.glob("*.safetensors*"):
            with contextlib.suppress(OSError):  # it has just gone
                if file.stat().st_mtime < before:
                    forgotten.append(file)
        self._remove(forgotten)

    def _remove(self, files: list[Path]) -> None:
        """Remove files, and the folder with the last of them; what cannot be removed only takes room."""
        for file in files:
            with contextlib.suppress(OSError):
                file.unlink(missing_ok=True)
        if files:
            with contextlib.suppress(OSError):
                self._folder.rmdir()


def this_owner() -> str:
    """Return a name for this process under which it holds leases: where it lives, its number, when it began."""
    return f"{_place()}:{os.getpid()}:{_began(os.getpid())}:{uuid.uuid4().hex[:8]}"


def _is_free(owner: str, beat: object, moment: float) -> bool:
    """Say whether a lease has run out, whichever way the clock was set, or its holder, of this machine, has ended."""
    if not isinstance(beat, float) or not abs(moment - beat) < LEASE_SECONDS:
        return True
    place, number, began = [*owner.split(":"), "", ""][:3]
    return place == _place() and number.isdecimal() and _began(int(number)) != began


def _place() -> str:
    """Return what tells machines, and containers on them, apart, so that a process number means one process."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
        space = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        boot = space = ""
    return f"{key_integer(platform.node(), boot, space):016x}"


def _began(process: int) -> str:
    """Return when a process began, in ticks since the machine did; nothing where there is no such process."""
    try:
        status = Path(f"/proc/{process}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return "" if Path("/proc/self/stat").exists() else "unknown"
    fields = status.rpartition(")")[2].split()  # the name before may hold anything: state, parent, …, start time
    return "" if fields[0] == "Z" else fields[19]
