"""Which machine: times compare on one alone, so what was timed is stored under the machine's own environment."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Final

from d2lbench.core.environment import provenance

if TYPE_CHECKING:
    from collections.abc import Mapping

    from d2lbench.grid.model import Grid
    from d2lbench.store.store import Store

#: What makes two machines one, for times: what computes, and the library that computes with it.
_IDENTIFYING: Final = ("machine", "processor", "cores", "torch", "gpu", "cuda")
_DIGITS: Final = 16


def timed_environment(environment: str, facts: Mapping[str, Any]) -> str:
    """Return the environment of what is timed on the machine that some facts tell of."""
    return f"{environment}/machine-{machine_key(facts)[:_DIGITS]}"


def environment_of(grid: Grid, store: Store, environment: str) -> str:
    """Return under which environment a grid's runs lie: of kernels that of one machine, never of several.

    That is this machine, or where it has timed nothing of the grid the one that has timed it last.
    """
    if not grid.is_timed:
        return environment
    here = timed_environment(environment, provenance())
    known = [name for name in store.environments() if name.startswith(f"{environment}/machine-")]
    cells = [cell.id for cell in grid.cells()]
    last = {
        name: max((run.sequence for run in store.runs(name, cells, contents=False).values()), default=0)
        for name in known
    }
    timed = {name: sequence for name, sequence in last.items() if sequence}
    return here if here in timed or not timed else max(timed, key=lambda name: timed[name])


def machine_key(facts: Mapping[str, Any]) -> str:
    """Return the key of the machine that some facts tell of; how busy it is, or the revision, makes it no other."""
    told = {name: facts[name] for name in _IDENTIFYING if name in facts}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
