"""Clocks: how long a window of calls takes, on the host by its own counter, on a GPU between two events.

Both are handed what they read time from, so that the rules are tested on simulated machines. Beside them the budget:
seconds that several measurements share.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

Call = Callable[[], object]

#: torch's sleep counts cycles; from 1.5 GHz on this is at least as long as asked, and the clock doubles what is short.
_CYCLES_PER_SECOND: Final = 2e9


class Budget:
    """Seconds that several things share: each may take an equal part of what is left when its turn comes."""

    def __init__(self, seconds: float, things: int, now: Callable[[], float] = time.monotonic) -> None:
        self.things, self._now, self._end = things, now, now() + seconds

    @property
    def left(self) -> float:
        """The seconds that are left; never less than 0."""
        return max(0.0, self._end - self._now())

    def share(self, things: int = 1) -> float:
        """Return the seconds of the next ``things`` together, and leave the rest to the others."""
        seconds = self.left * things / max(self.things, 1)
        self.things -= things
        return seconds


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


class CudaDevice:
    """The current CUDA device: torch's events on the current stream, and a queued sleep; needs one."""

    def __init__(self) -> None:
        import torch

        self._cuda = torch.cuda

    def synchronize(self) -> None:
        """Wait until everything queued is done."""
        self._cuda.synchronize()

    def sleep(self, seconds: float) -> None:
        """Queue a pause of the device."""
        self._cuda._sleep(int(seconds * _CYCLES_PER_SECOND))  # type: ignore[no-untyped-call]  # noqa: SLF001  (no other can be queued)

    def record(self) -> Any:
        """Queue an event and return it."""
        event = self._cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record()
        return event

    def fired(self, event: Any) -> bool:
        """Say whether the device has reached an event."""
        return bool(event.query())

    def elapsed(self, first: Any, second: Any) -> float:
        """Return the device's seconds between two events that it has reached."""
        return float(first.elapsed_time(second)) * 1e-3


def clock_of(device: str) -> Clock:
    """Return the clock of ``cpu`` or ``cuda``."""
    return HostClock() if device == "cpu" else DeviceClock(CudaDevice())


def wall_clock_of(device: str) -> Clock:
    """Return the wall clock of ``cpu`` or ``cuda``: what a user waits for."""
    return HostClock() if device == "cpu" else EndToEndClock(CudaDevice())
