"""The raw numbers beside the page: which rows were measured, on what machine, and when they may be kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from d2lbench.core.errors import UsageError
from d2lbench.core.files import write_file

#: What must be the same for rows to stand in one table.
SAME = ("machine", "processor", "cores", "python", "torch", "numpy")

Results = dict[str, Any]


def read(path: Path, machine: dict[str, Any], *, quick: bool = False) -> Results:
    """Return what was measured before on this machine; nothing where there is no such file.

    Raises
    ------
    UsageError
        The file is of another machine or of other libraries, holds trials where measurements are asked for or the
        other way round, or is not one of ours.
    """
    if not path.exists():
        return {"machine": machine, "rows": {}}
    try:
        found: Results = json.loads(path.read_text(encoding="utf-8"))
        before = found["machine"]
        assert isinstance(found["rows"], dict)
    except (ValueError, KeyError, TypeError, AssertionError) as error:
        problem = f"{path} holds no measurements of versus; choose another folder with -o"
        raise UsageError(problem) from error
    differing = [f"{name} {before.get(name)} before, {machine[name]} now" for name in SAME
                 if str(before.get(name)) != str(machine[name])]  # fmt: skip
    if differing:
        problem = f"{path} was measured elsewhere ({'; '.join(differing)}); choose another folder with -o"
        raise UsageError(problem)
    if any(row["quick"] != quick for row in found["rows"].values()):
        problem = f"{path} holds {'measurements' if quick else 'trials'}; choose another folder with -o"
        raise UsageError(problem)
    return found | {"machine": machine}


def write(path: Path, results: Results) -> None:
    """Write the results as a whole or not at all."""
    write_file(path, json.dumps(results, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
