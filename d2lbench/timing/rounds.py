"""Rounds of kernels: what claims read and the store lacks is measured, each round in a fresh process of its own.

A round is to kernels what a seed is to training: one value of each kernel, paired with the others of that round. What a
claim compares is measured side by side, so that a machine that warms up or cools down touches both sides alike; one
round's order is the next one's in reverse.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

from d2lbench.core.environment import environment, provenance
from d2lbench.core.interrupts import Stop
from d2lbench.core.progress import Progress
from d2lbench.core.seeding import key_integer
from d2lbench.core.spec import canonical_json, digest
from d2lbench.store import Run
from d2lbench.store.machines import timed_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from d2lbench.core.spec import Cell, Component
    from d2lbench.grid.arms import Arm
    from d2lbench.grid.model import Grid
    from d2lbench.store import Store
    from d2lbench.timing.result import Observed

#: Seconds for the time of a kernel in a round where there is no budget.
SECONDS_EACH: Final = 0.6
#: Seconds that the start of a round's process takes, about.
SECONDS_TO_START: Final = 4.0


class Measurer(Protocol):
    """What measures kernels on a machine that it knows: a process of its own, or a stand-in."""

    def machine(self) -> dict[str, Any]:
        """Return the facts of the machine."""
        ...

    def measure(self, kernel: Component, wanted: frozenset[str], seconds: float) -> Observed:
        """Return what became of a kernel that is measured for about so many seconds."""
        ...


@dataclass
class Summary:
    """What became of the rounds: how many there are, how many the store had, and why kernels have no number."""

    rounds: int = 0
    kernels: int = 0
    stored_before: int = 0
    measured: int = 0
    reasons: dict[str, int] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether every kernel has its number in every round."""
        return not self.reasons

    def text(self) -> str:
        """Return it in words."""
        told = f"{self.rounds:,} rounds of {self.kernels:,} kernels: {self.stored_before:,} in the store already"
        lines = [f"{told}; measured now: {self.measured:,}"]
        lines += [f"  {count:,} without a number: {reason}" for reason, count in sorted(self.reasons.items())]
        return "\n".join(lines)


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
        place = timed_environment(environment(self.device).key, self._machine())
        asked, order = wanted(grids), Order(grids)
        finished = self.store.finished(place)
        rounds = {
            seed: [cell for cell in cells if not asked[cell.id] <= finished.get(cell.id, frozenset())]
            for seed, cells in _by_seed(grids).items()
        }
        missing = {seed: order.of(seed, cells) for seed, cells in sorted(rounds.items()) if cells}
        self.summary.rounds, self.summary.stored_before = len(rounds), len(rounds) - len(missing)
        self.summary.kernels = max((len(cells) for cells in _by_seed(grids).values()), default=0)
        total = sum(map(len, missing.values()))
        with Progress(total, quiet=self.quiet, unit="kernels") as progress, Stop() as stop:
            self._measure(missing, asked, place, progress, stop)
        return self.summary

    def _machine(self) -> dict[str, Any]:
        """Return the facts that tell this machine from others; of a GPU only its own process knows them."""
        if self.device == "cpu":
            return dict(provenance())
        with self.opened() as measurer:
            return measurer.machine()

    def _measure(
        self,
        missing: Mapping[int, Sequence[Cell]],
        asked: Mapping[str, frozenset[str]],
        place: str,
        progress: Progress,
        stop: Stop,
    ) -> None:
        budget = self.budget if self.budget is not None else _usual(missing, asked)
        end = self.now() + budget
        for done, (seed, cells) in enumerate(missing.items()):
            until = self.now() + max(0.0, end - self.now()) / (len(missing) - done)
            with self.opened() as measurer:
                facts = measurer.machine()
                if not done:
                    _warn_of_others(facts, progress)
                rows = []
                for place_in_round, cell in enumerate(cells):
                    share = max(0.0, until - self.now()) / (len(cells) - place_in_round)
                    rows.append(_row(cell, measurer.measure(_kernel(cell), asked[cell.id], share), asked[cell.id]))
                    progress.advance(1, f"round {seed}")
                    if stop.asked:
                        raise KeyboardInterrupt
            self.store.save(place, f"round {seed}", rows, {**facts, "device": self.device})
            self.summary.measured += 1
            for row in rows:
                if row.status != "done":
                    reason = f"{_kernel(cells[rows.index(row)]).label()}: {row.reason}"
                    self.summary.reasons[reason] = self.summary.reasons.get(reason, 0) + 1


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
                    keys = [_key(arm) for arm in part.arms]
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


def _key(arm: Arm) -> str:
    return digest(dict(arm.config.identity))


def _by_seed(grids: Iterable[Grid]) -> dict[int, list[Cell]]:
    """Return the distinct cells of some grids, round by round."""
    found: dict[int, dict[str, Cell]] = {}
    for grid in grids:
        for cell in grid.cells():
            found.setdefault(cell.seed, {}).setdefault(cell.id, cell)
    return {seed: list(cells.values()) for seed, cells in found.items()}


def _usual(missing: Mapping[int, Sequence[Cell]], asked: Mapping[str, frozenset[str]]) -> float:
    """Return how many seconds the rounds get where nobody says: what is only counted takes next to none."""
    timed = sum("time" in asked[cell.id] for cells in missing.values() for cell in cells)
    return SECONDS_EACH * timed + SECONDS_TO_START * len(missing)


def _warn_of_others(facts: Mapping[str, Any], progress: Progress) -> None:
    """Say so when there is no idle core: nobody else's work belongs beside a timing."""
    cores, load = os.cpu_count() or 1, float(facts.get("load", 0.0))
    if load + 1 > cores + 0.5:
        progress.tell(f"other work is running (load {load:.1f} on {cores} cores); times are less sure")


def _kernel(cell: Cell) -> Component:
    return cell.config.experiment  # type: ignore[union-attr]  # cells of rounds have nothing else


def _row(cell: Cell, observed: Observed, asked: frozenset[str]) -> Run:
    import numpy as np

    series = {name: (np.zeros(1), np.array([value], dtype=np.float64)) for name, value in observed.values.items()}
    identity = canonical_json(cell.config.identity)
    extras = asked if observed.status == "done" else frozenset[str]()
    return Run(cell.id, cell.seed, identity, observed.status, observed.reason, extras=extras, series=series)
