"""What a row of the comparison says, and what measuring it gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

Fact: TypeAlias = str | float


@dataclass(frozen=True)
class Setting:
    """How rows are measured.

    ``quick`` asks for small sizes, to see that a row runs; its figures say nothing. ``jobs`` is the number of worker
    processes and of threads that a side may use; ``folder`` is scratch space that ends with the row.
    """

    folder: Path
    jobs: int
    quick: bool = False


@dataclass(frozen=True)
class Sample:
    """What one side took: wall seconds for so many units of the row, and what else is worth telling."""

    seconds: float
    units: float
    facts: Mapping[str, Fact] = field(default_factory=dict)

    @property
    def per_unit(self) -> float:
        """Seconds per unit, by which sides that did different amounts are compared."""
        return self.seconds / self.units


#: One side of a comparison: given the number of the pair, from 0, do the work and say what it took.
Side: TypeAlias = Callable[[int], Sample]


@dataclass(frozen=True)
class Contest:
    """Ours against theirs: the ratio of their seconds per unit to ours.

    Attributes
    ----------
    at_least
        The ratio asked for; none where the row only informs.
    alike
        What each side evaluates, and how often.
    bound
        What bounds either side: arithmetic, memory, or the fixed cost of operations.
    sides
        Prepares both sides, outside of what is timed, and clears up after them.
    needs
        What has to be there, of :data:`benchmarks.versus.needs.NEEDS`; else the row is not measured.
    """

    name: str
    work: str
    against: str
    unit: str
    at_least: float | None
    alike: str
    bound: str
    sides: Callable[[Setting], AbstractContextManager[tuple[Side, Side]]]
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Limit:
    """A quantity that must not be above ``most`` or below ``least``."""

    quantity: str
    unit: str
    most: float | None = None
    least: float | None = None

    def holds(self, value: float) -> bool:
        """Say whether a measured value is within the limit."""
        return (self.most is None or value <= self.most) and (self.least is None or value >= self.least)


@dataclass(frozen=True)
class Bounded:
    """Quantities of ours that have limits: the median over rounds is judged.

    ``rounds`` is how often it is measured; none for as often as there are pairs.
    """

    name: str
    work: str
    limits: tuple[Limit, ...]
    how: str
    rounds: int | None
    measure: Callable[[Setting], AbstractContextManager[Callable[[int], Mapping[str, float]]]]
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Scaling:
    """Throughput over the width M of a stack, beside the smaller of M times one cell's and the machine's ceiling."""

    name: str
    work: str
    unit: str
    how: str
    measure: Callable[[Setting], AbstractContextManager[Callable[[int], Mapping[int, float]]]]
    ceiling: Callable[[Setting], float]
    rounds: int | None = None
    needs: tuple[str, ...] = ()


Row: TypeAlias = Contest | Bounded | Scaling
