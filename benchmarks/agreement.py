"""Compare our times with those of torch's timer, and Triton's on CUDA: `python -m benchmarks.agreement`."""

from __future__ import annotations

import sys
from dataclasses import asdict
from statistics import median

from benchmarks import page
from benchmarks.harness.timers import WITHIN, Agreement, Ratio, agreements, overall
from d2lbench.report.format import duration
from d2lbench.timing.result import Setting

HEADINGS = ("call", "ours", "theirs", "ours / theirs (95 % interval)", "covers 1", "what tells them apart")


def told(ratio: Ratio) -> str:
    """Return a ratio with its interval."""
    return f"{ratio.median:.3f} ({ratio.low:.3f} to {ratio.high:.3f})"


def row(each: Agreement) -> tuple[str, ...]:
    """Return a line of the table."""
    ratio = each.ratio
    medians = (duration(median(each.ours)), duration(median(each.theirs)))
    return (
        f"{each.case}, {each.phase}",
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
        "Made by `python -m benchmarks.agreement`; the numbers are in [agreement.json](agreement.json).",
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
    page.publish(
        given.output, "agreement", lines(found, setting, given.rounds), [asdict(each) for each in found], given.device
    )
    apart = []
    for other in dict.fromkeys(each.other for each in found):
        members = [each for each in found if each.other == other]
        print(f"{other}: {verdict(members)}")  # noqa: T201
        apart.append(abs(overall(members).median - 1) > WITHIN)
    return int(any(apart))


if __name__ == "__main__":
    sys.exit(main())
