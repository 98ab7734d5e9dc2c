"""What was measured, raw samples included, and the JSON that it is kept in."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from math import isfinite
from typing import TYPE_CHECKING, Any, Final, Literal

from d2lbench.core.environment import environment
from d2lbench.core.spec import digest
from d2lbench.store.machines import machine_key
from d2lbench.store.timings import Timing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from d2lbench.timing.built import Phase
    from d2lbench.timing.roofline import Ceilings, Place, Work
    from d2lbench.timing.stopping import Summary

FORMAT = 1
#: Beyond this share the phases do not add up to the whole, and the table says so.
GAP = 0.10
_PARTS: tuple[Phase, ...] = ("forward-train", "backward")

#: ``refused`` is wrong or unknown, ``failed`` broke, ``skipped`` cannot be measured so, ``not reached`` had no time.
Status = Literal["precise", "unconverged", "refused", "failed", "skipped", "not reached"]


@dataclass(frozen=True)
class Setting:
    """How cases are measured: what is the same for every row of a table, and what is an axis."""

    device: str = "cpu"
    dtype: str = "float32"
    threads: int = 1
    compiled: bool = False
    cold: bool = False

    @property
    def kind(self) -> str:
        """``hot`` or ``cold``: two kinds of time that never share a column."""
        return "cold" if self.cold else "hot"


@dataclass(frozen=True)
class Measurement:
    """One phase of one case: a time with its evidence, or the reason why there is none.

    ``seconds`` holds a raw number per window, in the order of time, each the mean of ``calls`` calls. ``end_to_end`` is
    there on CUDA only: the wall time from an idle device to an idle device. ``peak_memory`` is the most bytes held at
    once beyond what the case's own tensors take, of ``forward`` (a prediction) and of ``whole`` (training).
    """

    case: str
    group: str
    size: str
    phase: Phase
    setting: Setting
    status: Status
    reason: str = ""
    checked: bool = False
    calls: int = 0
    seconds: tuple[float, ...] = field(default=(), repr=False)
    summary: Summary | None = None
    host_bound: bool = False
    end_to_end: Summary | None = None
    work: Work | None = None
    place: Place | None = None
    peak_memory: int | None = None

    @property
    def timed(self) -> bool:
        """Whether there is a number."""
        return self.summary is not None


@dataclass(frozen=True)
class Sum:
    """How a case's phases add up: whole over forward-train and backward, less 1."""

    case: str
    size: str
    setting: Setting
    share: float


def sums(measurements: Sequence[Measurement]) -> tuple[Sum, ...]:
    """Return what the whole takes beyond the sum of forward-train and backward, of each case that has all three.

    More than the sum is waiting (for the host, for memory that the phases found in a cache); less is overlap. Times
    without an interval say nothing of it.
    """
    medians = {
        (m.case, m.size, m.setting, m.phase): m.summary.median
        for m in measurements
        if m.summary is not None and isfinite(m.summary.precision)
    }
    found = []
    for (case, size, setting, phase), whole in medians.items():
        parts = [medians.get((case, size, setting, part)) for part in _PARTS]
        if phase == "whole" and None not in parts:
            found.append(Sum(case, size, setting, whole / sum(part for part in parts if part is not None) - 1))
    return tuple(found)


def gaps(measurements: Sequence[Measurement]) -> tuple[Sum, ...]:
    """Return where the whole differs by more than a tenth from the sum of forward-train and backward."""
    return tuple(found for found in sums(measurements) if abs(found.share) > GAP)


def as_record(
    measurements: Sequence[Measurement], ceilings: dict[str, Ceilings], machine: dict[str, Any], began: str
) -> dict[str, Any]:
    """Return everything as plain data: the machine, the ceilings by dtype, and each measurement with its samples."""
    return {
        "format": FORMAT,
        "what": "timings",
        "began": began,
        "machine": machine,
        "ceilings": {dtype: asdict(found) for dtype, found in ceilings.items()},
        "measurements": [_record(measurement) for measurement in measurements],
        "sums": [{**asdict(found), "kind": found.setting.kind} for found in sums(measurements)],
        "gaps": [{**asdict(gap), "kind": gap.setting.kind} for gap in gaps(measurements)],
    }


def _record(measurement: Measurement) -> dict[str, Any]:
    setting = asdict(measurement.setting) | {"kind": measurement.setting.kind}
    return {**asdict(measurement), "setting": setting}


@dataclass(frozen=True)
class Observed:
    """What became of a kernel in a round: numbers by name, or why there are none.

    Beside ``time``, the median of the windows in seconds, stand the ends of its interval and the count of windows, and
    whether it was known well enough (1) or time ran out (0).
    """

    status: Literal["done", "failed", "skipped"]
    reason: str = ""
    values: dict[str, float] = field(default_factory=dict)


#: What had no time, or cannot be timed so, says nothing of a kernel and leaves an older row alone.
_SILENT: Final = ("not reached", "skipped")


def rows_of(record: Mapping[str, Any]) -> list[Timing]:
    """Return the rows of a record: its machine, its ceilings, what was measured and refused, and memory.

    The moment at which it began goes with the machine.
    """
    machine = machine_key(record["machine"])
    rows = []
    for each in record["measurements"]:
        if each["status"] not in _SILENT:
            named = {name: each[name] for name in ("case", "size", "phase", "setting")}
            rows.append(Timing("case", digest(named), machine, _environment(each["setting"]), dict(each)))
    settings = [each["setting"] for each in record["measurements"]]
    for dtype, ceilings in record["ceilings"].items():
        setting = next((each for each in settings if each["dtype"] == dtype), None)
        if setting is not None:
            shared = {name: setting[name] for name in ("device", "dtype", "threads")}
            content = {**shared, **ceilings}
            rows.append(Timing("ceilings", digest(shared), machine, _environment(setting), content))
    for each in record.get("memory", ()):
        named = {name: value for name, value in each.items() if name != "bytes"}
        rows.append(Timing("memory", digest(named), machine, _environment(each), dict(each)))
    facts = {**record["machine"], "began": record["began"]}
    return [Timing("machine", "", machine, key, facts) for key in sorted({row.environment for row in rows})] + rows


def _environment(setting: Mapping[str, Any]) -> str:
    return environment(str(setting["device"])).key
