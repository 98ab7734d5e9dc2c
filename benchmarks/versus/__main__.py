"""`python -m benchmarks.versus [ROW…]`: measure rows, keep their numbers, write the page."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from d2lbench.core.errors import D2lbenchError, UsageError, nearest_name

#: Where figures of a trial go: never among the published ones.
TRIAL = Path(".d2lbench/versus-quick")


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.versus", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help="measure these again; none: those not measured yet")
    parser.add_argument("--pairs", type=int, default=5, help="alternated pairs kept of each row (default 5)")
    parser.add_argument("-o", "--output", type=Path, help=f"folder of the page (default reports, --quick: {TRIAL})")
    parser.add_argument("--quick", action="store_true", help="one small pair of each row, to see that it runs")
    parser.add_argument("--list", action="store_true", help="name the rows and stop")
    parser.add_argument("--render", action="store_true", help="write the page anew and measure nothing")
    return parser.parse_args(arguments)


def check_rows(asked: Sequence[str], known: Sequence[str]) -> None:
    """Refuse rows that there are not.

    Raises
    ------
    UsageError
        Names such a row and the nearest.
    """
    for name in asked:
        if name not in known:
            near = nearest_name(name, known)
            hint = f'; did you mean "{near}"?' if near else ""
            problem = f'no row is called "{name}"; rows: {", ".join(known)}{hint}'
            raise UsageError(problem)


def chosen(asked: Sequence[str], known: Sequence[str], measured: Sequence[str]) -> list[str]:
    """Return the rows to measure: those asked for, else those that were not measured yet."""
    return list(dict.fromkeys(asked)) or [name for name in known if name not in measured]


def run(asked: argparse.Namespace) -> list[str]:
    """Measure what is asked for, row by row, keeping each as soon as it is done; return the rows that failed."""
    from benchmarks.versus import page, results, runner
    from benchmarks.versus.needs import missing
    from benchmarks.versus.rows import ROWS
    from d2lbench.engine.process import prepare_process
    from d2lbench.timing.machine import fingerprint

    if asked.pairs < 1:
        problem = f"--pairs: given {asked.pairs}; allowed: 1 or more"
        raise UsageError(problem)
    check_rows(asked.rows, tuple(ROWS))
    if asked.list:
        sys.stdout.write("".join(f"{name}: {row.work}\n" for name, row in ROWS.items()))
        return []
    jobs = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    prepare_process(jobs)
    folder = asked.output or (TRIAL if asked.quick else Path("reports"))
    kept = folder / "performance.json"
    failed: list[str] = []
    found = results.read(kept, fingerprint("cpu"), quick=asked.quick)
    for name in [] if asked.render else chosen(asked.rows, tuple(ROWS), tuple(found["rows"])):
        if why := missing(ROWS[name].needs):
            _tell(f"{name}: not measured: {why}")
            continue
        pairs = 1 if asked.quick else asked.pairs
        try:
            found["rows"][name] = runner.measure(ROWS[name], pairs=pairs, jobs=jobs, quick=asked.quick, tell=_tell)
        except (RuntimeError, OSError) as error:  # a command of this row failed: the others are worth measuring
            _tell(f"{name}: failed: {error}")
            failed.append(name)
            continue
        results.write(kept, found)
    _tell(str(page.write(folder / "performance.md", found, ROWS)))
    return failed


def _tell(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run and return the exit code: 1 where a row failed, 2 where something asked for cannot be."""
    try:
        failed = run(parse(arguments))
    except D2lbenchError as error:
        sys.stderr.write(f"versus: {error}\n")
        return 2
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
