"""Facts about windows and when there are enough of them, on machines whose time is simulated."""

from __future__ import annotations

import gc
import json
import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from d2lbench.timing.clock import HostClock
from d2lbench.timing.windows import RULES, Rule, collect, summarize, undisturbed

FOREVER = math.inf


def apart(first, second):
    """Whether two intervals of 95 % do not touch.

    At equal width they part when the medians differ by 2 × 1.96 standard errors, which are 2.77 standard errors of the
    difference: 0.6 % of pairs of equal kernels.
    """
    return first.high < second.low or second.high < first.low


RECORDED = json.loads((Path(__file__).parent / "recorded.json").read_text(encoding="utf-8"))


def timed(machine, call, rule=RULES["cpu"], seconds=FOREVER):
    return collect(call, HostClock(machine.ticks), rule, machine.now() + seconds, machine.now)


@pytest.mark.parametrize("seconds", [2e-7, 3e-5, 4e-3, 0.5])
def test_a_sleep_of_known_length_comes_back_within_1_percent(simulated, seconds):
    machine = simulated(noise=0.02)
    samples = timed(machine, machine.takes(seconds))
    assert samples.summary.median == pytest.approx(seconds, rel=0.01)
    assert samples.status == "precise"


@pytest.mark.parametrize("seconds", [2e-7, 9e-4, 1e-3, 0.5])
def test_a_window_lasts_a_millisecond_and_no_more_calls_than_that_takes(machine, seconds):
    samples = timed(machine, machine.takes(seconds))
    assert samples.calls * seconds >= 1e-3 * 0.999
    assert samples.calls == 1 or samples.calls * seconds < 2.5e-3


def test_a_quiet_case_has_30_windows_and_stops(machine):
    samples = timed(machine, machine.takes(1e-4))
    assert (len(samples.windows), samples.status) == (30, "precise")
    assert samples.summary.spread == pytest.approx(0, abs=1e-9)


def test_a_noisy_case_takes_more_windows_until_its_interval_is_narrow(simulated):
    machine = simulated(noise=0.1)
    samples = timed(machine, machine.takes(1e-4))
    # 1.2533 standard errors of the mean are one of a normal sample's median; 1.96 of them have to fit into 2 %.
    assert len(samples.windows) > (1.96 * 1.2533 * 0.1 / 0.02) ** 2 / 2
    assert samples.summary.precision <= 0.02


def test_at_the_deadline_what_is_there_is_kept_and_called_unconverged(simulated):
    machine = simulated(noise=0.5)
    samples = timed(machine, machine.takes(1e-3), seconds=0.05)
    assert samples.status == "unconverged"
    assert 6 < len(samples.windows) < 60
    assert samples.summary.precision > 0.02


def test_a_case_slower_than_its_budget_has_one_window_and_no_interval(machine):
    samples = timed(machine, machine.takes(9.0), seconds=1.0)
    assert len(samples.windows) == 1
    assert samples.summary.median == pytest.approx(9)
    assert (samples.summary.low, samples.summary.high) == (-math.inf, math.inf)


def test_garbage_is_not_collected_in_windows_and_is_again_afterwards():
    with undisturbed():
        assert not gc.isenabled()
    assert gc.isenabled()
    gc.disable()
    with undisturbed():
        pass
    assert not gc.isenabled(), "who had switched it off finds it off"
    gc.enable()


@pytest.mark.parametrize("count", range(1, 26))
def test_the_intervals_ranks_are_the_innermost_that_hold_the_median_in_95_percent_of_orders(count):
    """Each sample lies below the median with chance 1/2: of all 2^n such outcomes the interval holds it in a share."""
    ordered = np.arange(1.0, count + 1)
    summary = summarize(ordered)
    shares = {
        rank: sum(math.comb(count, below) for below in range(rank, count - rank + 1)) / 2**count
        for rank in range(1, count // 2 + 1)
    }
    allowed = [rank for rank, share in shares.items() if share >= 0.95]
    if not allowed:
        assert summary.low == -math.inf
        return
    assert summary.low == max(allowed)
    assert summary.high == count + 1 - max(allowed)


def test_the_interval_holds_the_median_as_often_as_it_says_even_of_a_lopsided_noise():
    draw = np.random.default_rng(1)
    held = 0
    for _ in range(1000):
        summary = summarize(draw.exponential(size=40))
        held += summary.low <= math.log(2) <= summary.high
    assert held >= 940  # 950 expected at least; its standard deviation is 7


def test_an_injected_slow_down_of_5_percent_is_found_in_9_of_10_trials(simulated):
    found = 0
    for seed in range(100):
        machine = simulated(noise=0.027, seed=seed)  # the noise of a hosted runner
        base, head = (timed(machine, machine.takes(1e-3 * slower)).summary for slower in (1.0, 1.05))
        found += apart(head, base) and head.median > base.median
    assert found >= 90


@pytest.mark.parametrize("noise", [0.005, 0.05])
def test_equal_kernels_are_called_different_in_1_percent_of_trials_at_most(simulated, noise):
    differing = 0
    for seed in range(300):
        machine = simulated(noise=noise, seed=seed)
        first, second = (timed(machine, machine.takes(1e-3)).summary for _ in range(2))
        differing += apart(first, second)
    # At a true rate of 1 % more than 8 of 300 come by luck in less than 1 % of runs of this test.
    assert stats.binom.sf(8, 300, 0.01) < 0.01
    assert differing <= 8


def test_recorded_windows_of_one_kernel_agree_and_those_of_a_slower_one_do_not():
    """Windows of one matrix product, recorded on two cores beside other work: halves of one series are equal."""
    halves = [summarize(RECORDED["seconds"][part::2]) for part in (0, 1)]
    assert not apart(halves[0], halves[1])
    slower = summarize([1.25 * seconds for seconds in RECORDED["seconds"]])
    assert apart(slower, summarize(RECORDED["seconds"]))


def test_the_rule_looks_only_every_few_windows():
    rule = Rule(0.02, least=30, every=5)
    looks = [count for count in range(1, 50) if rule.satisfied([1.0] * count)]
    assert looks == [30, 35, 40, 45]
