"""Clocks: how long a window of calls takes, on the host by its own counter, on a GPU between two events.

Both are handed what they read time from, so that the rules are tested on simulated machines.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

Call = Callable[[], object]


@dataclass(frozen=True)
class Window:
    """One window: seconds per call, as the clock saw them.

    ``host`` is how long the host took to queue a call (on a CPU: the same), and ``covered`` says whether the device
    was still asleep when the last call was queued; where it was not, the device may have waited for the host and
    ``seconds`` bounds its time from above only.
    """

    seconds: float
    host: float
    covered: bool = True


class Clock(Protocol):
    """Times windows of calls."""

    #: No window may be shorter, in seconds.
    shortest: float

    def window(self, call: Call, count: int) -> Window:
        """Call ``count`` times and return what one call took."""
        ...


class HostClock:
    """The host's monotonic counter, for work that is done when the call returns."""

    shortest = 1e-3

    def __init__(self, now: Callable[[], int] = time.perf_counter_ns) -> None:
        self._now = now

    def window(self, call: Call, count: int) -> Window:
        """Call ``count`` times and return what one call took."""
        rounds = range(count)
        began = self._now()
        for _ in rounds:
            call()
        seconds = (self._now() - began) / count * 1e-9
        return Window(seconds, seconds)


class Device(Protocol):
    """What a GPU's clock needs of it: torch's events and streams, or a simulation of them."""

    def synchronize(self) -> None:
        """Wait until everything queued is done."""

    def sleep(self, seconds: float) -> None:
        """Queue a pause of the device."""

    def record(self) -> Any:
        """Queue an event and return it."""

    def fired(self, event: Any) -> bool:
        """Say whether the device has reached an event."""
        ...

    def elapsed(self, first: Any, second: Any) -> float:
        """Return the device's seconds between two events that it has reached."""
        ...


class DeviceClock:
    """Events around calls that are queued while the device sleeps, so that it never waits for the host in between.

    A window counts only if the first event had not been reached when the host had queued the last call; the sleep is
    doubled until it is so, up to ``longest_sleep``. The queue itself is finite (about a thousand launches), so calls
    that fill it or that wait for the device are never covered: such a case is bound by its host.
    """

    shortest = 20e-6
    longest_sleep = 20e-3

    def __init__(self, device: Device, now: Callable[[], int] = time.perf_counter_ns) -> None:
        self._device, self._now, self._sleep = device, now, 200e-6

    def window(self, call: Call, count: int) -> Window:
        """Call ``count`` times and return what one call took on the device, and what queueing it took."""
        while True:
            window = self._once(call, count)
            if window.covered or self._sleep >= self.longest_sleep:
                return window
            self._sleep = min(2 * self._sleep, self.longest_sleep)

    def _once(self, call: Call, count: int) -> Window:
        device = self._device
        device.synchronize()
        device.sleep(self._sleep)
        first = device.record()
        began = self._now()
        for _ in range(count):
            call()
        last = device.record()
        host = (self._now() - began) / count * 1e-9
        covered = not device.fired(first)
        device.synchronize()
        return Window(device.elapsed(first, last) / count, host, covered)


class EndToEndClock:
    """Wall time from an idle device to an idle device: what a user waits for, the host's work included."""

    shortest = 1e-3

    def __init__(self, device: Device, now: Callable[[], int] = time.perf_counter_ns) -> None:
        self._device, self._now = device, now

    def window(self, call: Call, count: int) -> Window:
        """Call ``count`` times and return what one call took until the device was done."""
        self._device.synchronize()
        began = self._now()
        for _ in range(count):
            call()
        self._device.synchronize()
        seconds = (self._now() - began) / count * 1e-9
        return Window(seconds, seconds)


def clock_of(device: str) -> Clock:
    """Return the clock of ``cpu`` or ``cuda``."""
    if device == "cpu":
        return HostClock()
    from d2lbench.timing.cuda import CudaDevice

    return DeviceClock(CudaDevice())
