"""What a report says of times and costs, as plain frozen records: seconds, bytes, and raw labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from d2lbench.analysis.figures import Interval, Panel


@dataclass(frozen=True)
class Time:
    """A call's median time in seconds with its 95 % interval; the ends are NaN where too few windows were timed.

    ``status`` is ``precise``, or ``unconverged`` where time ran out before the interval was narrow.
    """

    median: float
    low: float
    high: float
    status: str = "precise"


@dataclass(frozen=True)
class Ratio:
    """One time over another with its 95 % interval; NaN ends where either has none."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class CostRow:
    """An arm's costs beside how well it does. Rows with one ``program`` share what was measured, as they do the same.

    ``memory`` is in bytes; ``seconds`` is what a whole run's training steps take, NaN where no step was timed.
    """

    context: str
    label: str
    is_baseline: bool
    quality: Interval
    program: int | None
    parameters: int = 0
    batch: int = 0
    forward: Time | None = None
    backward: Time | None = None
    step: Time | None = None
    memory: float | None = None
    steps: float = 0.0
    seconds: float = float("nan")
    is_optimal: bool = False  # no other arm on the same data is both as cheap and as good


@dataclass(frozen=True)
class CostPoint:
    """An arm in a plot of quality against cost; ``low`` and ``high`` bound the quality."""

    label: str
    context: str
    is_baseline: bool
    cost: float
    quality: float
    low: float
    high: float
    is_optimal: bool


@dataclass(frozen=True)
class CostPlot:
    """The arms that are judged on the same data."""

    title: str
    metric: str
    unit: str
    is_log: bool
    points: tuple[CostPoint, ...]


@dataclass(frozen=True)
class CostTable:
    """What the arms of a grid cost to train, each alone, on one machine."""

    metric: str
    unit: str
    as_ratio: bool
    rows: tuple[CostRow, ...]
    plots: tuple[CostPlot, ...]
    machine: tuple[tuple[str, str], ...]
    is_tuned: bool = False


@dataclass(frozen=True)
class KernelRow:
    """A kernel case at one size: its phases side by side, and what its place below the ceilings is.

    ``places`` holds, by phase, which ceiling binds (``compute``, ``memory``, ``launch``) and the share of it reached.
    """

    case: str
    size: str
    forward: Time | None = None
    backward: Time | None = None
    step: Time | None = None
    ratio: Ratio | None = None
    places: tuple[tuple[str, str, float], ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class DotRow:
    """One line of a plot of times: what each of some series took."""

    label: str
    times: tuple[tuple[str, Time], ...]


@dataclass(frozen=True)
class DotPlot:
    """Times on one axis, a line for each thing, a dot for each series."""

    title: str
    series: tuple[str, ...]
    rows: tuple[DotRow, ...]


@dataclass(frozen=True)
class KernelGroup:
    """Cases that belong together, in one setting."""

    name: str
    setting: str
    rows: tuple[KernelRow, ...]
    plot: DotPlot


@dataclass(frozen=True)
class RooflinePoint:
    """A timed phase: operations for each byte that it must move, operations a second, and what binds it."""

    case: str
    group: str
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
    """A phase with its tensors in a cache and with them in memory."""

    case: str
    size: str
    phase: str
    hot: Time
    cold: Time
    ratio: Ratio


@dataclass(frozen=True)
class Kernels:
    """Everything timed of kernels on one machine."""

    machine: tuple[tuple[str, str], ...]
    groups: tuple[KernelGroup, ...]
    rooflines: tuple[Roofline, ...]
    hot_cold: tuple[HotCold, ...]
    hot_cold_plot: DotPlot | None
    memory: tuple[Panel, ...]
    refused: tuple[tuple[str, str], ...] = ()  # what has no number, and why
    other_machines: int = 0  # whose timings the store holds, too
