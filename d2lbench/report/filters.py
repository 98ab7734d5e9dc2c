"""What the templates call: the numbers of the analysis' records in words."""

from __future__ import annotations

import math
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from d2lbench.report import claims, published
from d2lbench.report.costs import cost_caption
from d2lbench.report.dots import compared, spark
from d2lbench.report.escape import stem
from d2lbench.report.format import (
    NOTHING,
    TIMES,
    Effect,
    Unit,
    counted,
    duration,
    durations,
    exact,
    fixed,
    number,
    seeds_in_words,
    sentence,
    size,
)
from d2lbench.report.kernels import DOTS, HOT_COLD, MEMORY, ROOFLINE
from d2lbench.report.words import KINDS, ORIGINS, caveats, in_headline, scale_sentence, second_line, tally, verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from d2lbench.analysis.figures import ArmTable, Interval
    from d2lbench.analysis.model import CheckView
    from d2lbench.analysis.statistics.estimates import Interval as Estimate
    from d2lbench.analysis.timing_model import Kernels, Time
    from d2lbench.report.words import Verdict

STATES: Final = ("done", "diverged", "failed", "skipped", "missing")


def unit(table: ArmTable) -> Unit:
    """Return how the numbers of a table are told."""
    return Unit(table.unit, table.as_ratio)


def mean(interval: Interval, unit: Unit) -> Effect:
    """Return a mean over seeds and its interval."""
    return unit.levels(interval.mean, interval.low, interval.high)


def change(interval: Interval | None, unit: Unit) -> Effect:
    """Return a mean difference and its interval; a dash where there is none."""
    if interval is None or math.isnan(interval.mean):
        return Effect(NOTHING, "")
    return unit.effect(interval.mean, interval.low, interval.high)


def is_known(interval: Interval | None) -> bool:
    """Whether an interval has a mean."""
    return interval is not None and math.isfinite(interval.mean)


def check_verdict(check: CheckView) -> Verdict:
    """Return how the outcome of a check is shown."""
    if check.passed is None:
        return verdict("not run")
    return verdict("supported", "passed") if check.passed else verdict("refuted", "failed")


def states(counts: Mapping[str, int]) -> str:
    """Return ``71 done, 1 diverged``: the states that some run is in, those of the store first."""
    shown = [state for state in (*STATES, *sorted(set(counts) - set(STATES))) if counts.get(state)]
    return ", ".join(f"{counts[state]:,} {state}" for state in shown) or "no runs"


def time(time: Time | None) -> Effect:
    """Return a median time and its interval; a dash where nothing was timed."""
    if time is None:
        return Effect(NOTHING, "")
    told, interval = durations(time.median, time.low, time.high)
    return Effect(told, "" if interval == NOTHING else interval)


def ratio(ratio: Estimate | None) -> Effect:
    """Return ``×1.5`` and its interval; a dash where only one of the two was timed."""
    if ratio is None:
        return Effect(NOTHING, "")
    known = math.isfinite(ratio.low) and math.isfinite(ratio.high)
    interval = f"{number(ratio.low)}, {number(ratio.high)}" if known else ""
    return Effect(f"{TIMES}{number(ratio.estimate)}", interval)


def note(times: Iterable[Time | None]) -> str:
    """Return ``unconverged`` where some time's interval was not narrow enough when time ran out; else nothing."""
    return next((time.status for time in times if time is not None and time.status != "precise"), "")


def timed(kernels: Kernels) -> str:
    """Say how many kernels were timed and how much longer backward takes than forward."""
    rows = [row for group in kernels.groups for row in group.rows]
    ratios = sorted(row.ratio.estimate for row in rows if row.ratio is not None)
    told = f"{counted(len(rows), 'kernel')} timed"
    if ratios:
        told += (
            f"; of {len(ratios):,} timed both ways, backward takes {number(median(ratios))} times as long as forward,"
            f" in the median, and from {number(ratios[0])} to {number(ratios[-1])} times"
        )
    others = kernels.other_machines
    return told + (f". The store holds timings of {counted(others, 'other machine')}, too." if others else ".")


FILTERS: Final[dict[str, Callable[..., Any]]] = {
    # claims, their parts, and published numbers
    "claim_anchor": claims.anchor,
    "claim_facts": claims.facts,
    "compared": compared,
    "corrected_p": claims.corrected_p,
    "deciding": claims.deciding,
    "effect": claims.effect,
    "kind_help": lambda kind: KINDS.get(kind, ""),
    "marks": claims.marks,
    "origin": lambda origin: ORIGINS.get(origin, origin),
    "ours": published.ours,
    "part_effect": claims.part_effect,
    "part_facts": claims.part_facts,
    "part_p": claims.part_p,
    "published_anchor": published.anchor,
    "seed_lines": claims.seed_lines,
    "seeds_behind": claims.seeds_behind,
    "spark": spark,
    "strip": published.strip,
    "theirs": published.theirs,
    "verdict_of": claims.verdict_of,
    # everything else
    "caveats": caveats,
    "change": change,
    "counted": counted,
    "duration": duration,
    "exact": exact,
    "first_line": published.first_line,
    "fixed": fixed,
    "mean": mean,
    "note": note,
    "published_line": published.published_line,
    "ratio": ratio,
    "scale_sentence": scale_sentence,
    "second_line": second_line,
    "seeds": seeds_in_words,
    "sentence": sentence,
    "size": size,
    "states": states,
    "tally": tally,
    "time": time,
    "timed": timed,
    "unit": unit,
    "verdict": check_verdict,
}
TESTS: Final[dict[str, Callable[..., bool]]] = {"known": is_known, "finite": math.isfinite, "in_headline": in_headline}
GLOBALS: Final[dict[str, Any]] = {
    "captions": {"dots": DOTS, "hot_cold": HOT_COLD, "memory": MEMORY, "roofline": ROOFLINE},
    "cost_caption": cost_caption,
    "stem": stem,
}
