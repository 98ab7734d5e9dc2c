"""One kernel in one round: the time of a call, and what can be counted of it, for the claims that read it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final, cast

import torch

from d2lbench.core.errors import CannotError, TimingError
from d2lbench.core.kinds import KernelTraits
from d2lbench.store.timings import Phase, Setting
from d2lbench.timing.cases import load
from d2lbench.timing.counting import phase_memory, saved_bytes, work
from d2lbench.timing.kernels import Built, Case
from d2lbench.timing.measure import Harness
from d2lbench.timing.phases import prepare

if TYPE_CHECKING:
    from d2lbench.core.spec import Component


#: Fewer windows bound no median. A kernel that its share of the time leaves with fewer gets more, so many times over.
LEAST_WINDOWS: Final = 6
TRIES: Final = 3
#: What a window is taken to last at least where it has to be guessed, and what building is taken to last at most, in
#: seconds: the first time it may take longer, since libraries are loaded.
SHORTEST_WINDOW, LONGEST_START = 2e-3, 5.0


def case_of(kernel: Component) -> Case:
    """Return the case that a grid's kernel names, with options of its own in place of those of a size."""
    entry = load().get(KernelTraits, kernel.name)
    own = {name: value for name, value in kernel.options if name in entry.options}
    return Case(entry, str(kernel.get("size") or ""), own)


def setting_of(kernel: Component, device: str) -> Setting:
    """Return how a grid's kernel is measured."""
    options: dict[str, Any] = {name: kernel.get(name) for name in ("dtype", "threads", "cold", "compiled")}
    return Setting(device, **options)


def observe(kernel: Component, device: str, wanted: frozenset[str], seconds: float) -> dict[str, float]:
    """Return what is wanted of a kernel: its time, measured for about so many seconds, all else by counting.

    Beside ``time``, the median of the windows in seconds, stand the ends of its interval and the count of windows, and
    whether it was known well enough (1) or time ran out (0).

    Raises
    ------
    CannotError
        It cannot be measured so; nothing is wrong with it.
    TimingError
        It is wrong, it broke, or the machine is too busy.
    """
    values = _counted(kernel, device, wanted)
    return values | _timed(kernel, device, seconds) if "time" in wanted else values


def _timed(kernel: Component, device: str, seconds: float) -> dict[str, float]:
    """Return a kernel's time with its evidence."""
    harness, case, phases = Harness(setting_of(kernel, device)), case_of(kernel), (str(kernel.get("phase")),)
    for _ in range(TRIES):
        began = time.monotonic()
        (measured,) = harness.measure(case, phases, seconds)
        samples = measured.samples
        if samples is None:
            problem = f"{measured.status}: {measured.reason}"
            raise (CannotError if measured.status == "skipped" else TimingError)(problem)
        summary = samples.summary
        if summary.windows >= LEAST_WINDOWS:
            break
        spent, window = time.monotonic() - began, summary.median * samples.calls
        seconds = min(spent, LONGEST_START) + 2 * LEAST_WINDOWS * max(window, SHORTEST_WINDOW)
    else:
        known = f"only {summary.windows} windows were timed"
        problem = f"{known}, and a median needs {LEAST_WINDOWS}: the machine is too busy"
        raise TimingError(problem)
    time_and_interval = {"time": summary.median, "time_low": summary.low, "time_high": summary.high}
    return time_and_interval | {"windows": float(summary.windows), "precise": float(samples.status == "precise")}


def _counted(kernel: Component, device: str, wanted: frozenset[str]) -> dict[str, float]:
    """Return what is counted of a kernel, which no clock touches."""
    asked = {name: count for name, count in _COUNTERS.items() if name in wanted}
    if not asked:
        return {}
    setting, case, phase = setting_of(kernel, device), case_of(kernel), cast("Phase", kernel.get("phase"))
    Harness(setting)  # sets threads and precision of this process
    with ExitStack() as closing:
        built = case.build(device, getattr(torch, setting.dtype))
        if built.close is not None:
            closing.callback(built.close)
        return {name: float(count(built, phase, device)) for name, count in asked.items()}


def _deviation(built: Built) -> float:
    """Return the largest error against the float64 reference, as a share of its largest value."""
    if built.reference is None:
        problem = "it has no float64 reference to deviate from"
        raise TimingError(problem)
    exact = [each.detach().double() if each.is_floating_point() else each for each in built.inputs]
    with torch.enable_grad():
        expected, value = built.reference(*exact).detach(), built.call(*built.inputs).detach()
    return float((value.to(expected) - expected).abs().max() / expected.abs().max())


_COUNTERS: Final[Mapping[str, Callable[[Built, Phase, str], float]]] = {
    "deviation": lambda built, *_: _deviation(built),
    "flops": lambda built, phase, _: work(built, phase).flops,
    "peak_memory": lambda built, phase, device: phase_memory(prepare([built], phase), device),
    "saved_bytes": lambda built, *_: saved_bytes(built),
}
