"""What the store's timings of kernels say: phases side by side, ratios, ceilings, caches, memory."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from d2lbench.analysis.figures import Curve, Panel
from d2lbench.analysis.timing_model import (
    DotPlot,
    DotRow,
    HotCold,
    KernelGroup,
    KernelRow,
    Kernels,
    Ratio,
    Roofline,
    RooflinePoint,
    Time,
)

if TYPE_CHECKING:
    from d2lbench.store import Store, Timing

#: The facts of a machine that a reader of times needs first, in order.
_FACTS: Final = (
    "processor", "gpu", "cores", "threads", "vector_instructions", "last_level_cache", "system", "python", "torch",
    "commit", "subnormals", "governor", "load", "began",
)  # fmt: skip
_MEBIBYTE: Final = 2.0**20
_SHOWN_PHASES: Final = ("forward", "backward", "step")
_MEMORY_AXES: Final = {"depth": "hidden layers", "batch": "examples in a batch"}


def kernels(store: Store, environment: str) -> Kernels | None:
    """Return what was timed of kernels in an environment, on the machine that was timed last; None where nothing."""
    stored = [each for each in store.timings("case") if each.environment == environment]
    if not stored:
        return None
    machine = stored[-1].machine

    def own(timings: Iterable[Timing]) -> list[dict[str, Any]]:
        return [each.content for each in timings if (each.machine, each.environment) == (machine, environment)]

    cases = own(stored)
    facts = own(store.timings("machine"))
    timed = [case for case in cases if case["summary"]]
    hot_cold = tuple(_hot_cold(timed))
    return Kernels(
        machine=told_machine(facts[-1] if facts else {}),
        groups=tuple(_groups(timed)),
        rooflines=tuple(_rooflines(timed, own(store.timings("ceilings")))),
        hot_cold=hot_cold,
        hot_cold_plot=_hot_cold_plot(hot_cold),
        memory=tuple(_memory(own(store.timings("memory")))),
        refused=tuple((_identity(case) + f" {case['phase']}", case["reason"]) for case in cases if not case["summary"]),
        other_machines=len({each.machine for each in stored}) - 1,
    )


def told_machine(facts: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Return a machine's facts in words, the ones first that decide times."""
    told = {name: _told(name, facts[name]) for name in _FACTS if facts.get(name) is not None}
    return tuple((name.replace("_", " "), text) for name, text in told.items())


def _told(name: str, value: Any) -> str:
    if name == "last_level_cache":
        return f"{value / _MEBIBYTE:g} MiB"
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def time_of(summary: Mapping[str, Any] | None, status: str) -> Time | None:
    """Return a stored summary as a time; None where there is none."""
    if not summary or not summary.get("median"):
        return None
    low, high = (_number(summary.get(end)) for end in ("low", "high"))
    return Time(float(summary["median"]), low, high, status)


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)


def ratio(first: Time, second: Time) -> Ratio:
    """Return first over second; its interval recovers the variances of both logarithms from their own intervals.

    Zou and Donner, Construction of confidence limits about effect measures (2008): the distances of the log ratio's
    ends are the roots of the sums of squares of the distances that move it the same way.
    """
    value = first.median / second.median
    down = math.hypot(_log(first.median, first.low), _log(second.high, second.median))
    up = math.hypot(_log(first.high, first.median), _log(second.median, second.low))
    return Ratio(value, value * math.exp(-down), value * math.exp(up))


def _log(larger: float, smaller: float) -> float:
    """Return the log of a ratio; NaN where an end of an interval is unknown."""
    return math.log(larger / smaller) if larger > 0 and smaller > 0 else math.nan


def setting_label(setting: Mapping[str, Any]) -> str:
    """Return a setting in words: ``float32, 1 thread, hot cache``."""
    threads = setting["threads"]
    parts = [setting["device"]] if setting["device"] != "cpu" else []
    parts += [setting["dtype"]]
    parts += [f"{threads} thread{'s' if threads > 1 else ''}"] if setting["device"] == "cpu" else []
    parts += [f"{'cold' if setting['cold'] else 'hot'} cache", *(["compiled"] if setting["compiled"] else [])]
    return ", ".join(parts)


def _identity(case: Mapping[str, Any]) -> str:
    return f"{case['case']}/{case['size']}"


def _gathered(cases: Iterable[Mapping[str, Any]], key: Any) -> dict[Any, list[Mapping[str, Any]]]:
    found: dict[Any, list[Mapping[str, Any]]] = {}
    for case in cases:
        found.setdefault(key(case), []).append(case)
    return found


# ---------------------------------------------------------------------------------------------------------- groups


def _groups(cases: Sequence[Mapping[str, Any]]) -> Iterator[KernelGroup]:
    """Yield the groups, a setting after the other; hot before cold, as it is timed first."""
    ordered = sorted(cases, key=lambda case: (_setting_order(case["setting"]), case["group"]))
    for (setting, group), members in _gathered(
        ordered, lambda case: (setting_label(case["setting"]), case["group"])
    ).items():
        rows = tuple(_row(phases) for phases in _gathered(members, _identity).values())
        shown = tuple(row for row in rows if row.forward or row.backward or row.step)
        if shown:
            yield KernelGroup(group, setting, shown, _plot(f"{group}, {setting}", shown))


def _setting_order(setting: Mapping[str, Any]) -> tuple[Any, ...]:
    return (
        setting["compiled"],
        setting["cold"],
        setting["dtype"] != "float32",
        setting["dtype"],
        setting["threads"],
    )


def _row(members: Sequence[Mapping[str, Any]]) -> KernelRow:
    """Return a case's phases in one row, each as it was timed last."""
    by_phase = {case["phase"]: case for case in members}
    times = {phase: time_of(case["summary"], case["status"]) for phase, case in by_phase.items()}
    forward, backward = times.get("forward"), times.get("backward")
    places = tuple(
        (phase, str(place["bound"]), float(place["share"]))
        for phase in _SHOWN_PHASES
        if phase in by_phase and (place := by_phase[phase].get("place"))
    )
    notes = [f"{phase} unconverged" for phase in _SHOWN_PHASES if (time := times.get(phase)) and _open(time)]
    notes += [f"{phase} host-bound" for phase in _SHOWN_PHASES if by_phase.get(phase, {}).get("host_bound")]
    return KernelRow(
        case=str(members[0]["case"]),
        size=str(members[0]["size"]),
        forward=forward,
        backward=backward,
        step=times.get("step"),
        ratio=ratio(backward, forward) if forward and backward else None,
        places=places,
        notes=tuple(notes),
    )


def _open(time: Time) -> bool:
    return time.status != "precise"


def _plot(title: str, rows: Sequence[KernelRow]) -> DotPlot:
    """Return a group's plot: forward beside backward, or where only steps are timed, a dot for each implementation.

    Implementations stand in brackets behind the name: ``adam[fused]``.
    """
    if any(row.forward or row.backward for row in rows):
        pairs = [
            DotRow(
                f"{row.case}/{row.size}",
                tuple((name, time) for name, time in (("forward", row.forward), ("backward", row.backward)) if time),
            )
            for row in rows
        ]
        return DotPlot(title, ("forward", "backward"), tuple(pair for pair in pairs if pair.times))
    lines: dict[str, list[tuple[str, Time]]] = {}
    for row in rows:
        name, _, implementation = row.case.partition("[")
        if row.step is not None:
            lines.setdefault(f"{name}/{row.size}", []).append((implementation.rstrip("]") or "step", row.step))
    series = dict.fromkeys(name for times in lines.values() for name, _ in times)
    return DotPlot(title, tuple(series), tuple(DotRow(label, tuple(times)) for label, times in lines.items()))


# ------------------------------------------------------------------------------------------------------- rooflines


def _rooflines(cases: Sequence[Mapping[str, Any]], ceilings: Sequence[Mapping[str, Any]]) -> Iterator[Roofline]:
    """Yield a roofline for every setting whose ceilings were measured, forward and backward passes below them."""
    for found in ceilings:
        own = [case for case in cases if all(case["setting"][name] == found[name] for name in _SHARED)]
        for setting, members in _gathered(own, lambda case: setting_label(case["setting"])).items():
            points = tuple(point for case in members if (point := _point(case)) is not None)
            if points:
                copies = tuple((float(size), float(rate)) for size, rate in found["copies"])
                yield Roofline(setting, float(found["flops"]), copies, points)


_SHARED: Final = ("device", "dtype", "threads")


def _point(case: Mapping[str, Any]) -> RooflinePoint | None:
    work, place = case.get("work"), case.get("place")
    if case["phase"] not in _SHOWN_PHASES or not work or not place or not (work["flops"] and work["bytes"]):
        return None
    intensity, rate = work["flops"] / work["bytes"], work["flops"] / case["summary"]["median"]
    return RooflinePoint(_identity(case), str(case["group"]), case["phase"], intensity, rate, str(place["bound"]))


# ---------------------------------------------------------------------------------------------------- hot and cold


def _hot_cold(cases: Sequence[Mapping[str, Any]]) -> Iterator[HotCold]:
    """Yield every phase that was timed both ways, all else being equal."""

    def key(case: Mapping[str, Any]) -> tuple[Any, ...]:
        setting = case["setting"]
        return (case["case"], case["size"], case["phase"], setting["compiled"], *(setting[name] for name in _SHARED))

    for members in _gathered(cases, key).values():
        by_kind = {bool(case["setting"]["cold"]): time_of(case["summary"], case["status"]) for case in members}
        hot, cold = by_kind.get(False), by_kind.get(True)
        first = members[0]
        if hot and cold and first["phase"] in _SHOWN_PHASES:
            yield HotCold(first["case"], first["size"], first["phase"], hot, cold, ratio(cold, hot))


def _hot_cold_plot(pairs: Sequence[HotCold]) -> DotPlot | None:
    rows = tuple(
        DotRow(f"{pair.case}/{pair.size} {pair.phase}", (("hot", pair.hot), ("cold", pair.cold))) for pair in pairs
    )
    return DotPlot("hot and cold cache", ("hot", "cold"), rows) if rows else None


# ---------------------------------------------------------------------------------------------------------- memory


def _memory(rows: Sequence[Mapping[str, Any]]) -> Iterator[Panel]:
    """Yield a panel for every axis that memory was measured along: training beside prediction, in mebibytes."""
    for axis, members in _gathered(rows, lambda row: row["axis"]).items():
        curves = []
        for what, points in _gathered(members, lambda row: row["what"]).items():
            ordered = sorted(points, key=lambda row: row[axis])
            x = tuple(float(row[axis]) for row in ordered)
            y = tuple(row["bytes"] / _MEBIBYTE for row in ordered)
            curves.append(Curve(str(what), x, y, y, y, is_baseline=what == "training"))
        yield Panel(str(members[0]["network"]), _MEMORY_AXES.get(axis, axis), "peak memory, MiB", tuple(curves))
