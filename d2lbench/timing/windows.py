"""Windows of calls: how many calls fill one, when enough windows are timed, and what they say of a call's time.

One call is timed window by window until the median is known well enough or time is up; two calls are timed in turn,
there and back, since a machine that changes its speed then changes it for both.
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from statistics import median
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scipy import stats

if TYPE_CHECKING:
    from d2lbench.timing.clock import Call, Clock, Window

LEVEL = 0.95
#: Equal calls are called different in half a percent of pairs: an interval of this level does not hold 1 so often.
DIFFERENT = 0.995
#: Pools, caches, compilers and clocks settle in the first calls; none of them is timed.
WARM_UP_CALLS = 3
PILOTS = 3
MOST_GROWTH = 100


@dataclass(frozen=True)
class Summary:
    """What windows say of one call's time; all in seconds but ``windows``.

    ``low`` and ``high`` bound the median with 95 % confidence or more, whatever the distribution; they are infinitely
    far apart below six windows. ``spread`` is the interquartile range.
    """

    median: float
    low: float
    high: float
    spread: float
    windows: int

    @property
    def precision(self) -> float:
        """The distance of the interval's farther end from the median, relative to the median."""
        return max(self.high - self.median, self.median - self.low) / self.median if self.median else math.inf


@dataclass(frozen=True)
class Rule:
    """Stop when the median is known to ``precision`` (relative) from ``least`` windows or more."""

    precision: float
    least: int = 30
    every: int = 5

    def satisfied(self, seconds: Sequence[float]) -> bool:
        """Whether these windows suffice; asked only every few windows, since each look is a chance to stop by luck."""
        count = len(seconds)
        if count < self.least or (count - self.least) % self.every:
            return False
        return summarize(seconds).precision <= self.precision


#: A processor's clock moves with its neighbours and its heat; a GPU's events do not see the host.
RULES = {"cpu": Rule(0.02), "cuda": Rule(0.01)}


def summarize(seconds: Sequence[float], level: float = LEVEL) -> Summary:
    """Return the median of windows' seconds per call, its interval, the interquartile range and the count."""
    ordered = np.sort(np.asarray(seconds, dtype=np.float64))
    below = _rank(len(ordered), level)
    first, median, third = (float(value) for value in np.quantile(ordered, (0.25, 0.5, 0.75)))
    low, high = (float(ordered[below - 1]), float(ordered[-below])) if below else (-math.inf, math.inf)
    return Summary(median, low, high, third - first, len(ordered))


@lru_cache(maxsize=4096)
def _rank(count: int, level: float) -> int:
    """Return the largest r for which the r-th smallest and r-th largest of ``count`` hold the median at the level.

    The number of samples below the median is binomial with p = 1/2 (David and Nagaraja, Order Statistics, 2003,
    section 7.1); r = 0 where even the extremes do not reach the level.
    """
    rank = int(stats.binom.ppf((1 - level) / 2, count, 0.5))
    while rank and 2 * stats.binom.cdf(rank - 1, count, 0.5) > 1 - level:
        rank -= 1
    return rank


@dataclass(frozen=True)
class Samples:
    """Every window of one measurement, raw, each of so many ``calls``; all that is said of them is computed from them.

    ``status`` is ``precise``, or ``unconverged`` where time was up before the median was known well enough.
    """

    windows: tuple[Window, ...]
    calls: int
    status: Literal["precise", "unconverged"]

    @property
    def seconds(self) -> tuple[float, ...]:
        """Seconds per call, a number for each window in the order of time; those not covered only if none is."""
        return tuple(_countable(self.windows))

    @property
    def host(self) -> float:
        """Median seconds that the host took to queue a call."""
        return median(window.host for window in self.windows)

    @property
    def covered(self) -> bool:
        """Whether every window that counts was queued before the device began it."""
        return any(window.covered for window in self.windows)

    @property
    def host_bound(self) -> bool:
        """Whether the device cannot be kept busy: no window was covered, or queueing takes longer than the work.

        On a CPU the host is the device, both times are one, and no case is bound by its host.
        """
        return not self.covered or self.host > self.summary.median

    @cached_property
    def summary(self) -> Summary:
        """Median, interval, interquartile range and count."""
        return summarize(self.seconds)

    def as_record(self) -> dict[str, Any]:
        """Return the samples and their summary as plain data."""
        summary = asdict(self.summary)
        return {"summary": summary, "status": self.status, "calls": self.calls, "seconds": self.seconds}


@contextmanager
def undisturbed() -> Iterator[None]:
    """Hold garbage collection back: it would strike some windows and not others.

    What the last case has left is collected first, but not the old: that takes as long as a case's windows.
    """
    enabled = gc.isenabled()
    gc.collect(1)
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def collect(
    call: Call, clock: Clock, rule: Rule, deadline: float, now: Callable[[], float] = time.monotonic
) -> Samples:
    """Time windows of ``call`` until ``rule`` is satisfied or ``now()`` reaches ``deadline``, both in seconds.

    One window is timed whatever the deadline, so that a slow case has a number, marked ``unconverged``.
    """
    for _ in range(WARM_UP_CALLS):
        call()
        if now() >= deadline:
            break
    calls = calls_of_a_window(call, clock, deadline, now)
    windows: list[Window] = []
    while True:
        windows.append(clock.window(call, calls))
        if rule.satisfied(_countable(windows)):
            return Samples(tuple(windows), calls, "precise")
        if now() >= deadline:
            return Samples(tuple(windows), calls, "unconverged")


def _countable(windows: Sequence[Window]) -> list[float]:
    """Return the windows that were covered; of a case that never is, all, so that it ends before its deadline."""
    covered = [window.seconds for window in windows if window.covered]
    return covered or [window.seconds for window in windows]


def calls_of_a_window(call: Call, clock: Clock, deadline: float, now: Callable[[], float]) -> int:
    """Return how many calls make the shortest of a few windows as long as the clock wants, with a fifth to spare."""
    calls = 1
    while True:
        pilot = min(clock.window(call, calls).seconds for _ in range(PILOTS if now() < deadline else 1)) * calls
        if pilot >= clock.shortest or now() >= deadline:
            return calls
        wanted = calls * 1.2 * clock.shortest / pilot if pilot > 0 else math.inf
        calls = math.ceil(min(max(wanted, calls + 1), calls * MOST_GROWTH))


@dataclass(frozen=True)
class Pair:
    """The windows of two calls, round by round."""

    rounds: tuple[tuple[Window, Window], ...]

    @cached_property
    def ratios(self) -> tuple[float, ...]:
        """The second call's time over the first's, a number for each round whose windows count; all if none does."""
        covered = [pair for pair in self.rounds if pair[0].covered and pair[1].covered]
        return tuple(second.seconds / first.seconds for first, second in covered or self.rounds)

    @property
    def summary(self) -> Summary:
        """The median ratio and its interval of :data:`DIFFERENT`, whatever the distribution (a sign test)."""
        return summarize(self.ratios, DIFFERENT)

    @property
    def slower(self) -> bool:
        """Whether the second call takes longer."""
        return self.summary.low > 1

    @property
    def differ(self) -> bool:
        """Whether one of them takes longer."""
        return self.slower or self.summary.high < 1


def collect_pair(
    first: Call,
    second: Call,
    clock: Clock,
    rule: Rule,
    deadline: float,
    now: Callable[[], float] = time.monotonic,
) -> Pair:
    """Time windows of two calls, A B, B A, …, until ``rule`` is satisfied by their ratios or time is up.

    ``rule`` asks how well the median ratio is known, not whether it is 1, so stopping favours neither answer. One round
    is timed whatever the deadline.
    """
    calls = (first, second)
    for call in calls * WARM_UP_CALLS:
        call()
    counts = [calls_of_a_window(call, clock, deadline, now) for call in calls]
    rounds: list[tuple[Window, Window]] = []
    while True:
        order = (0, 1) if len(rounds) % 2 == 0 else (1, 0)
        windows = {number: clock.window(calls[number], counts[number]) for number in order}
        rounds.append((windows[0], windows[1]))
        pair = Pair(tuple(rounds))
        if rule.satisfied(pair.ratios) or now() >= deadline:
            return pair
