"""`python -m benchmarks.versus.driver GRID STORE JOBS`: run a grid and say what the driver itself took.

The driver is the process that plans, hands stacks to the workers, stores their outcomes and shows progress; the
workers' time is not its own. Storing is counted by the clock, as it waits for the disk; the rest by processor time.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.versus.footprint import memory
from d2lbench.api.session import Request, Session
from d2lbench.running.runner import Runner
from d2lbench.running.work import plan_works
from d2lbench.store import Store


class TimedStore(Store):
    """A store that counts the time spent in what a run calls, and the memory at each saved stack."""

    def __init__(self, path: Path) -> None:
        self.wall = self.processor = 0.0
        self.resident: list[float] = []
        super().__init__(path, create=True)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        wall, processor = time.perf_counter(), time.process_time()
        yield
        self.wall += time.perf_counter() - wall
        self.processor += time.process_time() - processor

    def save(self, *given: Any, **named: Any) -> int:
        """Save a stack's runs."""
        with self._counted():
            added = super().save(*given, **named)
        self.resident.append(memory())
        return added

    def lease_some(self, *given: Any, **named: Any) -> tuple[str, ...]:
        """Take leases."""
        with self._counted():
            return super().lease_some(*given, **named)

    def finished_of(self, *given: Any, **named: Any) -> frozenset[str]:
        """Look whether another process was faster."""
        with self._counted():
            return super().finished_of(*given, **named)

    def discard_checkpoint(self, *given: Any, **named: Any) -> None:
        """Clear away a checkpoint."""
        with self._counted():
            super().discard_checkpoint(*given, **named)


def run(grid: Path, store: Path, jobs: int) -> dict[str, float]:
    """Run a grid and return the driver's seconds for planning, storing and the rest, and its memory in MB."""
    wall, processor = time.perf_counter(), time.process_time()
    session = Session(Request(names=(str(grid),), store=store, jobs=jobs))
    cells = sum(len(work.missing) for work in plan_works(session.grids, {}).works)
    planning, planned = time.perf_counter() - wall, time.process_time() - processor
    processor = time.process_time()
    with TimedStore(store) as kept:
        summary = Runner(kept, jobs=jobs).run(session.grids)
        rest = time.process_time() - processor - kept.processor - planned  # it plans once more
    if summary.counts.get("done", 0) + summary.counts.get("diverged", 0) != cells:
        problem = f"{cells} cells were planned, and ended as {summary.counts}"
        raise RuntimeError(problem)
    return {
        "cells": cells,
        "planning": planning,
        "storing": kept.wall,
        "rest": max(rest, 0.0),
        "growth": kept.resident[-1] - kept.resident[0],
        "memory": kept.resident[-1],
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(run(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))) + "\n")
