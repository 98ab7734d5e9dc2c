"""Rounds of kernels: what claims read and the store lacks is measured, each round in a fresh process of its own.

A round is to kernels what a seed is to training: one value of each kernel, paired with the others of that round. What a
claim compares is measured side by side, so that a machine that warms up or cools down touches both sides alike; one
round's order is the next one's in reverse.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from d2lbench.core.environment import environment
from d2lbench.core.errors import CannotError, TimingError
from d2lbench.core.interrupts import Stop
from d2lbench.core.progress import Progress
from d2lbench.core.seeding import key_integer
from d2lbench.core.spec import canonical_json, digest
from d2lbench.store import Run
from d2lbench.store.machines import timed_environment
from d2lbench.timing.clock import Budget
from d2lbench.timing.machine import identity, other_work
from d2lbench.timing.process import Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from d2lbench.core.spec import Cell, Component
    from d2lbench.grid.model import Grid
    from d2lbench.store import Store
    from d2lbench.timing.process import Measurer

#: Seconds for the time of a kernel in a round where there is no budget.
SECONDS_EACH: Final = 0.6
#: Seconds that the start of a round's process takes, about.
SECONDS_TO_START: Final = 4.0


@dataclass
class Summary(Tally):
    """What became of the rounds: how many the store had, how many were measured, and why kernels have no number."""

    rounds: int = 0
    kernels: int = 0

    def text(self) -> str:
        """Return it in words."""
        words = f"{self.rounds:,} rounds of {self.kernels:,} kernels: {self.known:,} in the store already"
        return "\n".join([f"{words}; measured now: {self.measured:,}", *self.reasons("without a number")])


@dataclass
class Rounds:
    """Measures kernels round by round into a store; ``budget`` in seconds for all rounds together, None for the usual.

    ``opened`` gives the process of a round. What was asked for earlier and is there is not measured again.
    """

    store: Store
    opened: Callable[[], AbstractContextManager[Measurer]]
    device: str = "cpu"
    budget: float | None = None
    quiet: bool = False
    now: Callable[[], float] = time.monotonic
    summary: Summary = field(default_factory=Summary)

    def run(self, grids: Sequence[Grid]) -> Summary:
        """Measure what is missing of the grids' kernels and return the summary.

        Raises
        ------
        StoreError
            The storage failed; finished rounds are kept.
        KeyboardInterrupt
            Ctrl-C or SIGTERM: finished rounds are stored, the one that was cut off is not.
        """
        place = timed_environment(environment(self.device).key, identity(self.device))
        asked, order = wanted(grids), Order(grids)
        finished = self.store.finished(place)
        rounds = {
            seed: [cell for cell in cells if not asked[cell.id] <= finished.get(cell.id, frozenset())]
            for seed, cells in _by_seed(grids).items()
        }
        missing = {seed: order.of(seed, cells) for seed, cells in sorted(rounds.items()) if cells}
        self.summary.rounds, self.summary.known = len(rounds), len(rounds) - len(missing)
        self.summary.kernels = max((len(cells) for cells in _by_seed(grids).values()), default=0)
        total = sum(map(len, missing.values()))
        with Progress(total, quiet=self.quiet, unit="kernels") as progress, Stop() as stop:
            self._measure(missing, asked, place, progress, stop)
        return self.summary

    def _measure(
        self,
        missing: Mapping[int, Sequence[Cell]],
        asked: Mapping[str, frozenset[str]],
        place: str,
        progress: Progress,
        stop: Stop,
    ) -> None:
        usual = SECONDS_EACH * sum("time" in asked[cell.id] for cells in missing.values() for cell in cells)
        usual += SECONDS_TO_START * len(missing)  # what is only counted takes next to no time
        time_left = Budget(usual if self.budget is None else self.budget, len(missing), self.now)
        for seed, cells in missing.items():
            time_of_round = Budget(time_left.share(), len(cells), self.now)
            with self.opened() as measurer:
                try:
                    facts = measurer.machine()
                except TimingError:  # the process died over them; the next one may measure
                    facts = {}
                if seed == min(missing) and (warning := other_work(float(facts.get("load", 0.0)), threads=1)):
                    progress.tell(warning)
                rows = []
                for cell in cells:
                    rows.append(self._row(measurer, cell, time_of_round.share(), asked[cell.id]))
                    progress.advance(1, f"round {seed}")
                    if stop.asked:
                        raise KeyboardInterrupt
            self.store.save(place, f"round {seed}", rows, {**facts, "device": self.device})
            self.summary.measured += 1
            for cell, row in zip(cells, rows, strict=True):
                if row.status != "done":
                    self.summary.fail(f"{_kernel(cell).label()}: {row.reason}")

    @staticmethod
    def _row(measurer: Measurer, cell: Cell, seconds: float, asked: frozenset[str]) -> Run:
        """Return what became of a kernel in a round."""
        named = cell.id, cell.seed, canonical_json(cell.config.identity)
        try:
            values = measurer.measure(cell, seconds, asked)
        except TimingError as error:
            return Run(*named, "skipped" if isinstance(error, CannotError) else "failed", str(error))
        series = {name: (np.zeros(1), np.array([value], dtype=np.float64)) for name, value in values.items()}
        return Run(*named, "done", extras=asked, series=series)


def wanted(grids: Iterable[Grid]) -> dict[str, frozenset[str]]:
    """Return, by cell, what is to be measured of it: what claims and ``metrics`` read, its time where nobody says."""
    found: dict[str, frozenset[str]] = {}
    for grid in grids:
        named: dict[str, set[str]] = {}
        for part in (part for claim in grid.claims for part in claim.parts):
            for arm in part.arms:
                named.setdefault(arm.label, set()).update(part.measure.metric.series)
        for arm in grid.chosen():
            own = named.get(arm.label) or {"time"}
            for seed in grid.seeds:
                cell = arm.default(seed).id
                found[cell] = found.get(cell, frozenset()) | own
    return found


class Order:
    """In which order kernels are measured: neighbours are what some claim compares, directly or through others."""

    def __init__(self, grids: Iterable[Grid]) -> None:
        self._leader: dict[str, str] = {}
        for grid in grids:
            for claim in grid.claims:
                for part in claim.parts:
                    keys = [digest(dict(arm.config.identity)) for arm in part.arms]
                    for key in keys:
                        self._leader[self._find(key)] = self._find(keys[0])

    def _find(self, key: str) -> str:
        """Return who stands for everything that is compared with ``key``."""
        while (leader := self._leader.get(key, key)) != key:
            key = leader
        return key

    def of(self, seed: int, cells: Iterable[Cell]) -> list[Cell]:
        """Return the cells of a round in the order in which they are measured: of every two rounds, one reversed."""
        pair, reverse = divmod(seed, 2)

        def place(cell: Cell) -> tuple[int, int]:
            own = digest(dict(cell.config.identity))
            return key_integer(pair, "neighbours", self._find(own)), key_integer(pair, "kernel", own)

        return sorted(cells, key=place, reverse=bool(reverse))


def _by_seed(grids: Iterable[Grid]) -> dict[int, list[Cell]]:
    """Return the distinct cells of some grids, round by round."""
    found: dict[int, dict[str, Cell]] = {}
    for grid in grids:
        for cell in grid.cells():
            found.setdefault(cell.seed, {}).setdefault(cell.id, cell)
    return {seed: list(cells.values()) for seed, cells in found.items()}


def _kernel(cell: Cell) -> Component:
    return cell.config.experiment  # type: ignore[union-attr]  # cells of rounds have nothing else
