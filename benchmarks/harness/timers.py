"""Our harness beside torch's own timer, and Triton's on CUDA, in one process: same calls, threads and gradient mode.

The two take turns, there and back, in several rounds; each round gives a ratio of medians, and the rounds an interval.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from scipy import stats

from d2lbench.engine.process import prepare_process
from d2lbench.timing import cases as registered
from d2lbench.timing.clock import clock_of
from d2lbench.timing.correctness import check
from d2lbench.timing.phases import Prepared, prepare
from d2lbench.timing.selection import cases
from d2lbench.timing.stopping import RULES, summarize
from d2lbench.timing.windows import collect, undisturbed

if TYPE_CHECKING:
    from d2lbench.timing.built import Built, Phase
    from d2lbench.timing.clock import Call
    from d2lbench.timing.result import Setting

#: Ten calls of every kind, from microseconds to milliseconds: name, phase.
COMPARED: Final[tuple[tuple[str, Phase], ...]] = (
    ("linear", "forward"),
    ("linear", "backward"),
    ("matmul", "forward"),
    ("conv-3x3", "forward"),
    ("conv-3x3", "backward"),
    ("max-pool-2x2", "forward"),
    ("tanh", "forward"),
    ("cross-entropy", "forward"),
    ("batch-norm-2d", "backward"),
    ("mlp", "whole"),
)
#: Of the median of the ten ratios.
WITHIN: Final = 0.03
LEVEL: Final = 0.95

#: Returns seconds a call, and how long a window of calls lasts.
Meter = Callable[["Call"], tuple[float, float]]


@dataclass(frozen=True)
class Ratio:
    """A median with its interval of 95 %; of one number the ends are infinitely far apart."""

    median: float
    low: float
    high: float

    @property
    def covers_one(self) -> bool:
        """Whether nothing says that the two differ."""
        return self.low <= 1 <= self.high


@dataclass(frozen=True)
class Agreement:
    """One call, timed by us and by another.

    ``ours`` and ``theirs`` are seconds a call by round, in the order of time; ``lengths`` are the seconds of a window
    of calls, ours and theirs.
    """

    case: str
    phase: Phase
    other: str
    ours: tuple[float, ...] = field(repr=False)
    theirs: tuple[float, ...] = field(repr=False)
    lengths: tuple[float, float]

    @property
    def ratio(self) -> Ratio:
        """Ours over theirs: the geometric mean over the rounds with Student's interval of its logarithm."""
        return interval(np.log(self.ours) - np.log(self.theirs))

    @property
    def drift(self) -> float:
        """By how much the second half of the rounds differs from the first, both timers together."""
        both = (np.log(self.ours) + np.log(self.theirs)) / 2
        half = len(both) // 2
        return float(np.expm1(both[half:].mean() - both[:half].mean())) if half else 0.0

    @property
    def reason(self) -> str:
        """What tells the two apart where the interval does not cover 1, as far as the rounds show it; else empty."""
        if self.ratio.covers_one:
            return ""
        lasting = "windows of {:.2g} ms against theirs of {:.2g} ms".format(*(1e3 * length for length in self.lengths))
        return f"{lasting}; from one half of the rounds to the other the machine changed by {abs(self.drift):.1%}"


def interval(logs: Any) -> Ratio:
    """Return the exponential of the mean of logarithms with Student's interval."""
    mean = float(np.mean(logs))
    if len(logs) < 2:
        return Ratio(math.exp(mean), 0.0, math.inf)
    half = float(stats.t.ppf((1 + LEVEL) / 2, len(logs) - 1) * np.std(logs, ddof=1) / math.sqrt(len(logs)))
    return Ratio(math.exp(mean), math.exp(mean - half), math.exp(mean + half))


def overall(found: Sequence[Agreement]) -> Ratio:
    """Return the median of the cases' ratios with its interval by order statistics."""
    summary = summarize([each.ratio.median for each in found])
    return Ratio(summary.median, summary.low, summary.high)


def agreements(
    setting: Setting, *, rounds: int = 8, seconds: float = 0.5, compared: Sequence[tuple[str, Phase]] = COMPARED
) -> Iterator[Agreement]:
    """Yield what every timer there is says of each call; each measurement takes ``seconds`` at most."""
    prepare_process(setting.threads)
    clock, rule = clock_of(setting.device), RULES[setting.device]

    def ours(call: Call) -> tuple[float, float]:
        samples = collect(call, clock, rule, time.monotonic() + seconds)
        return samples.summary.median, samples.summary.median * samples.calls

    size = "large" if setting.device == "cuda" else "small"
    known = {(case.name, case.size): case for case in cases(registered.load())}
    for name, phase in compared:
        case = known[name, size]
        built: Built = case.entry.factory(
            setting.device, getattr(torch, setting.dtype), **case.entry.resolve(case.options)
        )
        check(built, built.call, (phase,), case.phases, needed=case.reference_needed)
        prepared = prepare([built], phase)
        for other, meter in _others(setting, seconds):
            yield _alternated(prepared, ours, meter, rounds, (case.identity, phase, other))


def _alternated(
    prepared: Prepared, ours: Meter, theirs: Meter, rounds: int, named: tuple[str, Phase, str]
) -> Agreement:
    """Return both meters' medians by round, taken in turn; a round before them warms up and does not count."""
    found: tuple[list[tuple[float, float]], ...] = ([], [])
    with torch.set_grad_enabled(prepared.records), undisturbed():
        for number in range(rounds + 1):
            for side in (0, 1) if number % 2 else (1, 0):
                found[side].append((ours, theirs)[side](prepared.call))
    seconds = [tuple(median for median, _ in side[1:]) for side in found]
    lengths = [float(np.median([length for _, length in side[1:]])) for side in found]
    return Agreement(*named, seconds[0], seconds[1], (lengths[0], lengths[1]))


def _others(setting: Setting, seconds: float) -> Iterator[tuple[str, Meter]]:
    """Yield the other timers by name."""
    from torch.utils.benchmark import Timer

    def by_torch(call: Call) -> tuple[float, float]:
        timer = Timer("call()", globals={"call": call}, num_threads=setting.threads)
        found = timer.adaptive_autorange(threshold=0.02, min_run_time=seconds / 5, max_run_time=seconds)
        return float(found.median), float(found.median) * found.number_per_run

    yield "torch.utils.benchmark", by_torch
    if setting.device == "cuda":
        from triton.testing import do_bench  # type: ignore[import-untyped]

        def by_triton(call: Call) -> tuple[float, float]:
            """Time one call at a time, with the cache overwritten before each: the same work from cold memory."""
            median = float(do_bench(call, rep=1e3 * seconds, return_mode="median")) * 1e-3
            return median, median

        yield "triton.testing.do_bench", by_triton
