"""What the store's timings of kernels say: phases side by side, ratios, ceilings, caches, memory."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from d2lbench.analysis.figures import Curve, Panel
from d2lbench.analysis.timing_model import HotCold, KernelGroup, KernelRow, Kernels, Roofline, RooflinePoint, Time

if TYPE_CHECKING:
    from d2lbench.store import Store

#: The facts of a machine that a reader of times needs first, in order.
_FACTS: Final = (
    "processor", "gpu", "cores", "threads", "vector_instructions", "last_level_cache", "system", "python", "torch",
    "commit", "subnormals", "governor", "load", "began",
)  # fmt: skip
_MEBIBYTE: Final = 2.0**20
_SHOWN_PHASES: Final = ("forward", "backward", "step")
_MEMORY_AXES: Final = {"depth": "hidden layers", "batch": "examples in a batch"}
#: What a timing shares with the ceilings that it is held against, and with its twin of the other cache.
_SHARED: Final = ["device", "dtype", "threads"]
_COLUMNS: Final = [
    "case", "size", "name", "group", "phase", "time", "host_bound", "bound", "share", "flops", "bytes",
    "setting", "compiled", "cold", *_SHARED,
]  # fmt: skip


def kernels(store: Store, environment: str) -> Kernels | None:
    """Return what was timed of kernels in an environment, on the machine that was timed last; None where nothing."""
    stored = [each for each in store.timings("case") if each.environment == environment]
    if not stored:
        return None
    machine = stored[-1].machine

    def own(kind: Any) -> list[dict[str, Any]]:
        here = (machine, environment)
        return [each.content for each in store.timings(kind) if (each.machine, each.environment) == here]

    cases = own("case")
    facts = own("machine")
    timed = _frame([case for case in cases if case["summary"]])
    return Kernels(
        machine=told_machine(facts[-1] if facts else {}),
        groups=tuple(_groups(timed)),
        rooflines=tuple(_rooflines(timed, own("ceilings"))),
        hot_cold=tuple(_hot_cold(timed)),
        memory=tuple(_memory(own("memory"))),
        refused=tuple(
            (f"{case['case']}/{case['size']} {case['phase']}", case["reason"]) for case in cases if not case["summary"]
        ),
        other_machines=len({each.machine for each in stored}) - 1,
    )


def told_machine(facts: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Return a machine's facts in words, the ones first that decide times."""

    def words(name: str, value: Any) -> str:
        if name == "last_level_cache":
            return f"{value / _MEBIBYTE:g} MiB"
        return f"{value:.2f}" if isinstance(value, float) else str(value)

    known = {name: facts[name] for name in _FACTS if facts.get(name) is not None}
    return tuple((name.replace("_", " "), words(name, value)) for name, value in known.items())


def time_of(summary: Mapping[str, Any] | None, status: str) -> Time | None:
    """Return a stored summary as a time; None where there is none."""
    if not summary or not summary.get("median"):
        return None
    low, high = (math.nan if (value := summary.get(end)) is None else float(value) for end in ("low", "high"))
    return Time(float(summary["median"]), low, high, status)


def _frame(cases: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return a row for each timed phase: what it is, in which setting, its time, its work and what binds it."""
    rows = []
    for case in cases:
        place, work = case.get("place") or {}, case.get("work") or {}
        row = {name: case[name] for name in ("case", "size", "group", "phase")}
        row |= {"name": f"{case['case']}/{case['size']}", "time": time_of(case["summary"], case["status"])}
        row |= {"host_bound": bool(case.get("host_bound")), "bound": place.get("bound"), "share": place.get("share")}
        row |= {"flops": work.get("flops") or 0.0, "bytes": work.get("bytes") or 0.0}
        row |= {name: case["setting"][name] for name in ("compiled", "cold", *_SHARED)}
        rows.append(row | {"setting": setting_label(case["setting"])})
    return pd.DataFrame(rows, columns=_COLUMNS, dtype=object).dropna(subset="time")


def setting_label(setting: Mapping[str, Any]) -> str:
    """Return a setting in words: ``float32, 1 thread, hot cache``."""
    threads = setting["threads"]
    parts = [setting["device"]] if setting["device"] != "cpu" else []
    parts += [setting["dtype"]]
    parts += [f"{threads} thread{'s' if threads > 1 else ''}"] if setting["device"] == "cpu" else []
    parts += [f"{'cold' if setting['cold'] else 'hot'} cache", *(["compiled"] if setting["compiled"] else [])]
    return ", ".join(parts)


def _groups(timed: pd.DataFrame) -> Iterator[KernelGroup]:
    """Yield the groups, a setting after the other: hot before cold, as it is timed first, and float32 before others."""
    order = ["compiled", "cold", "is_other", "dtype", "threads", "group"]
    ordered = timed.assign(is_other=timed["dtype"] != "float32").sort_values(order, kind="stable")
    for (setting, group), members in ordered.groupby(["setting", "group"], sort=False):
        rows = tuple(_row(phases) for _, phases in members.groupby("name", sort=False))
        if shown := tuple(row for row in rows if row.times):
            yield KernelGroup(str(group), str(setting), shown)


def _row(phases: pd.DataFrame) -> KernelRow:
    """Return a case's phases in one row, each as it was timed last."""
    last = {row["phase"]: row for row in phases.to_dict("records")}
    shown = {phase: last[phase] for phase in _SHOWN_PHASES if phase in last}
    notes = [f"{phase} unconverged" for phase, row in shown.items() if row["time"].status != "precise"]
    return KernelRow(
        case=str(phases["case"].iloc[0]),
        size=str(phases["size"].iloc[0]),
        times={phase: row["time"] for phase, row in shown.items()},
        places=tuple((phase, row["bound"], float(row["share"])) for phase, row in shown.items() if row["bound"]),
        notes=(*notes, *(f"{phase} host-bound" for phase, row in shown.items() if row["host_bound"])),
    )


def _rooflines(timed: pd.DataFrame, ceilings: Sequence[Mapping[str, Any]]) -> Iterator[Roofline]:
    """Yield a roofline for every setting whose ceilings were measured, with every phase that does some work below."""
    placed = timed[timed["phase"].isin(_SHOWN_PHASES) & timed["bound"].notna() & (timed["flops"] * timed["bytes"] > 0)]
    for ceiling in ceilings:
        own = placed[(placed[_SHARED] == [ceiling[name] for name in _SHARED]).all(axis=1)]
        copies = tuple((float(size), float(rate)) for size, rate in ceiling["copies"])
        for setting, members in own.groupby("setting", sort=False):
            points = tuple(
                RooflinePoint(
                    row["name"],
                    row["phase"],
                    row["flops"] / row["bytes"],
                    row["flops"] / row["time"].median,
                    row["bound"],
                )
                for row in members.to_dict("records")
            )
            yield Roofline(str(setting), float(ceiling["flops"]), copies, points)


def _hot_cold(timed: pd.DataFrame) -> Iterator[HotCold]:
    """Yield every phase that was timed both ways, all else being equal."""
    shown = timed[timed["phase"].isin(_SHOWN_PHASES)]
    for (name, phase, *_), members in shown.groupby(["name", "phase", "compiled", *_SHARED], sort=False):
        by_cache = dict(zip(members["cold"].map(bool), members["time"], strict=True))
        if len(by_cache) == 2:  # noqa: PLR2004  (hot and cold)
            yield HotCold(f"{name} {phase}", by_cache[False], by_cache[True])


def _memory(rows: Sequence[Mapping[str, Any]]) -> Iterator[Panel]:
    """Yield a panel for every axis that memory was measured along: training beside prediction, in mebibytes."""
    measured = pd.DataFrame(rows, columns=["axis", "what", "network", "bytes", *_MEMORY_AXES])
    for axis in map(str, measured["axis"].unique()):
        members, curves = measured[measured["axis"] == axis], []
        for what, points in members.groupby("what", sort=False):
            ordered = points.sort_values(axis, kind="stable")
            x, y = tuple(ordered[axis].astype(float)), tuple(ordered["bytes"] / _MEBIBYTE)
            curves.append(Curve(str(what), x, y, y, y, is_baseline=what == "training"))
        yield Panel(str(members["network"].iloc[0]), _MEMORY_AXES[axis], "peak memory, MiB", tuple(curves))
