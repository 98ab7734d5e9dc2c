"""Measuring this machine where that pays: what the structures of a plan cost, and how many processes do most."""

from __future__ import annotations

import math
from concurrent.futures import as_completed
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from d2lbench.core.progress import Progress
from d2lbench.core.spec import Measurement
from d2lbench.engine import calibration
from d2lbench.engine.plan import grouped, structure

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from d2lbench.core.spec import Cell
    from d2lbench.engine.calibration import Calibration, Gauge
    from d2lbench.engine.plan import Groups, Stack
    from d2lbench.running.pool import Pool

#: A run measures a structure first where its cells would take this many seconds by the rule of thumb: it takes one.
WORTHWHILE: Final = 30.0
#: The most cells of a structure that a worker is handed to measure it.
HANDED: Final = 256
#: As many processes as there are cores are taken unless fewer do clearly more together, by this factor.
CLEARLY: Final = 1.25


def due(cells: Iterable[Cell], known: Calibration, *, least: float = WORTHWHILE) -> Groups:
    """Return the cells by structure, where one is not known and its training takes ``least`` seconds or more."""
    groups = {key: group for key, group in grouped(cells).items() if known.gauge_of(key) is None}
    return {
        key: group
        for key, group in groups.items()
        if not least or (not isinstance(group[0].config, Measurement) and known.seconds(group, key) >= least)
    }


def calibrate(groups: Groups, pool: Pool, known: Calibration, *, quiet: bool = False) -> Calibration:
    """Measure structures in worker processes and return what was found with what was known; keeps nothing.

    A structure that cannot be measured (its data are missing, or memory runs out) stays unknown: what is wrong with
    it is said when it is trained.
    """
    found: dict[str, Gauge] = {}
    futures = {}
    for key, group in groups.items():
        count = min(len(group), HANDED)  # cells spread evenly over the structure's rows
        cells = tuple(group[part * len(group) // count] for part in range(count))
        futures[pool.call(_gauge, cells, pool.device)] = key
    with Progress(len(futures), unit="structures measured", quiet=quiet) as progress:
        for future in as_completed(futures):
            if future.exception() is None:
                found[calibration.key_of(futures[future])] = future.result()
            progress.advance(1, "calibration")
    whole = replace(known, gauges={**known.gauges, **found})
    if found and not known.crowd and pool.device == "cpu" and known.processes > 1:
        whole = _with_crowd(whole, max(groups.values(), key=len), pool)
    return whole


def _gauge(cells: Sequence[Cell], device: str) -> Gauge:
    from d2lbench.engine.gauge import gauge

    return gauge(cells, device)


def _with_crowd(known: Calibration, group: Sequence[Cell], pool: Pool) -> Calibration:
    """Find out how many processes take most steps a second together: each core may share its units with another."""
    steps: dict[int, float] = {}
    for processes in sorted({math.ceil(calibration.cores() / 2), calibration.cores()}):
        futures = [pool.call(_steps_a_second, group[:1], pool.device) for _ in range(processes)]
        if any(future.exception() for future in futures):
            return known
        steps[processes] = sum(future.result() for future in futures)
    most = max(steps)
    fewer = max(steps, key=lambda count: steps[count])
    return replace(known, crowd=steps, processes=fewer if steps[fewer] > CLEARLY * steps[most] else most)


def _steps_a_second(cells: Sequence[Cell], device: str) -> float:
    from d2lbench.engine.gauge import steps_a_second

    return steps_a_second(cells[0], device)


@dataclass(frozen=True)
class Estimate:
    """What some stacks take on this machine.

    Attributes
    ----------
    seconds, memory
        Wall time with all processes, without their start and the report; bytes that one process holds at most.
    processes
        How many train at once.
    unknown
        How many of the stacks are of structures that have not been measured, and count nothing.
    """

    seconds: float
    memory: int
    processes: int
    unknown: int


def estimate(stacks: Iterable[Stack], known: Calibration) -> Estimate:
    """Return what stacks take: all their work shared out evenly, or the longest one where that is more."""
    lengths, memory, unknown = [0.0], 0, 0
    for stack in stacks:
        key = structure(stack.cells[0].config)
        gauge = known.gauge_of(key)
        if gauge is None:
            unknown += 1
        else:
            lengths.append(known.seconds(stack.cells, key))
            memory = max(memory, gauge.memory)
    return Estimate(max(sum(lengths) / known.processes, *lengths), memory, known.processes, unknown)
