"""Simulated machines: time passes only when something is called, with noise that a seed repeats."""

from __future__ import annotations

import numpy as np
import pytest

from d2lbench.timing.roofline import Ceilings


class Machine:
    """A host whose clock moves only by what it is asked to do; each call's time carries relative noise."""

    def __init__(self, noise=0.0, seed=0):
        self.nanoseconds = 0.0
        self._noise, self._draw = noise, np.random.default_rng(seed)
        self._drift = 1.0

    def now(self):
        return self.nanoseconds * 1e-9

    def ticks(self):
        """Return the counter; it is read twice a window, so that is where a window's own noise is drawn."""
        self._drift = float(np.exp(self._noise * self._draw.standard_normal()))
        return int(self.nanoseconds)

    def takes(self, seconds):
        """Return a call that takes so long."""

        def call():
            self.nanoseconds += seconds * 1e9 * self._drift

        return call


class Device:
    """A GPU with one queue: what is queued begins when the work before it is done, and not before it is queued."""

    def __init__(self, machine):
        self.machine, self.free = machine, 0.0

    def launches(self, host, device, *, waits=False):
        """Return a call that takes the host and the device so long; one that waits reads its result back."""

        def call():
            self.machine.nanoseconds += host * 1e9
            self.free = max(self.free, self.machine.now()) + device
            if waits:
                self.synchronize()

        return call

    def synchronize(self):
        self.machine.nanoseconds = max(self.machine.nanoseconds, self.free * 1e9)

    def sleep(self, seconds):
        self.free = max(self.free, self.machine.now()) + seconds

    def record(self):
        return max(self.free, self.machine.now())

    def fired(self, event):
        return event <= self.machine.now()

    def elapsed(self, first, second):
        return second - first


@pytest.fixture
def machine():
    return Machine()


@pytest.fixture
def simulated():
    """Return machines of any noise and seed."""
    return Machine


@pytest.fixture
def gpu(machine):
    return Device(machine)


@pytest.fixture
def ceilings():
    return Ceilings(flops=1e11, copies=((2**18, 1e11), (2**27, 1e10)), launch=1e-6)
