"""Facts about stacks that fail: memory, dying and hanging workers, errors of their own. The others finish."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from d2lbench import catalogue
from d2lbench.catalogue import plugins
from d2lbench.core.runs import Run
from d2lbench.core.spec import Cell, Component, Measurement
from d2lbench.engine.plan import Stack
from d2lbench.grid import load
from d2lbench.running.pool import Finished, Pool
from d2lbench.running.runner import Runner
from d2lbench.store import Store

#: Eight items a seed and eight cells a stack, so a stack a seed. Seed 0 is well; seed 1 runs out of memory three times,
#: seed 2 always; of seed 3 one item raises; of seed 5 the worker dies, of seed 6 it dies once.
TROUBLE = '''
import os
import signal
import time
from pathlib import Path
from typing import Annotated

from annotated_types import Ge

from d2lbench import register


@register("experiment", "trouble")
def trouble(seed, /, *, item: Annotated[int, Ge(0)] = 0, folder: str = ""):
    """Fail in the way that the seed says."""
    (Path(folder) / f"{seed}-{item}-{time.monotonic_ns()}").touch()
    times = len(list(Path(folder).glob(f"{seed}-*")))
    if seed == 2 or (seed == 1 and times < 4):
        raise MemoryError
    if seed == 3 and item == 3:
        raise ValueError("three is not allowed")
    if seed == 5 or (seed == 6 and times == 1):
        os.kill(os.getpid(), signal.SIGKILL)
    return {"number": seed}
'''

GRID = """
format = 1
title = "Trouble"
question = "Who is taken along?"
seeds = {seeds}
[base]
experiment = {{ name = "trouble", folder = "{folder}" }}
[vary]
experiment.item = [1, 2, 3, 4, 5, 6, 7]
"""


def registered(tmp_path):
    """Return the registry with the trouble in it, and the plugin that workers load it from."""
    plugin = tmp_path / "trouble_plugin.py"
    plugin.write_text(TROUBLE)
    registry = catalogue.load()
    if "trouble" not in registry.names("experiment"):
        plugins.load([plugin])
    return registry, plugin


@pytest.fixture
def ended(tmp_path):
    """Run seeds of trouble to their end; return states and reasons by seed and item, and the summary."""

    def runs(seeds):
        registry, plugin = registered(tmp_path)
        grid = load(GRID.format(folder=tmp_path, seeds=seeds), registry, file="trouble.toml")
        with Store(tmp_path / "store.sqlite") as store:
            summary = Runner(store, jobs=1, plugins=(plugin,), quiet=True).run([grid])
            found = store.matching(store.environments()[0], "")
        rows = {seed: [("", "")] * 8 for seed in seeds}
        for cell in grid.cells():
            rows[cell.seed][cell.config.experiment.get("item")] = (found[cell.id].status, found[cell.id].reason)
        return rows, summary

    return runs


def test_a_stack_that_runs_out_of_memory_is_halved_until_it_fits_or_is_alone(ended):
    rows, summary = ended([0, 1, 2, 3])
    assert rows[0] == [("done", "")] * 8
    assert rows[1] == [("done", "")] * 8, "in smaller stacks it went well"
    assert rows[2] == [("failed", "out of memory")] * 8
    assert rows[3][:3] + rows[3][4:] == [("done", "")] * 7, "an experiment's error is its own"
    assert rows[3][3][1].startswith("ValueError: three is not allowed (trouble, line ")
    assert summary.counts == {"done": 23, "failed": 9}
    assert summary.reasons["out of memory"] == 8
    assert not summary.complete


@pytest.mark.slow
def test_a_stack_whose_worker_dies_is_tried_once_more_and_only_a_second_death_gives_it_up(ended):
    rows, summary = ended([0, 5, 6, 7])
    assert rows[5] == [("failed", "its worker process died or hung, twice")] * 8
    assert rows[0] == rows[6] == rows[7] == [("done", "")] * 8
    assert summary.counts == {"done": 24, "failed": 8}


def stack_of(seconds, items):
    options = (("item", 0), ("seconds", seconds))
    cells = (Cell(Measurement(Component("experiment", "pause", options, options)), seed) for seed in range(items))
    return Stack(tuple(cells))


@pytest.mark.slow
def test_a_worker_that_hangs_is_ended_and_its_stack_tried_once_more(house):
    pool = Pool(1, "cpu", (house.folder / "pause.py",), patience=3.0)
    hit = []

    def strike():
        folder = _worker_folder(pool)
        time.sleep(0.2)
        (worker,) = (int(path.name) for path in folder.glob("[0-9]*"))
        os.kill(worker, signal.SIGSTOP)
        hit.append(worker)

    try:
        pool.submit(stack_of(1.0, 2))
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
    end = time.monotonic() + 60
    while time.monotonic() < end:
        folder = Path(pool._folder.name)
        if any(folder.glob("begun-*")):
            return folder
        time.sleep(0.05)
    raise TimeoutError


class ScriptedPool:
    """Stands in for the workers: runs without processes, out of memory above a width."""

    widest = 2
    widths: ClassVar[list[int]] = []

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
                runs = (Run(cell.id, cell.seed, cell.identity, "done", series=series) for cell in stack.cells)
                yield Finished(stack, tuple(runs))

    def stop(self):
        self._queue.clear()


def test_halving_goes_on_until_the_width_fits(monkeypatch, store, tmp_path):
    monkeypatch.setattr("d2lbench.running.runner.Pool", ScriptedPool)
    monkeypatch.setattr(ScriptedPool, "widths", [])
    registry, _ = registered(tmp_path)
    grid = load(GRID.format(folder="x", seeds=[0, 1]), registry, file="trouble.toml")
    summary = Runner(store, jobs=1, quiet=True).run([grid])
    assert summary.counts == {"done": 16}
    assert set(ScriptedPool.widths) == {8, 4, 2}
    assert not store._connection.execute("SELECT * FROM leases").fetchall(), "no lease is left behind"
