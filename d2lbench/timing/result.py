"""What was measured of kernels, raw samples included, and the plain data that it is kept in."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from math import isfinite
from typing import TYPE_CHECKING, Any, Final, Literal

from d2lbench.core.environment import environment
from d2lbench.core.spec import digest
from d2lbench.store.machines import machine_key
from d2lbench.store.timings import KernelKey, Kind, Phase, Timing

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from d2lbench.timing.roofline import Ceilings, Place, Work
    from d2lbench.timing.windows import Samples, Summary

FORMAT = 1
#: Beyond this share the phases do not add up to the whole, and the table says so.
GAP = 0.10
_PARTS: Final[tuple[Phase, ...]] = ("forward-train", "backward")

#: ``refused`` is wrong or unknown, ``failed`` broke, ``skipped`` cannot be measured so, ``not reached`` had no time.
Status = Literal["precise", "unconverged", "refused", "failed", "skipped", "not reached"]


@dataclass(frozen=True)
class Measurement:
    """What was seen of what a key asks for: samples of its time with evidence, or the reason why there are none.

    ``wall`` is there on CUDA only: the wall time from an idle device to an idle device. ``peak_memory`` is the most
    bytes held at once beyond what the case's own tensors take, of ``forward`` (a prediction) and of ``whole``
    (training).
    """

    key: KernelKey
    group: str
    status: Status
    reason: str = ""
    checked: bool = False
    samples: Samples | None = field(default=None, repr=False)
    wall: Samples | None = field(default=None, repr=False)
    work: Work | None = None
    place: Place | None = None
    peak_memory: int | None = None

    @property
    def summary(self) -> Summary | None:
        """Median, interval and number of the windows; None where there is no number."""
        return self.samples.summary if self.samples else None

    @property
    def host_bound(self) -> bool:
        """Whether the device waits for its host."""
        return self.samples is not None and self.key.setting.device != "cpu" and self.samples.host_bound

    def as_record(self) -> dict[str, Any]:
        """Return it as plain data, with every sample: seconds a call, a number for each window in the order of time."""
        key, samples = self.key.as_record(), self.samples
        return {
            "case": key["case"],
            "group": self.group,
            **key,
            "status": self.status,
            "reason": self.reason,
            "checked": self.checked,
            "calls": samples.calls if samples else 0,
            "seconds": samples.seconds if samples else (),
            "summary": asdict(samples.summary) if samples else None,
            "host_bound": self.host_bound,
            "end_to_end": asdict(self.wall.summary) if self.wall else None,
            "work": asdict(self.work) if self.work else None,
            "place": asdict(self.place) if self.place else None,
            "peak_memory": self.peak_memory,
        }


def sums(measurements: Iterable[Measurement]) -> dict[KernelKey, float]:
    """Return, by the key of the whole, what it takes beyond the sum of forward-train and backward, as a share of it.

    More than the sum is waiting (for the host, for memory that the phases found in a cache); less is overlap. Times
    without an interval say nothing of it.
    """
    medians = {
        each.key: each.summary.median
        for each in measurements
        if each.summary is not None and isfinite(each.summary.precision)
    }
    parts = {key: [medians.get(replace(key, phase=part)) for part in _PARTS] for key in medians if key.phase == "whole"}
    return {
        key: medians[key] / (forward + backward) - 1
        for key, (forward, backward) in parts.items()
        if forward is not None and backward is not None
    }


def gaps(measurements: Iterable[Measurement]) -> dict[KernelKey, float]:
    """Return where the whole differs by more than a tenth from the sum of forward-train and backward."""
    return {key: share for key, share in sums(measurements).items() if abs(share) > GAP}


def as_record(
    measurements: Sequence[Measurement], ceilings: dict[str, Ceilings], machine: dict[str, Any], began: str
) -> dict[str, Any]:
    """Return everything as plain data: the machine, the ceilings by dtype, and each measurement with its samples."""
    return {
        "format": FORMAT,
        "what": "timings",
        "began": began,
        "machine": machine,
        "ceilings": {dtype: asdict(best) for dtype, best in ceilings.items()},
        "measurements": [measurement.as_record() for measurement in measurements],
        "sums": [_share(*each) for each in sums(measurements).items()],
        "gaps": [_share(*each) for each in gaps(measurements).items()],
    }


def _share(key: KernelKey, share: float) -> dict[str, Any]:
    setting = asdict(key.setting)
    return {"case": key.case, "size": key.size, "setting": setting, "share": share, "kind": key.setting.kind}


#: What had no time, or cannot be timed so, says nothing of a kernel and leaves an older row alone.
_SILENT: Final = ("not reached", "skipped")


def rows_of(record: Mapping[str, Any]) -> list[Timing]:
    """Return the rows of a record: its machine, its ceilings, what was measured and refused, and memory.

    The moment at which it began goes with the machine.
    """
    machine = machine_key(record["machine"])

    def row(kind: Kind, key: str, device: str, content: Mapping[str, Any]) -> Timing:
        return Timing(kind, key, machine, environment(device).key, dict(content))

    rows, keys = [], [KernelKey.of_record(each) for each in record["measurements"]]
    for key, each in zip(keys, record["measurements"], strict=True):
        if each["status"] not in _SILENT:
            rows.append(row("case", key.digest, key.setting.device, each))
    for dtype, ceilings in record["ceilings"].items():
        setting = next((key.setting for key in keys if key.setting.dtype == dtype), None)
        if setting is not None:
            shared = {"device": setting.device, "dtype": dtype, "threads": setting.threads}
            rows.append(row("ceilings", digest(shared), setting.device, {**shared, **ceilings}))
    for each in record.get("memory", ()):
        named = {name: value for name, value in each.items() if name != "bytes"}
        rows.append(row("memory", digest(named), each["device"], each))
    facts = {**record["machine"], "began": record["began"]}
    return [Timing("machine", "", machine, key, facts) for key in sorted({each.environment for each in rows})] + rows
