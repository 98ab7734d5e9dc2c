"""Windows of calls: how many calls fill one, and one after the other until the rule is satisfied or time is up."""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Literal

from d2lbench.timing.stopping import Rule, Summary, summarize

if TYPE_CHECKING:
    from d2lbench.timing.clock import Call, Clock, Window

#: Pools, caches, compilers and clocks settle in the first calls; none of them is timed.
WARM_UP_CALLS = 3
PILOTS = 3
MOST_GROWTH = 100


@dataclass(frozen=True)
class Samples:
    """Every window of one measurement, raw, and why there are no more of them."""

    windows: tuple[Window, ...]
    calls: int
    reason: Literal["precise", "unconverged"]

    @property
    def seconds(self) -> tuple[float, ...]:
        """Seconds per call, a number for each window in the order of time; those not covered only if none is."""
        covered = tuple(window.seconds for window in self.windows if window.covered)
        return covered or tuple(window.seconds for window in self.windows)

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

    @property
    def summary(self) -> Summary:
        """Median, interval, interquartile range and count."""
        return summarize(self.seconds)


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
