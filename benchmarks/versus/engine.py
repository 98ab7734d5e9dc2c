"""Our side: d2lbench's own path from a grid's text to stored runs, by its command or with its workers started."""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.versus.commands import timed
from benchmarks.versus.row import Sample
from d2lbench import catalogue
from d2lbench.core.environment import environment, provenance
from d2lbench.engine import calibration
from d2lbench.engine.gauge import gauge
from d2lbench.engine.plan import Stack, grouped, plan
from d2lbench.grid import load
from d2lbench.running.calibrate import calibrate, due
from d2lbench.running.pool import Finished, Keeping, Pool
from d2lbench.running.runner import checkpoint_seconds
from d2lbench.running.work import plan_works
from d2lbench.store import Store

if TYPE_CHECKING:
    from d2lbench.core.runs import Run
    from d2lbench.core.spec import Cell
    from d2lbench.engine.calibration import Calibration


def grid_of(text: str) -> Any:
    """Return the grid that a text says."""
    return load(text, catalogue.load(), file="versus.toml")


def cells_of(text: str) -> list[Cell]:
    """Return every cell of a grid's text."""
    return list(grid_of(text).cells())


class Workers:
    """Worker processes that stay from run to run, so that a run's time holds none of their start.

    All else of a run is in it: reading the grid, planning, handing over, training, evaluation, probes, checkpoints,
    the store on disk.
    """

    def __init__(self, folder: Path, jobs: int) -> None:
        self._folder, self._environment = folder, environment("cpu").key
        self._pool = Pool(jobs, "cpu", keeping=self._keeping)
        self._numbers, self._seconds = itertools.count(), checkpoint_seconds()
        self._about = {**provenance(), "device": "cpu", "jobs": jobs, "threads": 1}
        self._store: Store

    def run(self, text: str, units_per_cell: float = 1.0) -> Sample:
        """Train a grid into a store of its own; units are cells, or what the caller counts of each."""
        began = time.perf_counter()
        with Store(self._folder / f"{next(self._numbers)}.sqlite", create=True) as self._store:
            grid = grid_of(text)
            known = self._calibrated(list(grid.cells()))
            works = plan_works([grid], {}, calibration=known).works
            for work in works:
                self._pool.submit(work.stack)
            runs = [run for finished in self._finished() for run in self._save(finished)]
        seconds = time.perf_counter() - began
        facts = {"cells": len(runs), "stacks": len(works), **quality(runs)}
        return Sample(seconds, len(runs) * units_per_cell, facts)

    def _calibrated(self, cells: Sequence[Cell]) -> Calibration:
        """Return what is known of this machine, measured first where a run would: in the warm-up, and kept."""
        known = calibration.read()
        groups = due(cells, known) if calibration.folder() else {}
        if groups:
            known = calibrate(groups, self._pool, known, quiet=True)
            calibration.save(known)
        return known

    def _keeping(self, stack: Stack) -> Keeping:
        return Keeping(self._store.checkpoint(self._environment, stack.key), self._seconds)

    def _finished(self) -> Iterator[Finished]:
        while self._pool.busy:
            yield from self._pool.finished(timeout=0.2)

    def _save(self, finished: Finished) -> Sequence[Run]:
        if finished.end != "trained":
            problem = f"a stack ended as {finished.end}: {finished.reason}"
            raise RuntimeError(problem)
        self._store.save(self._environment, finished.stack.key, finished.runs, self._about)
        self._store.discard_checkpoint(self._environment, finished.stack.key)
        return finished.runs

    def stop(self) -> None:
        """End the worker processes."""
        self._pool.stop()


def quality(runs: Sequence[Run]) -> dict[str, float]:
    """Return the mean of the last test accuracy, or of the test loss, over the cells that did not diverge."""
    done = [run.series for run in runs if run.status == "done"]
    name = "test_accuracy" if done and "test_accuracy" in done[0] else "test_loss"
    return {name: sum(float(series[name][1][-1]) for series in done) / len(done)} if done else {}


@contextmanager
def workers(folder: Path, jobs: int) -> Iterator[Workers]:
    """Start worker processes and end them when the block ends."""
    own = Workers(folder, jobs)
    try:
        yield own
    finally:
        own.stop()


def command(text: str, folder: Path, jobs: int) -> Sample:
    """Run a grid by the command line, from a fresh process to the last stored run."""
    folder.mkdir(parents=True, exist_ok=True)
    grid, store = folder / "versus.toml", folder / "store.sqlite"
    grid.write_text(text, encoding="utf-8")
    words = [sys.executable, "-m", "d2lbench", "run", str(grid), "--no-report", "--yes"]
    seconds, _ = timed([*words, "--jobs", str(jobs), "--store", str(store)])
    with Store(store, create=False) as kept:
        return Sample(seconds, len(kept.finished(environment("cpu").key)))


def stack_of(text: str, width: int | None = None) -> Stack:
    """Return the first stack of a grid's text, of the width that a calibrated plan chooses unless one is given."""
    cells, known = cells_of(text), calibration.read()
    if width is None:
        lacking = {key: group for key, group in grouped(cells).items() if known.gauge_of(key) is None}
        found = {calibration.key_of(key): gauge(group, "cpu") for key, group in lacking.items()}
        known = replace(known, gauges={**known.gauges, **found})
    return plan(cells, width=width, calibration=known)[0]
