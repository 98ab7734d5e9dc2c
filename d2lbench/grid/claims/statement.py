"""Claims as a grid holds them: every arm, metric and margin found, nothing left to look up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

    from d2lbench.core.spec import Component
    from d2lbench.grid.arms import Arm, Rung

Stage: TypeAlias = Literal["tuned", "default", "trials"]
#: What a statistic runs along: nothing, the contexts, the arms of a vary key, an arm's rungs, or the epochs.
Along: TypeAlias = Literal["", "contexts", "arms", "trials", "epochs"]
Relation: TypeAlias = Literal["greater", "no_worse", "same"]


@dataclass(frozen=True)
class Point:
    """One arm on the axis that a statistic aggregates; ``position`` is its number there, else its place from 0."""

    position: float
    label: str
    arm: Arm


@dataclass(frozen=True)
class Side:
    """One side of a comparison: the arms along the axis (one, where there is none) and what is read of them.

    ``rungs`` are the trials of the one arm, in the order of the axis, where the statistic runs along trials;
    ``reads_own`` says whether the arms' own values are read, too, though they are tuned.
    """

    stage: Stage
    points: tuple[Point, ...]
    rungs: tuple[Rung, ...] = ()
    reads_own: bool = False

    @property
    def arm(self) -> Arm:
        """The arm, or the first of them."""
        return self.points[0].arm

    @property
    def arms(self) -> tuple[Arm, ...]:
        """The arms in the order of the axis."""
        return tuple(point.arm for point in self.points)

    @property
    def label(self) -> str:
        """The side in words: its arm, or its first and last ones; the stage where it is not the usual one."""
        names = [arm.label for arm in self.arms]
        text = names[0] if len(names) == 1 else f"{names[0]} … {names[-1]}"
        return text if self.stage == "tuned" else f"{text} [{self.stage}]"


@dataclass(frozen=True)
class Comparison:
    """One pair of sides within one context.

    ``relation`` "greater": sign × (first − second) is claimed positive; "no_worse": not below minus the margin;
    "same": within the margin. ``second`` is a number where the claim names one.
    """

    label: str
    relation: Relation
    sign: Literal[1, -1]
    first: Side
    second: Side | float

    @property
    def sides(self) -> tuple[Side, ...]:
        """The sides that have arms."""
        return (self.first, self.second) if isinstance(self.second, Side) else (self.first,)


@dataclass(frozen=True)
class Published:
    """A number that somebody else found, and our arm that it is about; ``values`` are in the metric's unit.

    ``approximate`` numbers were read off a figure; ``differs`` names what the published run did otherwise.
    """

    id: str
    says: str
    source: str
    metric: Component
    arm: Arm
    values: tuple[float, ...]
    approximate: bool
    differs: tuple[str, ...]


@dataclass(frozen=True)
class Part:
    """One thing that a claim asserts; it holds when it holds in every one of its comparisons (contexts)."""

    label: str
    metric: Component
    statistic: Component
    over: str
    along: Along
    stage: Stage
    select: Component | None
    margin: float
    as_: Literal["difference", "ratio"]
    reason: str
    comparisons: tuple[Comparison, ...]


@dataclass(frozen=True)
class Claim:
    """A statement and how it is put to the test; all of its parts must hold.

    ``asked`` says whether it is asked at the scale that was loaded; if not, ``parts`` is empty. ``raw`` has what was
    written.
    """

    id: str
    kind: str
    origin: str
    says: str
    source: str
    scales: tuple[str, ...]
    asked: bool
    parts: tuple[Part, ...]
    raw: Mapping[str, Any]
    digest: str

    @property
    def in_family(self) -> bool:
        """Whether its p-value is corrected together with others: an asked comparison, equivalence or timing."""
        return self.asked and self.kind in ("comparison", "equivalence", "timing")

    @property
    def comparisons(self) -> tuple[Comparison, ...]:
        """All comparisons of all parts."""
        return tuple(comparison for part in self.parts for comparison in part.comparisons)

    @property
    def is_composite(self) -> bool:
        """Whether it holds only when several comparisons hold."""
        return len(self.comparisons) > 1

    @property
    def metric(self) -> Component:
        """The metric of its (first) part."""
        return self.parts[0].metric

    @property
    def margin(self) -> float:
        """The margin of its (first) part."""
        return self.parts[0].margin

    @property
    def statistic(self) -> Component:
        """The statistic of its (first) part."""
        return self.parts[0].statistic

    @property
    def select(self) -> Component | None:
        """What picks the trials of its (first) part."""
        return self.parts[0].select
