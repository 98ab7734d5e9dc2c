"""Run what a set of grids needs and the store lacks: resume, isolate failures, report progress, stop cleanly."""

from __future__ import annotations

import contextlib
import math
import os
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from d2lbench.core.environment import environment, provenance
from d2lbench.core.errors import CalibrationError, StoreError, UsageError, shown
from d2lbench.core.interrupts import Stop
from d2lbench.core.progress import Progress
from d2lbench.core.runs import FINISHED, Run, Status
from d2lbench.core.spec import Measurement
from d2lbench.engine import calibration
from d2lbench.engine.plan import structure
from d2lbench.running.calibrate import calibrate, due
from d2lbench.running.pool import Finished, Keeping, Pool
from d2lbench.running.work import Work, halves, plan_works
from d2lbench.store import Store, this_owner

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from d2lbench.core.spec import Cell
    from d2lbench.engine.calibration import Calibration
    from d2lbench.engine.plan import Stack
    from d2lbench.grid.model import Grid

#: How often the driver renews its leases, in seconds.
BEAT_SECONDS = 10.0
#: How long it waits for a worker before it looks whether somebody wants it to stop, in seconds.
LOOK_SECONDS = 0.2
#: How long an interrupted run waits for the ends of epochs, in seconds.
WIND_DOWN_SECONDS = 3.0
#: How often a stack's training is kept at most, in seconds, where D2LBENCH_CHECKPOINT_SECONDS does not say.
CHECKPOINT_SECONDS = 30.0
#: How long it leaves stacks alone that another process holds, in seconds.
REFUSED_SECONDS = 1.0


@dataclass
class Summary:
    """What a run did: how many cells ended in which state, over all grids, and why some did not finish."""

    planned: int = 0
    stored_before: int = 0
    continued: int = 0  # stacks that went on from a checkpoint
    counts: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)

    def add(self, status: str, reason: str = "", cells: int = 1) -> None:
        """Count cells that ended in ``status``."""
        self.counts[status] = self.counts.get(status, 0) + cells
        if status not in FINISHED:
            self.reasons[reason] = self.reasons.get(reason, 0) + cells

    @property
    def complete(self) -> bool:
        """Whether every planned cell has a result."""
        return not self.reasons


@dataclass
class Runner:
    """One run: the plan of all grids, carried out by worker processes into one store."""

    store: Store
    device: str = "cpu"
    jobs: int | None = None
    plugins: tuple[Path, ...] = ()
    quiet: bool = False
    summary: Summary = field(default_factory=Summary)

    def __post_init__(self) -> None:
        """Name the environment and the holder of the leases, and read how often training is kept."""
        self._environment = environment(self.device).key
        self._owner = this_owner()
        self._seconds = checkpoint_seconds()
        self._provenance: dict[str, Any] = {}
        self._running: dict[str, Work] = {}
        self._works: dict[str, Work] = {}
        self._known, self._jobs = calibration.uncalibrated(self.device), self.jobs or 1
        self._beaten = self._refused = 0.0

    def run(self, grids: Sequence[Grid]) -> Summary:
        """Train what the store lacks and return the summary.

        Raises
        ------
        StoreError
            The storage failed; everything stored before is kept.
        KeyboardInterrupt
            Ctrl-C or SIGTERM: finished stacks are stored, the others left for the next run.
        """
        finished = self.store.finished(self._environment)
        trained = (cell for grid in grids if not grid.is_timed for cell in grid.cells())  # kernels are timed elsewhere
        self._known = self._calibrated([cell for cell in trained if cell.id not in finished])
        self._jobs = self.jobs or self._known.processes
        found = plan_works(grids, finished, self.device, self._known)
        self.summary.planned, self.summary.stored_before = found.planned, found.stored
        self._provenance = {**provenance(), "device": self.device, "jobs": self._jobs, "threads": 1}
        if found.without_data:
            self._save([_without_result(cell, "skipped", reason) for cell, reason in found.without_data])
        if found.works:
            self._works = {work.stack.key: work for work in found.works}
            cells = sum(len(work.missing) for work in found.works)
            self.store.discard_forgotten()
            with Progress(cells, quiet=self.quiet) as progress, Stop() as stop:
                self._carry_out(progress, stop)
        return self.summary

    def _calibrated(self, left: Sequence[Cell]) -> Calibration:
        """Return what is known of this machine, after measuring what a long run had better know."""
        known = calibration.read(self.device)
        groups = due(left, known) if calibration.folder() else {}
        if groups:
            pool = Pool(self.jobs or known.processes, self.device, self.plugins)
            try:
                known = calibrate(groups, pool, known, quiet=self.quiet)
                calibration.save(known, self.device)
            except CalibrationError as error:  # this run has it all the same
                sys.stderr.write(f"d2lbench: {error}\n")
            finally:
                pool.stop()
        return known

    def _carry_out(self, progress: Progress, stop: Stop) -> None:
        pool = Pool(min(self._jobs, len(self._works)), self.device, self.plugins, self._keeping)
        try:
            while self._works or pool.busy:
                self._feed(pool, progress)
                if not pool.busy and self._works:  # another process holds all that is left
                    time.sleep(LOOK_SECONDS)
                for finished in pool.finished(timeout=LOOK_SECONDS):
                    self._settle(finished, progress)
                if stop.asked:
                    for finished in pool.wind_down(WIND_DOWN_SECONDS):
                        self._settle(finished, progress)
                    raise KeyboardInterrupt
                if time.monotonic() - self._beaten > BEAT_SECONDS:
                    self.store.beat(self._owner)
                    self._beaten = time.monotonic()
        finally:
            pool.stop()
            with contextlib.suppress(StoreError):  # a lease that cannot be given back ends with this process
                self.store.release(self._owner)

    def _keeping(self, stack: Stack) -> Keeping:
        return Keeping(self.store.checkpoint(self._environment, stack.key), self._seconds)

    def _feed(self, pool: Pool, progress: Progress) -> None:
        """Keep one stack waiting behind each worker, passing over what another process holds."""
        room = self._jobs + 1 - pool.busy
        if room <= 0 or not self._works or time.monotonic() - self._refused < REFUSED_SECONDS:
            return
        leased = self.store.lease_some(self._works, self._owner, room)
        if len(leased) < min(room, len(self._works)):
            self._refused = time.monotonic()
        for key in leased:
            work = self._works.pop(key)
            present = self.store.finished_of(self._environment, work.missing, work.stack.series)
            if present == work.missing:  # another process was faster
                self.store.release(self._owner, key)
                self.store.discard_checkpoint(self._environment, key)
                self.summary.stored_before += len(present)
                progress.advance(len(present), work.grid)
            else:
                self._running[key] = work
                pool.submit(work.stack)

    def _settle(self, finished: Finished, progress: Progress) -> None:
        """Store what became of a stack, and clear away what was kept of its training."""
        work = self._running.pop(finished.stack.key)
        for note in finished.notes:
            progress.tell(note)
        if finished.end == "stopped":
            return
        # Cells that share no program (experiments) fail each for itself: its neighbours are tried without it.
        apart = finished.end == "failed" and isinstance(work.stack.cells[0].config, Measurement)
        if len(work.stack) > 1 and (finished.end == "memory" or apart):
            self._works = {part.stack.key: part for part in halves(work)} | self._works
            self.store.release(self._owner, work.stack.key)
            self.store.discard_checkpoint(self._environment, work.stack.key)
            return
        runs = finished.runs
        if finished.end == "trained":
            self.summary.continued += finished.continued
        else:
            status: Status = "skipped" if finished.end == "data" else "failed"
            runs = tuple(_without_result(cell, status, finished.reason) for cell in work.stack.cells)
        self._save([run for run in runs if run.cell in work.missing], work.stack)
        self.store.discard_checkpoint(self._environment, work.stack.key)
        progress.advance(len(work.missing), work.grid)

    def _save(self, rows: Sequence[Run], stack: Stack | None = None) -> None:
        """Store rows with what they were made with: the width of their stack, too, as it decides the last bits."""
        made = self._provenance
        if stack is not None:
            known = self._known.gauge_of(structure(stack.cells[0].config)) is not None
            made = {**made, "stack width": len(stack), "calibrated": known}
        self.store.save(self._environment, stack.key if stack else "", rows, made)
        for row in rows:
            self.summary.add(row.status, row.reason)


def checkpoint_seconds() -> float:
    """Return how often a stack's training is kept at most, in seconds: ``$D2LBENCH_CHECKPOINT_SECONDS``, else 30.

    Raises
    ------
    UsageError
        It is no number of seconds.
    """
    given = os.environ.get("D2LBENCH_CHECKPOINT_SECONDS", "") or str(CHECKPOINT_SECONDS)
    try:
        seconds = float(given)
    except ValueError:
        seconds = math.nan
    if not seconds >= 0:
        problem = f"D2LBENCH_CHECKPOINT_SECONDS: given {shown(given)}; allowed: a number of seconds ≥ 0, inf for never"
        raise UsageError(problem)
    return seconds


def _without_result(cell: Cell, status: Status, reason: str) -> Run:
    return Run(cell.id, cell.seed, cell.identity, status, reason)
