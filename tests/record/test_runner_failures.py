"""Facts about stacks that fail: memory, dying and hanging workers, errors of their own. The others finish."""

from __future__ import annotations

import os
import signal
import threading
import time

import numpy as np
import pytest

from d2lbench import catalogue, plugins
from d2lbench.engine.outcome import Outcome
from d2lbench.engine.plan import Stack
from d2lbench.grid import load
from d2lbench.runner import Runner
from d2lbench.spec import Cell, Component, Measurement
from d2lbench.store import Store
from d2lbench.workers import Finished, Pool

#: Items: 0 is well; 1 runs out of memory in company; 2 always does; 3 raises; 4 kills its worker; 5 does so once.
TROUBLE = '''
import os
import signal
import sys
from pathlib import Path
from typing import Annotated

from annotated_types import Ge

from d2lbench.registry import register


@register("experiment", "trouble")
def trouble(seed, /, *, item: Annotated[int, Ge(0)] = 0, folder: str = ""):
    """Fail in the way that the item says."""
    flag = Path(folder) / f"{item}-{seed}"
    if item == 2 or (item == 1 and not flag.exists()):
        flag.touch()
        raise MemoryError
    if item == 3:
        raise ValueError("three is not allowed")
    if item == 4 or (item == 5 and not flag.exists()):
        flag.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return {"number": seed}
'''

GRID = """
format = 1
title = "Trouble"
question = "Who is taken along?"
seeds = 8
[base]
experiment = {{ name = "trouble", folder = "{folder}" }}
[vary]
experiment.item = {items}
"""


@pytest.fixture
def ended(tmp_path):
    """Run a grid of troubles to its end; return status and reason by item and seed, and the summary."""

    def runs(items, jobs=2):
        plugin = tmp_path / "trouble_plugin.py"
        plugin.write_text(TROUBLE)
        registry = catalogue.load()
        if "trouble" not in registry.names("experiment"):
            plugins.load([plugin])
        grid = load(GRID.format(folder=tmp_path, items=items), registry, file="trouble.toml")
        with Store(tmp_path / "store.sqlite") as store:
            summary = Runner(store, jobs=jobs, plugins=(plugin,), quiet=True).run([grid])
            found = store.matching(store.environments()[0], "")
        labels = {cell.id: (cell.config.experiment.get("item"), cell.seed) for cell in grid.cells()}
        return {labels[cell]: (run.status, run.reason) for cell, run in found.items()}, summary

    return runs


def test_a_stack_that_runs_out_of_memory_is_halved_until_it_fits_or_is_alone(ended):
    rows, summary = ended([1, 2, 3], jobs=1)
    for seed in range(8):
        assert rows[0, seed] == ("done", "")
        assert rows[1, seed] == ("done", ""), "in smaller stacks it went well"
        assert rows[2, seed] == ("failed", "out of memory")
        status, reason = rows[3, seed]
        assert (status, reason.partition(" (")[0]) == ("failed", "ValueError: three is not allowed")
    assert summary.counts == {"done": 16, "failed": 16}
    assert summary.reasons["out of memory"] == 8
    assert not summary.complete


def test_a_stack_whose_worker_dies_is_tried_once_more_and_only_a_second_death_gives_it_up(ended):
    rows, summary = ended([4, 5])
    by_item = {item: {rows[item, seed] for seed in range(8)} for item in (0, 4, 5)}
    assert by_item[0] == {("done", "")}
    assert by_item[4] == {("failed", "its worker process died or hung, twice")}
    assert summary.counts["failed"] == 8 + sum(rows[5, seed][0] == "failed" for seed in range(8))


def stack_of(seconds, items):
    options = (("item", 0), ("seconds", seconds))
    cells = (Cell(Measurement(Component("experiment", "pause", options, options)), seed) for seed in range(items))
    return Stack(tuple(cells))


@pytest.mark.parametrize(("number", "patience"), [(signal.SIGKILL, 60.0), (signal.SIGSTOP, 3.0)])
def test_a_worker_killed_or_stopped_from_outside_costs_only_a_second_try(house, number, patience):
    pool = Pool(1, "cpu", (house.folder / "pause.py",), patience=patience)
    hit = []

    def strike():
        folder = _worker_folder(pool)
        time.sleep(0.5)
        (worker,) = (int(path.name) for path in folder.iterdir())
        os.kill(worker, number)
        hit.append(worker)

    try:
        pool.submit(stack_of(1.5, 2))
        pool.submit(stack_of(0.0, 3))
        threading.Thread(target=strike, daemon=True).start()
        finished = []
        end = time.monotonic() + 60
        while pool.busy and time.monotonic() < end:
            finished += pool.finished(timeout=0.2)
    finally:
        pool.stop()
    assert hit
    assert sorted((len(done.stack), done.end) for done in finished) == [(2, "trained"), (3, "trained")]


def _worker_folder(pool):
    """Wait until the worker is at work, not only there: it has shown life and loaded everything."""
    from pathlib import Path

    end = time.monotonic() + 60
    while time.monotonic() < end:
        folder = Path(pool._folder.name)
        if any(folder.iterdir()):
            return folder
        time.sleep(0.05)
    raise TimeoutError


class ScriptedPool:
    """Stands in for the workers: outcomes without processes, out of memory above a width."""

    widest = 2
    widths: list[int] = []

    def __init__(self, *_):
        self._queue = []

    @property
    def busy(self):
        return len(self._queue)

    def submit(self, stack):
        self._queue.append(stack)

    def finished(self, timeout):
        del timeout
        queue, self._queue = self._queue, []
        for stack in queue:
            self.widths.append(len(stack))
            if len(stack) > self.widest:
                yield Finished(stack, end="memory", reason="out of memory")
            else:
                series = {"number": (np.zeros(1), np.ones(1))}
                yield Finished(stack, tuple(Outcome(cell.id, "done", series=series) for cell in stack.cells))

    def stop(self):
        self._queue.clear()


def test_halving_goes_on_until_the_width_fits(monkeypatch, store, tmp_path):
    monkeypatch.setattr("d2lbench.runner.Pool", ScriptedPool)
    monkeypatch.setattr(ScriptedPool, "widths", [])
    registry = catalogue.load()
    if "trouble" not in registry.names("experiment"):
        (tmp_path / "trouble_plugin.py").write_text(TROUBLE)
        plugins.load([tmp_path / "trouble_plugin.py"])
    grid = load(GRID.format(folder="x", items=[1]), registry, file="trouble.toml")
    summary = Runner(store, jobs=1, quiet=True).run([grid])
    assert summary.counts == {"done": 16}
    assert set(ScriptedPool.widths) == {8, 4, 2}
    assert not store._connection.execute("SELECT * FROM leases").fetchall(), "no lease is left behind"
