"""Two calls timed in turn, there and back: a machine that changes its speed changes it for both."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from d2lbench.timing.stopping import Rule, Summary, summarize
from d2lbench.timing.windows import WARM_UP_CALLS, calls_of_a_window

if TYPE_CHECKING:
    from d2lbench.timing.clock import Call, Clock, Window

#: Equal calls are called different in half a percent of pairs: an interval of this level does not hold 1 so often.
DIFFERENT = 0.995


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
