"""`d2lbench time` as a command: its flags, and which of its two ways they ask for."""

from __future__ import annotations

from typing import Any

import typer

from d2lbench.commands import flags
from d2lbench.commands.printing import show


def time_(
    grids: flags.TimedGrids = None,
    *,
    claims: flags.TimeClaims = False,
    patterns: flags.Cases = None,
    phases: flags.Phases = None,
    sizes: flags.CaseSizes = None,
    dtypes: flags.Dtypes = None,
    device: flags.TimeDevice = flags.Device.cpu,
    threads: flags.Threads = 1,
    budget: flags.Budget = None,
    compiled: flags.Compiled = False,
    cold: flags.Cold = False,
    list_cases: flags.ListCases = False,
    output: flags.TimingsFile = None,
    store: flags.StoreFlag = flags.STORE,
    scale: flags.ScaleFlag = flags.Scale.quick,
    seeds: flags.Rounds = None,
    plugins: flags.Plugins = None,
    as_json: flags.Json = False,
) -> None:
    """Time kernels forward and backward, each checked first, beside the ceilings of this machine.

    A time is a median of windows with its 95 % interval; what is wrong, or not known well enough, is said so. Times
    are kept in the store, where the report finds them; newer ones take the place of older ones. With
    --claims, every claim of the grids about kernels is put to the test in fresh processes, one value a process.
    """
    from d2lbench.api import time_claims as timing_claims

    asked: Any = {"patterns": patterns, "phases": phases, "sizes": sizes, "dtypes": dtypes or ["float32"]}
    asked = {name: tuple(map(str, words or ())) for name, words in asked.items()}
    asked |= {"device": device.value, "threads": threads, "budget": budget, "compiled": compiled, "cold": cold}
    if claims:
        how: Any = {"-k": patterns, "--phase": phases, "--size": sizes, "--dtype": dtypes, "--threads": threads != 1}
        how |= {"--compile": compiled, "--cold": cold, "--list": list_cases, "-o": output}
        timing_claims.refuse_with_claims(how)
        places: Any = {"store": store, "scale": scale.value, "device": device.value, "seeds": seeds}
        _claims(tuple(grids or ()), budget, as_json=as_json, plugins=tuple(plugins or ()), **places)
        return
    timing_claims.refuse_without_claims(grids, seeds)
    _cases({**asked, "plugins": tuple(plugins or ())}, output, store, list_cases=list_cases, as_json=as_json)


def _claims(names: tuple[str, ...], budget: float | None, *, as_json: bool, **about: Any) -> None:
    from d2lbench.api import time_claims as timing_claims
    from d2lbench.api.session import Request

    answered = timing_claims.run(Request(names=names, **about), budget)
    show(answered.as_json() if as_json else answered.text())
    if answered.exit_code:
        raise typer.Exit(answered.exit_code)


def _cases(asked: dict[str, Any], output: Any, store: Any, *, list_cases: bool, as_json: bool) -> None:
    from d2lbench.api import time as timing_command
    from d2lbench.commands import time_table
    from d2lbench.core.files import json_text

    request = timing_command.Request(**asked)
    if list_cases:
        cases = request.cases()
        show(json_text(time_table.records(cases)) if as_json else time_table.listing(cases))
        return
    timed = timing_command.run(request)
    show(timed.as_json() if as_json else time_table.table(timed.measurements, timed.ceilings, timed.machine))
    if output is not None:
        timed.write(output)
    timed.save(store)
    if timed.exit_code:
        raise typer.Exit(timed.exit_code)
