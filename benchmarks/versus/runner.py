"""Measuring a row: both sides in turn, the first pair thrown away, everything else kept."""

from __future__ import annotations

import datetime as dt
import gc
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.versus.row import Bounded, Contest, Row, Sample, Scaling, Setting

#: Where the engine keeps what it measures of the machine.
VARIABLE = "D2LBENCH_CALIBRATION"
#: A measured row as it is kept: plain numbers and words.
Measured = dict[str, Any]


def measure(row: Row, *, pairs: int, jobs: int, quick: bool = False, tell: Callable[[str], None] = print) -> Measured:
    """Measure a row and return its raw numbers, with the moment and the revision they were taken at."""
    from d2lbench.core.environment import commit
    from d2lbench.timing.machine import load

    began = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    about = {"measured_at": began, "commit": commit(), "load_before": load(), "quick": quick}
    with tempfile.TemporaryDirectory(prefix="versus-") as folder, calibrated_in(Path(folder) / "calibration"):
        setting = Setting(Path(folder), jobs, quick)
        return about | _MEASURES[type(row)](row, setting, pairs, tell)


@contextmanager
def calibrated_in(folder: Path) -> Iterator[None]:
    """Have the engine keep what it measures of the machine in ``folder``, here and in every process begun here.

    So a row finds no calibration of an earlier run or row, and leaves none behind: it makes its own in the warm-up.
    """
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = before


def _contest(row: Contest, setting: Setting, pairs: int, tell: Callable[[str], None]) -> Measured:
    kept = []
    with row.sides(setting) as (ours, theirs):
        for pair in range(pairs + 1):  # the first warms caches, clocks and worker processes, and is thrown away
            a, b = _timed(ours, pair), _timed(theirs, pair)
            told = f"{row.name}: ours {a.per_unit:.4g}, theirs {b.per_unit:.4g} s per {row.unit}"
            tell(f"{told}: {b.per_unit / a.per_unit:.2f}" + ("" if pair else " (warm-up)"))
            if pair:
                kept.append({"ours": asdict(a), "theirs": asdict(b)})
    return {"kind": "contest", "pairs": kept}


def _timed(side: Callable[[int], Sample], pair: int) -> Sample:
    gc.collect()  # what one side has left is not cleared on the other's time
    return side(pair)


def _bounded(row: Bounded, setting: Setting, pairs: int, tell: Callable[[str], None]) -> Measured:
    rounds = []
    with row.measure(setting) as measured:
        for number in range(min(pairs, row.rounds or pairs)):
            values = dict(measured(number))
            rounds.append(values)
            tell(f"{row.name}: " + ", ".join(f"{name} {value:.4g}" for name, value in values.items()))
    return {"kind": "bounded", "rounds": rounds}


def _scaling(row: Scaling, setting: Setting, pairs: int, tell: Callable[[str], None]) -> Measured:
    ceiling, rounds = row.ceiling(setting), []
    with row.measure(setting) as measured:
        for number in range(min(pairs, row.rounds or pairs)):
            values = {str(width): rate for width, rate in measured(number).items()}
            rounds.append(values)
            tell(f"{row.name}: " + ", ".join(f"M = {width}: {rate:.4g}" for width, rate in values.items()))
    return {"kind": "scaling", "rounds": rounds, "ceiling": ceiling}


_MEASURES: dict[type, Callable[..., Measured]] = {Contest: _contest, Bounded: _bounded, Scaling: _scaling}
