"""A folder to run the program in as a person would: real processes, a tiny grid, a store of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from d2lbench.core.environment import environment
from d2lbench.store import Run, Store

ROOT = Path(__file__).resolve().parents[1]

# The tests run in as many processes as there are cores for them: none of them needs a second thread by default.
os.environ.setdefault("OMP_NUM_THREADS", "1")

#: Two structures, so two stacks or more: 24 cells and 16 of checks.
TINY = """
format = 1
title = "Two rates, two widths"
question = "Does a larger rate learn faster?"
seeds = 8
[base]
dataset = { name = "digits", train_size = 60 }
model = { name = "mlp", hidden = [8] }
optimizer = { name = "sgd", lr = 0.1 }
epochs = 2
batch_size = 32
[vary]
optimizer.lr = [0.5]
model.hidden = [[6]]
[[claims]]
id = "larger-is-faster"
kind = "comparison"
origin = "ours"
says = "After two epochs the larger rate has the smaller loss."
source = "us"
metric = "test_loss"
lower = { optimizer.lr = 0.5 }
than = "baseline"
"""

#: 8 arms at 4 seeds, eight cells a stack: four stacks that need no data.
PAUSES = """
format = 1
title = "Pauses"
question = "Is each done once?"
seeds = 4
[base]
experiment = { name = "pause", seconds = 0.05 }
[vary]
experiment.item = [1, 2, 3, 4, 5, 6, 7]
"""

PLUGIN = '''
import time
from typing import Annotated

from annotated_types import Ge

from d2lbench import register


@register("experiment", "pause")
def pause(seed, /, *, seconds: Annotated[float, Ge(0)] = 0.0, item: Annotated[int, Ge(0)] = 0):
    """Wait, then tell a number that seed and item decide, and in which process."""
    time.sleep(seconds)
    return {"number": seed + item / 10}
'''


@pytest.fixture(autouse=True)
def _a_calibration_of_its_own(tmp_path_factory, monkeypatch):
    """No test reads or writes what this machine's user has measured."""
    monkeypatch.setenv("D2LBENCH_CALIBRATION", str(tmp_path_factory.getbasetemp() / "no-calibration"))


@dataclass
class House:
    """A folder with grids in it, where `d2lbench` is run."""

    folder: Path

    def __post_init__(self):
        self.write("tiny.toml", TINY)
        self.write("pauses.toml", PAUSES)
        self.write("pause.py", PLUGIN)

    @property
    def store(self):
        return self.folder / ".d2lbench" / "store.sqlite"

    @property
    def report(self):
        return self.folder / ".d2lbench" / "report" / "report.html"

    def write(self, name, text):
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def start(self, *arguments, **environment_variables):
        clean = {key: value for key, value in os.environ.items() if not key.startswith("D2LBENCH_")}
        return subprocess.Popen(
            [sys.executable, "-m", "d2lbench", *arguments],
            cwd=self.folder,
            env={
                **clean,
                "PYTHONPATH": str(ROOT),
                "COLUMNS": "100",
                "D2LBENCH_CALIBRATION": str(self.folder / "calibration"),
                **environment_variables,
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def run(self, *arguments, timeout=120, **environment_variables):
        process = self.start(*arguments, **environment_variables)
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def rows(self):
        """Return what the store holds: cell → (sequence, moment, status, reason, series as bytes)."""
        if not self.store.exists():
            return {}
        key = environment("cpu").key
        with Store(self.store) as store:
            runs = store.matching(key, "")
        return {
            cell: (
                run.sequence,
                run.stored_at,
                run.status,
                run.reason,
                {name: (x.tobytes(), y.tobytes()) for name, (x, y) in run.series.items()},
            )
            for cell, run in runs.items()
        }

    def wait_for_rows(self, process, count, seconds=60):
        """Wait until the store holds so many rows or the process has ended; return the rows."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            rows = self.rows()
            if len(rows) >= count or process.poll() is not None:
                return rows
            time.sleep(0.02)
        raise TimeoutError


@pytest.fixture
def process():
    """Put back what a harness sets in the process."""
    import torch

    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    torch.set_flush_denormal(False)


@pytest.fixture
def house(tmp_path):
    return House(tmp_path)


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A house where the tiny grid was run to its end, by two workers, with a report: for reading only."""
    house = House(tmp_path_factory.mktemp("trained"))
    done = house.run("run", "tiny.toml", "--jobs", "2")
    assert done.returncode == 0, done.stderr
    house.done = done
    return house


ENVIRONMENT_KEY = "cpu/torch-0.0/test"


def made_run(cell, status="done", *, seed=0, names=("test_loss", "train_loss"), **fields):
    x = np.arange(3.0)
    series = {name: (x, x * (seed + 1) + len(name)) for name in names} if status == "done" else {}
    correctness = {"test": (bytes([seed, 255]), 12)} if status == "done" else {}
    reason = fields.pop("reason", "" if status == "done" else "for a reason")
    made = {"identity": f'{{"cell":"{cell}"}}', "chance": 0.1, "reason": reason, "series": series, **fields}
    return Run(cell=cell, seed=seed, status=status, correctness=correctness, **made)


@pytest.fixture(scope="session")
def make_run():
    return made_run


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "store.sqlite") as opened:
        yield opened


@pytest.fixture(scope="session")
def environment_key():
    return ENVIRONMENT_KEY


@pytest.fixture
def save():
    def saves(store, *runs, stack="stack", provenance=None):
        return store.save(ENVIRONMENT_KEY, stack, runs, provenance or {"commit": "abc"})

    return saves


@pytest.hookimpl(tryfirst=True)  # pytest-xdist reads the groups in the same hook
def pytest_collection_modifyitems(items):
    """Skip what needs a CUDA device where there is none, and say so."""
    marked = [item for item in items if item.get_closest_marker("cuda")]
    if marked:
        import torch

        if not torch.cuda.is_available():
            for item in marked:
                item.add_marker(pytest.mark.skip(reason="torch finds no CUDA device here"))
