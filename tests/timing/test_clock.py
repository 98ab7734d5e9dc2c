"""Facts about clocks, on a simulated GPU with a queue of its own: what is the device's time, and what is its host's."""

from __future__ import annotations

import math

import pytest

from d2lbench.timing.clock import DeviceClock, EndToEndClock, HostClock
from d2lbench.timing.windows import RULES, collect


def timed(machine, clock, call):
    return collect(call, clock, RULES["cuda"], math.inf, machine.now)


@pytest.mark.parametrize(("host", "device"), [(2e-6, 5e-6), (5e-6, 4e-4), (1e-6, 2e-3)])
def test_events_behind_a_sleep_tell_the_devices_own_time(machine, gpu, host, device):
    samples = timed(machine, DeviceClock(gpu, machine.ticks), gpu.launches(host, device))
    assert samples.summary.median == pytest.approx(device, rel=1e-6)
    assert samples.host == pytest.approx(host, rel=0.01)
    assert not samples.host_bound
    assert samples.calls * device >= 20e-6


def test_a_case_that_the_host_queues_slower_than_the_device_works_is_host_bound(machine, gpu):
    call = gpu.launches(host=10e-6, device=2e-6)
    samples = timed(machine, DeviceClock(gpu, machine.ticks), call)
    assert samples.host_bound
    assert samples.covered, "the sleep was long enough to tell the device's time all the same"
    assert samples.summary.median == pytest.approx(2e-6, rel=1e-6)
    wall = timed(machine, EndToEndClock(gpu, machine.ticks), call)
    assert wall.summary.median == pytest.approx(10e-6, rel=0.05)


def test_a_case_that_waits_for_the_device_is_never_covered_and_host_bound(machine, gpu):
    samples = timed(machine, DeviceClock(gpu, machine.ticks), gpu.launches(1e-6, 1e-3, waits=True))
    assert not samples.covered
    assert samples.host_bound
    assert len(samples.windows) >= 30, "it ends all the same"


def test_without_the_sleep_the_devices_clock_would_run_while_it_waits_for_the_host(machine, gpu):
    """The reason for the sleep: the same case, its queue never ahead of the device."""
    clock = DeviceClock(gpu, machine.ticks)
    clock._sleep = clock.longest_sleep = 0.0
    window = clock.window(gpu.launches(host=10e-6, device=2e-6), 50)
    assert not window.covered
    assert window.seconds == pytest.approx(10e-6, rel=0.05)


def test_the_sleep_grows_until_it_covers_the_host(machine, gpu):
    clock = DeviceClock(gpu, machine.ticks)
    window = clock.window(gpu.launches(host=100e-6, device=200e-6), 20)
    assert window.covered
    assert 20 * 100e-6 < clock._sleep < 4 * 20 * 100e-6
    assert window.seconds == pytest.approx(200e-6, rel=1e-6)


def test_one_uncovered_window_among_covered_ones_does_not_count(machine, gpu):
    clock = DeviceClock(gpu, machine.ticks)
    clock.longest_sleep = clock._sleep
    slow, calls = {"once": True}, gpu.launches(host=1e-6, device=50e-6)

    def call():
        if machine.now() > 0.004 and slow.pop("once", False):
            machine.nanoseconds += 5e6  # the host is called away while it queues
        calls()

    samples = timed(machine, clock, call)
    assert [window.covered for window in samples.windows].count(False) == 1
    assert len(samples.seconds) == len(samples.windows) - 1
    assert samples.summary.median == pytest.approx(50e-6, rel=1e-6)


def test_the_host_is_never_bound_by_itself(machine):
    samples = collect(machine.takes(1e-4), HostClock(machine.ticks), RULES["cpu"], math.inf, machine.now)
    assert not samples.host_bound
    assert samples.host == pytest.approx(samples.summary.median)
