"""From the record that `d2lbench time` makes to rows of the store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from d2lbench.environment import environment
from d2lbench.spec import digest
from d2lbench.store.timings import Timing, machine_key

#: What had no time, or cannot be timed so, says nothing of a kernel and leaves an older row alone.
_SILENT: Final = ("not reached", "skipped")


def rows_of(record: Mapping[str, Any]) -> list[Timing]:
    """Return the rows of a record: its machine, its ceilings, what was measured and refused, and memory.

    The moment at which it began goes with the machine.
    """
    machine = machine_key(record["machine"])
    rows = []
    for each in record["measurements"]:
        if each["status"] not in _SILENT:
            named = {name: each[name] for name in ("case", "size", "phase", "setting")}
            rows.append(Timing("case", digest(named), machine, _environment(each["setting"]), dict(each)))
    settings = [each["setting"] for each in record["measurements"]]
    for dtype, ceilings in record["ceilings"].items():
        setting = next((each for each in settings if each["dtype"] == dtype), None)
        if setting is not None:
            shared = {name: setting[name] for name in ("device", "dtype", "threads")}
            content = {**shared, **ceilings}
            rows.append(Timing("ceilings", digest(shared), machine, _environment(setting), content))
    for each in record.get("memory", ()):
        named = {name: value for name, value in each.items() if name != "bytes"}
        rows.append(Timing("memory", digest(named), machine, _environment(each), dict(each)))
    facts = {**record["machine"], "began": record["began"]}
    return [Timing("machine", "", machine, key, facts) for key in sorted({row.environment for row in rows})] + rows


def _environment(setting: Mapping[str, Any]) -> str:
    return environment(str(setting["device"])).key
