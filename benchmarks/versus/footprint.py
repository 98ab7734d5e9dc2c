"""A process that says how much memory it took: run the command line of d2lbench, then tell the peak."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PAGES = Path("/proc/self/status")


def memory(entry: str = "VmRSS") -> float:
    """Return this process's present (``VmRSS``) or largest (``VmHWM``) resident memory in MB.

    Where the kernel does not tell, the largest, from the resource limits' accounting.
    """
    with contextlib.suppress(OSError):
        for line in PAGES.read_text(encoding="ascii").splitlines():
            if line.startswith(entry):
                return int(line.split()[1]) * 1024 / 1e6
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def of_command(words: Sequence[str]) -> dict[str, Any]:
    """Run d2lbench's command line in a fresh process; return seconds, peak memory (MB) and whether torch was loaded.

    Raises
    ------
    RuntimeError
        The command failed; tells its words.
    """
    from benchmarks.versus.commands import timed

    seconds, done = timed([sys.executable, "-m", "benchmarks.versus.footprint", *words])
    return {"seconds": seconds, **json.loads(done.stderr.splitlines()[-1])}


def main() -> None:
    """Run the command, then tell the peak as the last line of standard error."""
    from d2lbench.__main__ import main as command

    try:
        command()
    except SystemExit as end:
        if end.code:
            raise
    told = {"peak": memory("VmHWM"), "torch": "torch" in sys.modules}
    sys.stderr.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
