"""`d2lbench time`: which cases, in which settings, and what is printed, kept and returned."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from d2lbench.api.session import refuse_missing_device
from d2lbench.catalogue import plugins
from d2lbench.core.errors import UsageError
from d2lbench.core.files import json_text, write_file
from d2lbench.core.interrupts import Stop
from d2lbench.core.progress import Progress
from d2lbench.store.timings import PHASES, Setting
from d2lbench.timing import cases as registered
from d2lbench.timing.kernels import Case, cases, select

if TYPE_CHECKING:
    from collections.abc import Iterable

    from d2lbench.timing.result import Measurement
    from d2lbench.timing.roofline import Ceilings

WRONG, INCOMPLETE, INTERRUPTED = 1, 3, 130


@dataclass(frozen=True)
class Request:
    """What the command line asks for; an empty tuple means everything."""

    patterns: tuple[str, ...] = ()
    phases: tuple[str, ...] = ()
    sizes: tuple[str, ...] = ()
    dtypes: tuple[str, ...] = ("float32",)
    device: str = "cpu"
    threads: int = 1
    budget: float | None = None
    compiled: bool = False
    cold: bool = False
    plugins: tuple[Path, ...] = ()

    def cases(self) -> tuple[Case, ...]:
        """Return the cases that are asked for, plugins' among them."""
        registry = registered.load()
        plugins.load(self.plugins)
        return select(cases(registry), self.patterns, self.sizes, self.phases)

    def settings(self) -> tuple[Setting, ...]:
        """Return one setting per dtype.

        Raises
        ------
        UsageError
            The device is missing, or two flags exclude each other.
        """
        if self.compiled and self.cold:
            problem = "--compile with --cold: each of many sets of tensors would be compiled anew; choose one"
            raise UsageError(problem)
        refuse_missing_device(self.device)
        first = Setting(self.device, threads=self.threads, compiled=self.compiled, cold=self.cold)
        return tuple(replace(first, dtype=dtype) for dtype in dict.fromkeys(self.dtypes))


@dataclass(frozen=True)
class Timed:
    """What was measured, on which machine, and how the command ends."""

    measurements: tuple[Measurement, ...]
    ceilings: dict[str, Ceilings]
    machine: dict[str, Any]
    began: str
    interrupted: bool
    memory: tuple[dict[str, Any], ...] = ()

    @property
    def exit_code(self) -> int:
        """1 where a case is wrong, 3 where one broke or was left out, 130 where Ctrl-C came, else 0."""
        statuses = {measurement.status for measurement in self.measurements}
        if self.interrupted:
            return INTERRUPTED
        if "refused" in statuses:
            return WRONG
        return INCOMPLETE if statuses & {"failed", "skipped", "not reached"} else 0

    def as_record(self) -> dict[str, Any]:
        """Return everything, raw samples included, as plain data."""
        from d2lbench.timing.result import as_record

        return {**as_record(self.measurements, self.ceilings, self.machine, self.began), "memory": list(self.memory)}

    def as_json(self) -> str:
        """Return the same as JSON."""
        return json_text(self.as_record())

    def write(self, path: Path) -> None:
        """Write the JSON to a file, whole or not at all."""
        write_file(path, self.as_json() + "\n")

    def save(self, store: Path) -> None:
        """Put everything that has a number, or was refused, into a store, where the report finds it.

        Raises
        ------
        StoreError
            It cannot be opened or written.
        """
        if any(measurement.samples or measurement.status == "refused" for measurement in self.measurements):
            from d2lbench.store import Store
            from d2lbench.timing.result import rows_of

            with Store(store) as opened:
                opened.save_timings(rows_of(self.as_record()))


def run(request: Request) -> Timed:
    """Measure what is asked for, with a bar on standard error; Ctrl-C keeps what has been measured."""
    chosen, settings = request.cases(), request.settings()
    from d2lbench.timing.machine import fingerprint, load, other_work
    from d2lbench.timing.measure import Campaign

    if warning := other_work(load(), request.threads):
        sys.stderr.write(f"d2lbench: {warning}\n")
    measurements = []
    with Stop() as stop:
        campaign = Campaign(chosen, settings, request.phases or PHASES, request.budget, lambda: stop.asked)
        began = datetime.now(UTC).isoformat(timespec="seconds")
        with Progress(campaign.total, unit="phases") as progress:
            for measurement in campaign.run():
                measurements.append(measurement)
                progress.advance(1, str(measurement.key))
        memory = () if stop.asked else _memory(chosen, request.device)
        facts = fingerprint(request.device)
        return Timed(tuple(measurements), campaign.ceilings, facts, began, stop.asked, memory)


def _memory(chosen: Iterable[Case], device: str) -> tuple[dict[str, Any], ...]:
    """Return how memory grows with a perceptron, where networks are timed; it takes a second."""
    if not any(case.group == "networks" for case in chosen):
        return ()
    from d2lbench.timing.counting import memory_scaling

    return tuple(memory_scaling(device))
