"""Measuring what a structure costs: real steps of its own cells at rising widths, a look at them, and memory.

Short on purpose: a structure takes about a second, its data not counted. So the numbers are good enough to choose a
width and to say how many minutes a grid takes, and for nothing else; kernels are timed elsewhere.
"""

from __future__ import annotations

import contextlib
import itertools
import resource
import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from d2lbench.catalogue.models import model_of
from d2lbench.catalogue.shapes import parameter_count
from d2lbench.core.spec import Config, Measurement
from d2lbench.engine.calibration import Gauge
from d2lbench.engine.plan import Stack, is_unstacked
from d2lbench.engine.train import Training, measure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from d2lbench.core.spec import Cell

#: The widths that are tried, as far as there are cells and memory.
WIDTHS = {"cpu": (1, 2, 4, 8, 16, 32, 64, 128, 256), "cuda": (1, 4, 16, 64, 256, 1024)}
#: The most numbers that the parameters of a stack may have.
LARGEST = {"cpu": 2**24, "cuda": 2**28}
#: Steps that are not counted, the least and the most that are, and the seconds after which no more are needed.
WARM_UP, LEAST, MOST, SECONDS = 2, 3, 25, 0.05
#: Where a step takes this long, in seconds, its launches are a small part, and two wider stacks that save less than
#: this share of a row's time are the last ones tried; after ``HOPELESS`` times the best row's time, any is.
ARITHMETIC, SAVING, HOPELESS = 0.01, 0.03, 1.3
#: An evaluation that takes one row longer than this, in seconds, costs every row of a stack as much.
LONG_LOOK = 0.05
#: How long processes are watched side by side, in seconds.
CROWD_SECONDS = 0.5
_CLEAR, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")


def _clock(device: str) -> Callable[[], float]:
    """Return the clock: of this thread's own work on a CPU, as other work on the machine is no part of the cost."""
    return time.thread_time if device == "cpu" else time.perf_counter


def gauge(cells: Sequence[Cell], device: str = "cpu") -> Gauge:
    """Return what one structure costs this process; ``cells`` are all of it, spread evenly over what is measured."""
    clock = _clock(device)
    if isinstance(cells[0].config, Measurement):
        begin = clock()
        measure(cells[0])
        return Gauge({1: clock() - begin}, 0.0, 0.0, peak_memory(device))
    Training(Stack((cells[0],)), device)  # reads the data: a cost of the process, not of the structure
    forget_peak(device)
    steps: dict[int, float] = {}
    looks: dict[int, tuple[float, float]] = {}
    for width in _widths(cells, device):
        begin = clock()
        middles = ((2 * part + 1) * len(cells) // (2 * width) for part in range(width))  # of equal parts
        training = Training(Stack(tuple(cells[middle] for middle in middles)), device)
        if not looks or looks[min(looks)][0] < LONG_LOOK:
            training.begin_anew()
            _wait(device)
            started = clock()
            training.evaluate(1, training.shown())
            _wait(device)
            looks[width] = ((clock() - started) / width, (started - begin) / width)
        steps[width] = step_seconds(training, device)
        if _enough(steps):
            break
    best = min(looks, key=lambda width: steps[width] / width)
    return Gauge(steps, *looks[best], peak_memory(device))


def _enough(steps: dict[int, float]) -> bool:
    """Say whether wider stacks are not worth trying, given the seconds of a step by width, rising.

    Two widths have to say so, where a step is long: one alone may have been disturbed.
    """
    rows = [seconds / width for width, seconds in steps.items()]
    wide, before = rows[-2:], rows[:-2]
    long = steps[max(steps)] > ARITHMETIC and bool(before) and min(wide) > (1 - SAVING) * min(before)
    return long or rows[-1] > HOPELESS * min(rows)


def _widths(cells: Sequence[Cell], device: str) -> Iterator[int]:
    config = cells[0].config
    assert isinstance(config, Config)
    most = min(len(cells), max(1, LARGEST[device] // parameter_count(model_of(config))))
    yield from (width for width in WIDTHS[device] if width <= (1 if is_unstacked(config) else most))


def _steps(training: Training, device: str, clock: Callable[[], float]) -> Iterator[float]:
    """Take steps of a training, epoch after epoch, and yield what each takes, in seconds."""
    for epoch in itertools.count(1):
        training.begin(epoch)
        begin = clock()
        for t, batch in enumerate(training.feed.batches(epoch)):
            training.take(*batch, t)
            _wait(device)
            end = clock()
            yield end - begin
            begin = end


def step_seconds(training: Training, device: str) -> float:
    """Return the median of some steps of a training, in seconds; of several epochs where one has few."""
    counted: list[float] = []
    for seconds in itertools.islice(_steps(training, device, _clock(device)), WARM_UP, None):
        counted.append(seconds)
        if len(counted) >= LEAST and (sum(counted) > SECONDS or len(counted) >= MOST):
            break
    return statistics.median(counted)


def steps_a_second(cell: Cell, device: str) -> float:
    """Return how many steps of one row this process takes in a second of the wall clock, beside whatever else runs."""
    steps = _steps(Training(Stack((cell,)), device), device, time.perf_counter)
    begin = time.perf_counter()
    for taken, _ in enumerate(steps, 1):
        if (spent := time.perf_counter() - begin) > CROWD_SECONDS:
            return taken / spent
    raise AssertionError  # not reached


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def forget_peak(device: str) -> None:
    """Begin :func:`peak_memory` anew, where the system can."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    else:
        with contextlib.suppress(OSError):  # the peak is then that of the process's whole life
            _CLEAR.write_text("5", encoding="ascii")


def peak_memory(device: str) -> int:
    """Return the bytes that this process held at most: of the GPU's memory on a GPU, else resident."""
    if device == "cuda":
        return int(torch.cuda.max_memory_allocated())
    with contextlib.suppress(OSError):
        for line in _STATUS.read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
