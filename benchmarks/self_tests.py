"""Put the timing harness to the test on this machine: `python -m benchmarks.self_tests -o reports/timing`."""

from __future__ import annotations

import sys

from benchmarks import page
from benchmarks.harness.selftests import Finding, self_tests
from d2lbench.engine.process import prepare_process


def told(each: Finding) -> str:
    """Return what was found, and why that is neither yes nor no."""
    return "; ".join(part for part in (each.found, each.reason) if part)


def lines(found: list[Finding], device: str) -> list[str]:
    """Return the page."""
    rows = [(each.claim, told(each), each.verdict) for each in found]
    return [
        "# The timing harness put to the test",
        "",
        "What must be found is put there, and what is equal must come out equal. The same rules are proved on",
        "simulated machines by `tests/timing`; here they meet a real one. Pairs are timed in turn, window by window,",
        "and called different where the 99.5 % interval of the median ratio does not hold 1.",
        "",
        *page.table(("must hold", "found", "verdict"), rows),
        "",
        page.machine(device),
        "",
        "Made by `python -m benchmarks.self_tests`; the numbers are in [self-tests.json](self-tests.json).",
    ]


def main() -> int:
    """Run the self-tests, print what each finds, write the page; 1 where one fails."""
    parser = page.options("Put the timing harness to the test on this machine.")
    parser.add_argument("--trials", type=int, default=100, help="injected slow-downs")
    parser.add_argument("--pairs", type=int, default=300, help="pairs of equal kernels")
    given = parser.parse_args()
    prepare_process(1)
    found = []
    for each in self_tests(given.device, trials=given.trials, pairs=given.pairs):
        found.append(each)
        print(f"{each.verdict:<8} {each.claim}: {told(each)}", flush=True)  # noqa: T201  (its output)
    records = [each.as_record() for each in found]
    print(page.publish(given.output, "self-tests", lines(found, given.device), records, given.device))  # noqa: T201
    return int(any(each.verdict == "fails" for each in found))


if __name__ == "__main__":
    sys.exit(main())
