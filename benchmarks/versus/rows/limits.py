"""What planning, storing, progress, memory and the report may take."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.versus import footprint, grids
from benchmarks.versus.commands import timed
from benchmarks.versus.row import Bounded, Limit, Setting

CELLS = 10_000


def _written(folder: Path, name: str, text: str) -> Path:
    path = folder / f"{name}.toml"
    path.write_text(text, encoding="utf-8")
    return path


def many(setting: Setting, folder: Path) -> Path:
    """Write a grid of 10,000 small cells, and return its file: 5 contexts × 20 arms × 100 seeds."""
    return _written(folder, "many", grids.text(grids.MANY, 10 if setting.quick else 100))


@contextmanager
def driver(setting: Setting) -> Iterator[Any]:
    """Run the grid by a driver that counts its own time; each round into a fresh store."""
    grid = many(setting, setting.folder)

    def measured(number: int) -> dict[str, float]:
        store = setting.folder / f"driver{number}.sqlite"
        words = [sys.executable, "-m", "benchmarks.versus.driver", str(grid), str(store), str(setting.jobs)]
        _, done = timed(words)
        told = json.loads(done.stdout.splitlines()[-1])
        spent = {name: 1e3 * told[name] / told["cells"] for name in ("planning", "storing", "rest")}
        allowed = 1e3 * 2 / told["cells"]  # the two seconds, as ms a cell
        return {**spent, "beyond 2 s": max(sum(spent.values()) - allowed, 0.0), "growth": told["growth"],
                "memory": told["memory"]}  # fmt: skip

    yield measured


@contextmanager
def planning(setting: Setting) -> Iterator[Any]:
    """Check a grid of 10,000 cells, which is planned, and one of a million, which is counted."""
    small = many(setting, setting.folder)
    large = _written(setting.folder, "million", grids.text(grids.MANY, 10_000))

    def measured(_: int) -> dict[str, float]:
        found = {}
        for name, path in (("10,000 cells", small), ("1,000,000 cells", large)):
            told = footprint.of_command(["check", str(path)])
            found[f"{name}: time"] = told["seconds"]
            found[f"{name}: memory"] = told["peak"]
            found[f"{name}: torch loaded"] = float(told["torch"])
        return found

    yield measured


@contextmanager
def report(setting: Setting) -> Iterator[Any]:
    """Store 10,000 runs, then write the report from them again and again."""
    grid = many(setting, setting.folder)
    store = setting.folder / "many.sqlite"
    own = [sys.executable, "-m", "d2lbench"]
    words = ["run", str(grid), "--store", str(store), "--no-report", "--yes", "--jobs", str(setting.jobs)]
    timed([*own, *words])

    def measured(number: int) -> dict[str, float]:
        out = setting.folder / f"report{number}"
        words = ["report", str(grid), "--store", str(store), "-o", str(out)]
        seconds, _ = timed([*own, *words])
        assert (out / "report.html").stat().st_size
        return {"time": seconds}

    yield measured


ROWS: tuple[Any, ...] = (
    Bounded(
        "driver",
        "planning, storing and progress of 10,000 cells: 5 widths × 20 rates × 100 seeds of a small network",
        (
            Limit("beyond 2 s", "ms a cell", most=2.0),
            Limit("planning", "ms a cell"),
            Limit("storing", "ms a cell"),
            Limit("rest", "ms a cell"),
            Limit("growth", "MB from first to last stack", most=50.0),
            Limit("memory", "MB at the last stack"),
        ),
        "A real run by worker processes. Planning and storing by the clock, the rest of the driver by processor time.",
        1,
        driver,
    ),
    Bounded(
        "planning",
        "`d2lbench check`, whole process, for 10,000 cells, which are planned, and 1,000,000, which are counted",
        (
            Limit("10,000 cells: time", "s"),
            Limit("10,000 cells: memory", "MB", most=300.0),
            Limit("10,000 cells: torch loaded", "times", most=0.0),
            Limit("1,000,000 cells: time", "s", most=10.0),
            Limit("1,000,000 cells: memory", "MB", most=500.0),
            Limit("1,000,000 cells: torch loaded", "times", most=0.0),
        ),
        "Each by a process of its own that tells its largest resident memory at the end.",
        3,
        planning,
    ),
    Bounded(
        "report",
        "`d2lbench report`, whole process, from 10,000 stored runs of the same grid, with curves and three claims",
        (Limit("time", "s", most=20.0),),
        "The runs are trained and stored before; writing the report is timed.",
        3,
        report,
    ),
)
