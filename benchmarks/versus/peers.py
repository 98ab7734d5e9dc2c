"""Whole processes that train the same cells: benchopt, and two loky workers with the plain loop."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.versus.commands import timed
from benchmarks.versus.row import Sample

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Peer:
    """A command that trains the tasks a JSON file lists and stores its results; ``stored`` counts these."""

    name: str
    says: str
    at_least: Mapping[int, float]
    needs: tuple[str, ...]
    words: Callable[[Path, Path, int], Sequence[str]]
    stored: Callable[[Path], int]

    def __call__(self, tasks: Path, folder: Path, jobs: int) -> Sample:
        """Run the command and return what it took, in cells stored."""
        folder.mkdir(parents=True, exist_ok=True)
        seconds, _ = timed(self.words(tasks, folder, jobs))
        return Sample(seconds, self.stored(folder))


def _loky_words(tasks: Path, folder: Path, jobs: int) -> Sequence[str]:
    return [sys.executable, "-m", "benchmarks.versus.processes", str(tasks), str(folder / "curves.json"), str(jobs)]


def _loky_stored(folder: Path) -> int:
    return len(json.loads((folder / "curves.json").read_text(encoding="utf-8")))


def benchopt_names(tasks: Sequence[Mapping[str, Any]]) -> tuple[str, list[str]]:
    """Return the dataset and the solvers of tasks as benchopt's command line selects them, arms in order."""
    seeds = list(dict.fromkeys(int(task["seed"]) for task in tasks))
    arms = dict.fromkeys(arm_of(task) for task in tasks)
    (epochs,) = {task["epochs"] for task in tasks}
    return f"Digits[seed={seeds}]", [f"Resident[arm={arm},epochs={epochs}]" for arm in arms]


def arm_of(task: Mapping[str, Any]) -> str:
    """Return an optimizer with its rate and momentum as one word: ``sgd-0.1-0.9``."""
    options = task["options"]
    return "-".join([task["optimizer"], str(options["lr"]), str(options.get("momentum", 0.0))])


def _benchopt_words(tasks: Path, folder: Path, jobs: int) -> Sequence[str]:
    dataset, solvers = benchopt_names(json.loads(tasks.read_text(encoding="utf-8")))
    chosen = [word for solver in solvers for word in ("-s", solver)]
    once = ["-n", "1", "-r", "1", "-j", str(jobs), "--no-plot", "--no-html", "--no-cache"]
    where = ["--output", str(folder / "results.parquet")]
    return [
        sys.executable,
        "-m",
        "benchopt",
        "run",
        str(HERE / "benchopt_digits"),
        "-d",
        dataset,
        *chosen,
        *once,
        *where,
    ]


def _benchopt_stored(folder: Path) -> int:
    import pandas as pd

    table = pd.read_parquet(folder / "results.parquet")
    return int(table["objective_value"].notna().sum())


LOKY = Peer(
    "loky",
    "two loky processes (joblib), each with the plain loop on resident data, one thread; curves written as JSON",
    {60: 1.0, 600: 2.5},
    (),
    _loky_words,
    _loky_stored,
)
BENCHOPT = Peer(
    "benchopt",
    "benchopt 1.10, one process a core, its solver the same plain loop, one thread; no cache, no plots",
    {60: 2.0, 600: 6.0},
    ("benchopt",),
    _benchopt_words,
    _benchopt_stored,
)
PEERS = (BENCHOPT, LOKY)
