"""Commands as fresh processes, whose failure is told in their own words."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def timed(words: Sequence[str]) -> tuple[float, subprocess.CompletedProcess[str]]:
    """Run a command from the root of the checkout; return the wall seconds it took, and what it said.

    Raises
    ------
    RuntimeError
        It failed; tells the command and the end of what it said.
    """
    began = time.perf_counter()
    done = subprocess.run(words, cwd=ROOT, check=False, capture_output=True, text=True)  # noqa: S603
    seconds = time.perf_counter() - began
    if done.returncode:
        problem = f"{' '.join(words)} ended with {done.returncode}: {done.stdout[-1000:]}{done.stderr[-2000:]}"
        raise RuntimeError(problem)
    return seconds, done
