"""Our times beside those of torch's own timer, and Triton's on CUDA: `python -m benchmarks.harness.agreement`.

In one process: the same calls, threads and gradient mode. The two take turns, there and back, in several rounds; each
round gives a ratio of medians, and the rounds an interval.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from scipy import stats

from benchmarks.harness import page
from d2lbench.engine.process import prepare_process
from d2lbench.report.format import duration
from d2lbench.store.timings import KernelKey, Phase, Setting
from d2lbench.timing import cases as registered
from d2lbench.timing.clock import clock_of
from d2lbench.timing.correctness import check
from d2lbench.timing.kernels import cases
from d2lbench.timing.phases import Prepared, prepare
from d2lbench.timing.windows import RULES, collect, summarize, undisturbed

if TYPE_CHECKING:
    from d2lbench.timing.clock import Call

#: Ten calls of every kind, from microseconds to milliseconds: name, phase.
COMPARED: Final[tuple[tuple[str, Phase], ...]] = (
    ("linear", "forward"),
    ("linear", "backward"),
    ("matmul", "forward"),
    ("conv-3x3", "forward"),
    ("conv-3x3", "backward"),
    ("max-pool-2x2", "forward"),
    ("tanh", "forward"),
    ("cross-entropy", "forward"),
    ("batch-norm-2d", "backward"),
    ("mlp", "whole"),
)
#: Of the median of the ten ratios.
WITHIN: Final = 0.03
LEVEL: Final = 0.95

#: Returns seconds a call, and how long a window of calls lasts.
Meter = Callable[["Call"], tuple[float, float]]


@dataclass(frozen=True)
class Ratio:
    """A median with its interval of 95 %; of one number the ends are infinitely far apart."""

    median: float
    low: float
    high: float

    @property
    def covers_one(self) -> bool:
        """Whether nothing says that the two differ."""
        return self.low <= 1 <= self.high


@dataclass(frozen=True)
class Agreement:
    """One call, timed by us and by another.

    ``ours`` and ``theirs`` are seconds a call by round, in the order of time; ``lengths`` are the seconds of a window
    of calls, ours and theirs.
    """

    key: KernelKey
    other: str
    ours: tuple[float, ...] = field(repr=False)
    theirs: tuple[float, ...] = field(repr=False)
    lengths: tuple[float, float]

    def as_record(self) -> dict[str, Any]:
        """Return it as plain data."""
        named = {"case": str(self.key), "phase": self.key.phase, "other": self.other}
        return named | {"ours": self.ours, "theirs": self.theirs, "lengths": self.lengths}

    @property
    def ratio(self) -> Ratio:
        """Ours over theirs: the geometric mean over the rounds with Student's interval of its logarithm."""
        return interval(np.log(self.ours) - np.log(self.theirs))

    @property
    def drift(self) -> float:
        """By how much the second half of the rounds differs from the first, both timers together."""
        both = (np.log(self.ours) + np.log(self.theirs)) / 2
        half = len(both) // 2
        return float(np.expm1(both[half:].mean() - both[:half].mean())) if half else 0.0

    @property
    def reason(self) -> str:
        """What tells the two apart where the interval does not cover 1, as far as the rounds show it; else empty."""
        if self.ratio.covers_one:
            return ""
        lasting = "windows of {:.2g} ms against theirs of {:.2g} ms".format(*(1e3 * length for length in self.lengths))
        return f"{lasting}; from one half of the rounds to the other the machine changed by {abs(self.drift):.1%}"


def interval(logs: Any) -> Ratio:
    """Return the exponential of the mean of logarithms with Student's interval."""
    mean = float(np.mean(logs))
    if len(logs) < 2:
        return Ratio(math.exp(mean), 0.0, math.inf)
    half = float(stats.t.ppf((1 + LEVEL) / 2, len(logs) - 1) * np.std(logs, ddof=1) / math.sqrt(len(logs)))
    return Ratio(math.exp(mean), math.exp(mean - half), math.exp(mean + half))


def overall(found: Sequence[Agreement]) -> Ratio:
    """Return the median of the cases' ratios with its interval by order statistics."""
    summary = summarize([each.ratio.median for each in found])
    return Ratio(summary.median, summary.low, summary.high)


def agreements(
    setting: Setting, *, rounds: int = 8, seconds: float = 0.5, compared: Sequence[tuple[str, Phase]] = COMPARED
) -> Iterator[Agreement]:
    """Yield what every timer there is says of each call; each measurement takes ``seconds`` at most."""
    prepare_process(setting.threads)
    clock, rule = clock_of(setting.device), RULES[setting.device]

    def ours(call: Call) -> tuple[float, float]:
        samples = collect(call, clock, rule, time.monotonic() + seconds)
        return samples.summary.median, samples.summary.median * samples.calls

    size = "large" if setting.device == "cuda" else "small"
    known = {(case.name, case.size): case for case in cases(registered.load())}
    for name, phase in compared:
        case = known[name, size]
        built = case.build(setting.device, getattr(torch, setting.dtype))
        check(built, built.call, (phase,), case.phases, needed=case.reference_needed)
        prepared = prepare([built], phase)
        for other, meter in _others(setting, seconds):
            yield _alternated(prepared, ours, meter, rounds, (case.key(phase, setting), other))


def _alternated(prepared: Prepared, ours: Meter, theirs: Meter, rounds: int, named: tuple[KernelKey, str]) -> Agreement:
    """Return both meters' medians by round, taken in turn; a round before them warms up and does not count."""
    found: tuple[list[tuple[float, float]], ...] = ([], [])
    with torch.set_grad_enabled(prepared.records), undisturbed():
        for number in range(rounds + 1):
            for side in (0, 1) if number % 2 else (1, 0):
                found[side].append((ours, theirs)[side](prepared.call))
    seconds = [tuple(median for median, _ in side[1:]) for side in found]
    lengths = [float(np.median([length for _, length in side[1:]])) for side in found]
    return Agreement(*named, seconds[0], seconds[1], (lengths[0], lengths[1]))


def _others(setting: Setting, seconds: float) -> Iterator[tuple[str, Meter]]:
    """Yield the other timers by name."""
    from torch.utils.benchmark import Timer

    def by_torch(call: Call) -> tuple[float, float]:
        timer = Timer("call()", globals={"call": call}, num_threads=setting.threads)
        found = timer.adaptive_autorange(threshold=0.02, min_run_time=seconds / 5, max_run_time=seconds)
        return float(found.median), float(found.median) * found.number_per_run

    yield "torch.utils.benchmark", by_torch
    if setting.device == "cuda":
        from triton.testing import do_bench  # type: ignore[import-untyped]

        def by_triton(call: Call) -> tuple[float, float]:
            """Time one call at a time, with the cache overwritten before each: the same work from cold memory."""
            median = float(do_bench(call, rep=1e3 * seconds, return_mode="median")) * 1e-3
            return median, median

        yield "triton.testing.do_bench", by_triton


HEADINGS: Final = ("call", "ours", "theirs", "ours / theirs (95 % interval)", "covers 1", "what tells them apart")


def told(ratio: Ratio) -> str:
    """Return a ratio with its interval."""
    return f"{ratio.median:.3f} ({ratio.low:.3f} to {ratio.high:.3f})"


def row(each: Agreement) -> tuple[str, ...]:
    """Return a line of the table."""
    ratio = each.ratio
    medians = (duration(median(each.ours)), duration(median(each.theirs)))
    return (
        f"{each.key}, {each.key.phase}",
        *medians,
        told(ratio),
        "yes" if ratio.covers_one else "no",
        each.reason or "–",
    )


def verdict(found: list[Agreement]) -> str:
    """Return the sentence on all of them together."""
    ratio = overall(found)
    within = abs(ratio.median - 1) <= WITHIN
    return (
        f"Median of the {len(found)} ratios: {told(ratio)}; it is {'' if within else 'not '}within {WITHIN:.0%}. "
        f"{sum(each.ratio.covers_one for each in found)} of {len(found)} intervals cover 1."
    )


def lines(found: list[Agreement], setting: Setting, rounds: int) -> list[str]:
    """Return the page."""
    sections = []
    for other in dict.fromkeys(each.other for each in found):
        members = [each for each in found if each.other == other]
        sections += [f"## {other}", "", *page.table(HEADINGS, map(row, members)), "", verdict(members), ""]
    return [
        "# Our times beside those of other timers",
        "",
        f"Ten calls, each timed by both in turn ({rounds} rounds, there and back, in one process): the same tensors,",
        f"{setting.threads} thread, {setting.dtype}, the same gradient mode. A round's ratio is that of two medians.",
        "",
        *sections,
        page.machine(setting.device),
        "",
        "Made by `python -m benchmarks.harness.agreement`; the numbers are in [agreement.json](agreement.json).",
    ]


def main() -> int:
    """Measure, print each comparison, write the page; 1 where a median ratio is not within 3 %."""
    parser = page.options("Compare our harness with torch's own timer, and with Triton's where there is a GPU.")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=0.5, help="for a measurement by one timer")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    setting = Setting(given.device, threads=given.threads)
    found = []
    for each in agreements(setting, rounds=given.rounds, seconds=given.seconds):
        found.append(each)
        print(f"{each.other}:", ", ".join(row(each)), flush=True)  # noqa: T201  (its output)
    records = [each.as_record() for each in found]
    page.publish(given.output, "agreement", lines(found, setting, given.rounds), records, given.device)
    apart = []
    for other in dict.fromkeys(each.other for each in found):
        members = [each for each in found if each.other == other]
        print(f"{other}: {verdict(members)}")  # noqa: T201
        apart.append(abs(overall(members).median - 1) > WITHIN)
    return int(any(apart))


if __name__ == "__main__":
    sys.exit(main())
