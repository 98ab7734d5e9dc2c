"""Claims as a grid holds them: every arm, metric and margin found, nothing left to look up."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from d2lbench.core.spec import Component

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from d2lbench.core.kinds import As, MetricTraits, StatisticTraits
    from d2lbench.grid.arms import Arm, Rung
    from d2lbench.grid.file.claims import Kind

Stage: TypeAlias = Literal["tuned", "default", "trials"]
#: What a statistic runs along: nothing, the contexts, the arms of a vary key, an arm's rungs, or the epochs.
Along: TypeAlias = Literal["", "contexts", "arms", "trials", "epochs"]
Relation: TypeAlias = Literal["greater", "no_worse", "same"]


@dataclass(frozen=True)
class Metric(Component):
    """A metric with what is declared of it, looked up once: when a grid is loaded. Equal where name and options are."""

    traits: MetricTraits = field(kw_only=True, compare=False, repr=False)
    factory: Callable[..., Any] = field(kw_only=True, compare=False, repr=False)

    @property
    def series(self) -> tuple[str, ...]:
        """The series of a run that it reads."""
        return self.traits.series(self)

    @property
    def sign(self) -> Literal[1, -1]:
        """-1 where lower is better, else 1."""
        return -1 if self.traits.better == "lower" else 1

    def read(self, record: object) -> Any:
        """Return its number of one finished run, or the values of a curve."""
        return self.factory(record, **dict(self.options))


@dataclass(frozen=True)
class Statistic(Component):
    """What makes one number of a metric's values along an axis, with what is declared of it."""

    traits: StatisticTraits = field(kw_only=True, compare=False, repr=False)
    factory: Callable[..., float] = field(kw_only=True, compare=False, repr=False)


@dataclass(frozen=True)
class Measure:
    """What a part of a claim reads of each side, and how large a difference matters.

    Attributes
    ----------
    over, along
        The axis of the grid, and what it is one of.
    select
        The metric that picks a tuned arm's trial; None where nothing is picked.
    margin
        In the metric's unit; in natural logarithms where sides differ by ratio.
    reason
        For a margin of the claim's own.
    """

    metric: Metric
    statistic: Statistic
    over: str
    along: Along
    select: Metric | None
    margin: float
    as_: As
    reason: str


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
class Part:
    """One comparison of two sides within one context; a claim holds when all of its parts do.

    ``relation`` "greater": sign × (first − second) is claimed positive; "no_worse": not below minus the margin;
    "same": within the margin. ``second`` is a number where the claim names one.
    """

    label: str
    measure: Measure
    relation: Relation
    sign: Literal[1, -1]
    first: Side
    second: Side | float

    @property
    def sides(self) -> tuple[Side, ...]:
        """The sides that have arms."""
        return (self.first, self.second) if isinstance(self.second, Side) else (self.first,)

    @property
    def arms(self) -> tuple[Arm, ...]:
        """The arms of both sides."""
        return tuple(arm for side in self.sides for arm in side.arms)


@dataclass(frozen=True)
class Published:
    """A number that somebody else found, and our arm that it is about; ``values`` are in the metric's unit.

    ``approximate`` numbers were read off a figure; ``differs`` names what the published run did otherwise.
    """

    id: str
    says: str
    source: str
    metric: Metric
    arm: Arm
    values: tuple[float, ...]
    approximate: bool
    differs: tuple[str, ...]


@dataclass(frozen=True)
class Claim:
    """A statement and how it is put to the test; all of its parts must hold.

    ``asked`` says whether it is asked at the scale that was loaded; if not, ``parts`` is empty. ``raw`` has what was
    written.
    """

    id: str
    kind: Kind
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
    def measure(self) -> Measure:
        """What its (first) part reads; the others are in the same unit."""
        return self.parts[0].measure
