"""Timings as plain text: a list of cases, and a table by group with its evidence and what could not be timed."""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from tabulate import tabulate

from d2lbench.report.escape import plain
from d2lbench.report.format import MINUS, NOTHING, TIMES, duration, fixed, number, size

if TYPE_CHECKING:
    from d2lbench.store.timings import KernelKey, Setting
    from d2lbench.timing.kernels import Case
    from d2lbench.timing.result import Measurement
    from d2lbench.timing.roofline import Ceilings
    from d2lbench.timing.windows import Summary

_HEADINGS: Final = (
    "case",
    "phase",
    "median",
    "95 % interval",
    "IQR",
    "windows",
    "GFLOP/s",
    "GB/s",
    "of ceiling",
    "memory",
    "",
)
_WIDTH: Final = 110
_LEFT: Final = (0, 1, 10)


def records(cases: Iterable[Case]) -> list[dict[str, Any]]:
    """Return the cases as plain data."""
    return [
        {
            "case": case.name,
            "size": case.size,
            "group": case.group,
            "phases": list(case.phases),
            "options": dict(case.options),
            "summary": case.entry.summary,
        }
        for case in cases
    ]


def listing(cases: Sequence[Case]) -> str:
    """Return the cases by group, each with its phases, and how many there are."""
    lines = []
    width = max(len(case.identity) for case in cases)
    for group, members in _grouped(cases):
        lines += ["", f"{group}:"]
        lines += [f"  {case.identity:<{width}}  {', '.join(case.phases)}" for case in members]
    phases = sum(len(case.phases) for case in cases)
    return "\n".join([f"{len(cases)} cases, {phases} phases (d2lbench time -k NAME):", *lines])


def _grouped(things: Iterable[Any]) -> Iterable[tuple[str, list[Any]]]:
    """Return what belongs to each group, groups in the order of their first member."""
    groups: dict[str, list[Any]] = {}
    for thing in things:
        groups.setdefault(thing.group, []).append(thing)
    return groups.items()


def table(measurements: Sequence[Measurement], ceilings: dict[str, Ceilings], machine: dict[str, Any]) -> str:
    """Return a table per setting, what does not add up, and what has no number with the reason."""
    from d2lbench.timing.result import sums

    lines = [_machine(machine)]
    for setting, members in itertools.groupby(measurements, lambda measurement: measurement.key.setting):
        lines += ["", _setting(setting, ceilings.get(setting.dtype))]
        timed = [member for member in members if member.samples]
        shares = sums(timed)
        for group, rows in _grouped(timed):
            lines += ["", group, *_aligned([_HEADINGS, *(_row(row, shares) for row in rows)])]
    return "\n".join([*lines, *_gaps(measurements), *_without_a_number(measurements)])


def _machine(machine: dict[str, Any]) -> str:
    names = (machine.get("gpu", machine["processor"]), f"{machine['cores']} cores", f"torch {machine['torch']}")
    return plain(", ".join((*names, f"Python {machine['python']}", f"revision {machine['commit']}")))


def _setting(setting: Setting, ceilings: Ceilings | None) -> str:
    compiled = ", compiled" if setting.compiled else ""
    threads = f"{setting.threads} thread{'s' if setting.threads > 1 else ''}"
    told = f"{setting.device}, {setting.dtype}, {threads}, {setting.kind} cache{compiled}"
    if ceilings is None:
        return told
    copies = [number(rate / 1e9) for _, rate in ceilings.copies]
    return (
        f"{told}; ceilings: {number(ceilings.flops / 1e9)} GFLOP/s, {copies[-1]} GB/s from memory "
        f"({copies[0]} from a cache), {duration(ceilings.launch)} a launch"
    )


def _row(measurement: Measurement, shares: dict[KernelKey, float]) -> tuple[str, ...]:
    samples, work, place = measurement.samples, measurement.work, measurement.place
    assert samples is not None
    summary = samples.summary
    return (
        str(measurement.key),
        measurement.key.phase,
        duration(summary.median),
        _interval(summary),
        f"{fixed(100 * summary.spread / summary.median, 1)} %",
        f"{summary.windows} {TIMES} {samples.calls}",
        number(work.flops / summary.median / 1e9) if work and work.flops else NOTHING,
        number(work.bytes / summary.median / 1e9) if work and work.bytes else NOTHING,
        f"{fixed(100 * place.share, 0)} % {place.bound}" if place else NOTHING,
        NOTHING if measurement.peak_memory is None else size(measurement.peak_memory),
        _notes(measurement, shares.get(measurement.key)),
    )


def _interval(summary: Summary) -> str:
    """Return how far the ends are from the median, in percent: `−0.4 +0.6 %`."""
    if not summary.low > 0:
        return "unknown"
    below, above = (100 * abs(end / summary.median - 1) for end in (summary.low, summary.high))
    return f"{MINUS}{fixed(below, 1)} +{fixed(above, 1)} %"


def _notes(measurement: Measurement, share: float | None) -> str:
    """Return what a reader must know of a row; of a whole, by how much it differs from the sum of its phases."""
    notes = [] if share is None else [f"{fixed(100 * share, 0, signed=True)} % on its phases' sum"]
    notes += ["unconverged"] if measurement.status == "unconverged" else []
    notes += [] if measurement.checked else ["unchecked"]
    notes += ["host-bound"] if measurement.host_bound else []
    notes += [f"end to end {duration(measurement.wall.summary.median)}"] if measurement.wall else []
    return ", ".join(notes)


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    align = ["left" if column in _LEFT else "right" for column in range(len(_HEADINGS))]
    text = tabulate(rows, tablefmt="plain", disable_numparse=True, colalign=align)
    return [f"  {line.rstrip()}" for line in text.splitlines()]


def _gaps(measurements: Sequence[Measurement]) -> list[str]:
    from d2lbench.timing.result import gaps

    told = [
        f"  {key} ({key.setting.dtype}): the whole takes {fixed(abs(100 * share), 0)} % "
        + ("longer (waiting, or caches that the phases alone find full)" if share > 0 else "less (overlap)")
        for key, share in gaps(measurements).items()
    ]
    return ["", "Phases that do not add up to the whole:", *told] if told else []


def _without_a_number(measurements: Sequence[Measurement]) -> list[str]:
    """Return what has no number: a line per case and reason, and one paragraph for all that time did not reach."""
    reasons: dict[tuple[str, str], dict[str, list[str]]] = {}
    for measurement in measurements:
        if not measurement.samples:
            cases = reasons.setdefault((measurement.status, measurement.reason), {})
            cases.setdefault(str(measurement.key), []).append(measurement.key.phase)
    if not reasons:
        return []
    missing = sum(not measurement.samples for measurement in measurements)
    lines = ["", f"No number for {missing} of {len(measurements)} phases:"]
    for (status, reason), cases in reasons.items():
        why = f"{status}: {plain(reason, 200)}"
        if status == "not reached":
            told = f"{why} ({len(cases)} cases): {', '.join(cases)}"
            lines += textwrap.wrap(told, _WIDTH, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False)
        else:
            lines += [f"  {name} {', '.join(dict.fromkeys(phases))}: {why}" for name, phases in cases.items()]
    return lines
