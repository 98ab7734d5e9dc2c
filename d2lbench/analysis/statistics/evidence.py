"""What a claim hands over to be judged: numbers only, already reduced to one per seed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from d2lbench.analysis.statistics.samples import sample

Kind = Literal["comparison", "equivalence", "timing", "identity", "count", "demonstration"]
Relation = Literal["greater", "no_worse", "same"]

#: Timings never share a family with the others: a grid has kernels, or none.
IN_THE_FAMILY: tuple[Kind, ...] = ("comparison", "equivalence", "timing")
EXACT_KINDS: tuple[Kind, ...] = ("identity", "count")


@dataclass(frozen=True, slots=True)
class Part:
    """One paired comparison of a claim; most claims have one.

    `differences` holds one number per seed, oriented so that positive is the claimed side (for `no_worse`, the better
    side), in the metric's unit, or in natural logs where the claim is a ratio. Against a constant, the constant has
    been subtracted. `margin` ≥ 0 is in the same unit.

    `diverged` says per seed whether the (first, second) side diverged; empty means that nobody could. `edge` marks
    tuned picks at the end of their ladder in more than 10 % of seeds: nothing is concluded then. `lower_bound` marks
    differences that can only be too small (the first side's window ran into the ladder's end): support stands,
    everything else is called edge.

    Raises `ValueError` for NaN or infinite differences, a margin that is negative or not finite, an unknown relation,
    flags that do not match the seeds, and a lower bound on "same", which has two sides to lose.
    """

    label: str
    relation: Relation
    differences: tuple[float, ...]
    margin: float
    diverged: tuple[tuple[bool, bool], ...] = ()
    edge: bool = False
    lower_bound: bool = False

    def __post_init__(self) -> None:
        """Refuse what could not be judged."""
        if self.differences:
            sample(self.differences, f"part {self.label!r}, differences")
        if self.relation not in get_args(Relation):
            message = f"part {self.label!r}: relation is one of {get_args(Relation)}, given {self.relation!r}"
            raise ValueError(message)
        if not (math.isfinite(self.margin) and self.margin >= 0):
            message = f"part {self.label!r}: a finite margin ≥ 0 is needed, given {self.margin}"
            raise ValueError(message)
        if len(self.diverged) not in (0, len(self.differences)):
            message = (
                f"part {self.label!r}: one pair of flags per seed or none is needed,"
                f" given {len(self.diverged)} for {len(self.differences)} seeds"
            )
            raise ValueError(message)
        if self.lower_bound and self.relation == "same":
            message = f'part {self.label!r}: a lower bound can support "greater" or "no_worse", not "same"'
            raise ValueError(message)

    @property
    def any_diverged(self) -> bool:
        """Say whether a run of either side diverged in any seed."""
        return any(first or second for first, second in self.diverged)


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything the verdict on one claim depends on.

    Comparisons, equivalences and timings fill `parts`; identities and counts `values` (one per seed, or just one),
    `stated` (one number for all, or one per value) and `tolerance` ≥ 0 in the same unit; demonstrations `successes` of
    `trials`: how many seeds show the stated direction.

    Fewer than `seeds_required` seeds, in any part, make it `not run`; so does a reason in `not_run`. Such a claim keeps
    its place in the family: it was declared, so it is paid for.

    Raises `ValueError` for an unknown kind, and for a kind without the numbers it needs when `not_run` is empty.
    """

    id: str
    kind: Kind
    parts: tuple[Part, ...] = ()
    values: tuple[float, ...] = ()
    stated: float | tuple[float, ...] = 0.0
    tolerance: float = 0.0
    successes: int = 0
    trials: int = 0
    seeds_required: int = 0
    not_run: str | None = None

    def __post_init__(self) -> None:
        """Refuse evidence that does not fit its kind."""
        if self.kind not in get_args(Kind):
            message = f"claim {self.id!r}: kind is one of {get_args(Kind)}, given {self.kind!r}"
            raise ValueError(message)
        if self.not_run is not None:
            return
        if self.in_the_family and not self.parts:
            message = f"claim {self.id!r}: a {self.kind} needs at least one part, given none"
            raise ValueError(message)
        if self.kind in EXACT_KINDS:
            self._check_stated()
        if self.kind == "demonstration" and not 0 <= self.successes <= self.trials:
            message = f"claim {self.id!r}: 0 ≤ successes ≤ trials is needed, given {self.successes} of {self.trials}"
            raise ValueError(message)

    def _check_stated(self) -> None:
        if not (math.isfinite(self.tolerance) and self.tolerance >= 0):
            message = f"claim {self.id!r}: a finite tolerance ≥ 0 is needed, given {self.tolerance}"
            raise ValueError(message)
        if isinstance(self.stated, tuple) and len(self.stated) != len(self.values):
            message = (
                f"claim {self.id!r}: one stated number, or one per value, is needed,"
                f" given {len(self.stated)} for {len(self.values)} values"
            )
            raise ValueError(message)

    @property
    def in_the_family(self) -> bool:
        """Say whether this claim could go either way, so that it is counted and corrected for."""
        return self.kind in IN_THE_FAMILY

    @property
    def seeds(self) -> int:
        """Seeds behind the weakest part."""
        if self.in_the_family:
            return min((len(part.differences) for part in self.parts), default=0)
        return self.trials if self.kind == "demonstration" else len(self.values)

    @property
    def why_not_run(self) -> str | None:
        """The reason why there is nothing to judge, or None; a claim without any seed is never judged."""
        if self.not_run is not None:
            return self.not_run
        needed = max(self.seeds_required, 1)
        return f"{self.seeds} seeds of {needed}" if self.seeds < needed else None

    @property
    def deviation(self) -> float:
        """Largest |value - stated|, in the unit of the values; infinite when any number is not finite."""
        stated = self.stated if isinstance(self.stated, tuple) else (self.stated,) * len(self.values)
        deviations = [abs(value - wanted) for value, wanted in zip(self.values, stated, strict=True)]
        return max(deviations) if all(map(math.isfinite, deviations)) else math.inf
