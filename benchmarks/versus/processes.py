"""`python -m benchmarks.versus.processes TASKS OUT JOBS`: the plain loop in loky processes, results as JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def train(task: dict[str, Any]) -> dict[str, Any]:
    """Train one listed task on one thread and return its curves."""
    import torch

    from benchmarks.versus.resident import Resident
    from benchmarks.versus.tasks import Task, resident

    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    plain = Task(**{**task, "hidden": tuple(task["hidden"])})
    torch.manual_seed(plain.seed)
    return Resident(plain, resident(plain)).train()


def main(tasks: str, out: str, jobs: str) -> None:
    """Train every task of a file and write the curves, in order."""
    from joblib import Parallel, delayed

    listed = json.loads(Path(tasks).read_text(encoding="utf-8"))
    curves = Parallel(n_jobs=int(jobs), backend="loky")(delayed(train)(task) for task in listed)
    Path(out).write_text(json.dumps(curves), encoding="utf-8")


if __name__ == "__main__":
    # By its own name, so that the workers find the function in the module and not in this process.
    from benchmarks.versus import processes

    processes.main(*sys.argv[1:])
