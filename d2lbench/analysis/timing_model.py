"""What a report says of times and costs, as plain frozen records: seconds, bytes, and raw labels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from d2lbench.analysis.statistics.estimates import Interval

if TYPE_CHECKING:
    from collections.abc import Mapping

    from d2lbench.analysis.figures import ArmRow, Panel


@dataclass(frozen=True)
class Time:
    """A call's median time in seconds with its 95 % interval; the ends are NaN where too few windows were timed.

    ``status`` is ``precise``, or ``unconverged`` where time ran out before the interval was narrow.
    """

    median: float
    low: float
    high: float
    status: str = "precise"


#: A line of a plot of times: a label, and a time for each series that has one.
Line = tuple[str, "Mapping[str, Time]"]


def ratio(first: Time, second: Time) -> Interval:
    """Return first over second; its interval recovers the variances of both logarithms from their own intervals.

    Zou and Donner, Construction of confidence limits about effect measures (2008): the distances of the log ratio's
    ends are the roots of the sums of squares of the distances that move it the same way. The ends are NaN where either
    time has none.
    """
    value = first.median / second.median
    down = math.hypot(_log(first.median, first.low), _log(second.high, second.median))
    up = math.hypot(_log(first.high, first.median), _log(second.median, second.low))
    return Interval(value, value * math.exp(-down), value * math.exp(up), 0.95)


def _log(larger: float, smaller: float) -> float:
    return math.log(larger / smaller) if larger > 0 and smaller > 0 else math.nan


@dataclass(frozen=True)
class CostRow:
    """An arm's costs beside how well it does. Rows with one ``program`` share what was measured, as they do the same.

    ``memory`` is in bytes; ``steps`` are those of a whole run and ``seconds`` what they take, NaN where no step was
    timed. ``data`` says on which data the arm is judged, empty where all arms are judged on the same.
    """

    arm: ArmRow
    program: int | None = None
    parameters: int = 0
    batch: int = 0
    forward: Time | None = None
    backward: Time | None = None
    step: Time | None = None
    memory: float | None = None
    steps: float = 0.0
    seconds: float = math.nan
    data: str = ""
    is_optimal: bool = False  # no other arm on the same data is both as cheap and as good

    @property
    def is_placed(self) -> bool:
        """Whether both its cost and its quality are known, so that it can be plotted."""
        return math.isfinite(self.seconds) and math.isfinite(self.arm.metric.mean)


@dataclass(frozen=True)
class CostTable:
    """What the arms of a grid cost to train, each alone, on one machine; their qualities are those of its arm table."""

    rows: tuple[CostRow, ...]
    machine: tuple[tuple[str, str], ...]
    is_tuned: bool = False


@dataclass(frozen=True)
class KernelRow:
    """A kernel case at one size: its times by phase, and what its place below the ceilings is.

    ``places`` holds, by phase, which ceiling binds (``compute``, ``memory``, ``launch``) and the share of it reached.
    """

    case: str
    size: str
    times: Mapping[str, Time]
    places: tuple[tuple[str, str, float], ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """``relu/small``."""
        return f"{self.case}/{self.size}"

    @property
    def ratio(self) -> Interval | None:
        """Backward over forward, where both were timed."""
        both = "forward" in self.times and "backward" in self.times
        return ratio(self.times["backward"], self.times["forward"]) if both else None


@dataclass(frozen=True)
class KernelGroup:
    """Cases that belong together, in one setting."""

    name: str
    setting: str
    rows: tuple[KernelRow, ...]

    @property
    def phases(self) -> tuple[str, ...]:
        """The phases that some row has a time of, in the order of a training step."""
        return tuple(phase for phase in ("forward", "backward", "step") if any(phase in row.times for row in self.rows))

    @property
    def lines(self) -> tuple[Line, ...]:
        """Its plot: forward beside backward, or where only steps are timed, a time for each implementation.

        Implementations stand in brackets behind the name: ``adam[fused]``.
        """
        passes = [(row.name, {p: row.times[p] for p in ("forward", "backward") if p in row.times}) for row in self.rows]
        if any(times for _, times in passes):
            return tuple(line for line in passes if line[1])
        lines: dict[str, dict[str, Time]] = {}
        for row in self.rows:
            name, _, implementation = row.case.partition("[")
            lines.setdefault(f"{name}/{row.size}", {})[implementation.rstrip("]") or "step"] = row.times["step"]
        return tuple(lines.items())


@dataclass(frozen=True)
class RooflinePoint:
    """A timed phase: operations for each byte that it must move, operations a second, and what binds it."""

    name: str
    phase: str
    intensity: float
    rate: float
    bound: str


@dataclass(frozen=True)
class Roofline:
    """The measured ceilings of a setting and all that was timed below them.

    ``flops`` is in operations a second; ``copies`` holds the bytes that a copy moves and its bytes a second, ascending.
    """

    setting: str
    flops: float
    copies: tuple[tuple[float, float], ...]
    points: tuple[RooflinePoint, ...]


@dataclass(frozen=True)
class HotCold:
    """A phase, such as ``relu/small forward``, with its tensors in a cache and with them in memory."""

    name: str
    hot: Time
    cold: Time

    @property
    def ratio(self) -> Interval:
        """Cold over hot."""
        return ratio(self.cold, self.hot)


@dataclass(frozen=True)
class Kernels:
    """Everything timed of kernels on one machine."""

    machine: tuple[tuple[str, str], ...]
    groups: tuple[KernelGroup, ...]
    rooflines: tuple[Roofline, ...]
    hot_cold: tuple[HotCold, ...]
    memory: tuple[Panel, ...]
    refused: tuple[tuple[str, str], ...] = ()  # what has no number, and why
    other_machines: int = 0  # whose timings the store holds, too
