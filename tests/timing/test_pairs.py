"""Facts about two calls timed in turn, on machines whose time is simulated."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from d2lbench.timing.clock import HostClock, Window
from d2lbench.timing.windows import RULES, Pair, collect_pair


class Drifting:
    """A host whose speed wanders by 3 % from window to window and never forgets, with 2 % of noise beside."""

    def __init__(self, seed):
        self.nanoseconds, self._draw = 0.0, np.random.default_rng(seed)
        self._speed = self._noise = 0.0

    def now(self):
        return self.nanoseconds * 1e-9

    def ticks(self):
        self._speed += 0.03 * self._draw.standard_normal()
        self._noise = 0.02 * self._draw.standard_normal()
        return int(self.nanoseconds)

    def takes(self, seconds):
        def call():
            self.nanoseconds += seconds * 1e9 * math.exp(self._speed + self._noise)

        return call


def paired(machine, first, second, seconds=math.inf):
    calls = (machine.takes(first), machine.takes(second))
    return collect_pair(*calls, HostClock(machine.ticks), RULES["cpu"], machine.now() + seconds, machine.now)


def test_windows_are_timed_there_and_back_with_as_many_calls_as_each_needs(machine):
    order = []

    class Clock:
        shortest = 1e-3

        def window(self, call, count):
            order.append((call(), count))
            machine.nanoseconds += 1e6
            return Window(1e-3 / count, 1e-3 / count)

    collect_pair(lambda: "a", lambda: "b", Clock(), RULES["cpu"], math.inf, machine.now)
    assert [name for name, _ in order[-8:]] == ["a", "b", "b", "a", "a", "b", "b", "a"]
    assert len(order) == 6 + 2 * 30, "three pilots each, then 30 rounds, since nothing varies"


def test_the_ratio_is_that_of_the_second_call_to_the_first(machine):
    pair = paired(machine, 1e-4, 1.5e-4)
    assert pair.summary.median == pytest.approx(1.5)
    assert pair.slower
    assert pair.differ
    assert not paired(machine, 1.5e-4, 1e-4).slower
    assert paired(machine, 1.5e-4, 1e-4).differ


def test_a_slow_down_of_5_percent_is_found_in_9_of_10_trials_on_a_machine_that_changes_its_speed():
    found = sum(paired(Drifting(seed), 1e-3, 1.05e-3).slower for seed in range(100))
    assert found >= 90


def test_equal_calls_are_called_different_in_1_percent_at_most_on_a_machine_that_changes_its_speed():
    differing = sum(paired(Drifting(seed), 1e-3, 1e-3).differ for seed in range(300))
    # At a true rate of 1 % more than 8 of 300 come by luck in less than 1 % of runs of this test.
    assert stats.binom.sf(8, 300, 0.01) < 0.01
    assert differing <= 8


def test_the_interval_holds_the_median_ratio_in_all_but_half_a_percent_of_orders():
    """The chance that all of n ratios lie on one side is 2/2ⁿ: 1/256 at nine, the first that is below 1/200."""
    windows = [(Window(1.0, 1.0), Window(1.0 + step, 1.0)) for step in range(1, 10)]
    assert Pair(tuple(windows)).summary.low == 2
    assert Pair(tuple(windows[:8])).summary.low == -math.inf
    assert not Pair(tuple(windows[:8])).differ


def test_rounds_that_the_device_may_have_waited_in_do_not_count_unless_all_are_such():
    good, bad = Window(1.0, 0.1), Window(9.0, 0.1, covered=False)
    assert Pair(((good, good), (bad, good), (good, bad))).ratios == (1.0,)
    assert Pair(((good, bad), (bad, good))).ratios == (9.0, 1 / 9)


def test_at_the_deadline_what_is_there_is_kept(machine):
    assert len(paired(machine, 9.0, 9.0, seconds=1.0).rounds) == 1
