"""One paired comparison: its numbers, what they estimate, the p-values it needs, and which conditions it meets."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Literal, Self, get_args

from d2lbench.analysis.statistics.estimates import (
    Interval,
    hodges_lehmann,
    interquartile_mean,
    is_fragile,
    probability_of_winning,
    rate_difference,
    t_interval,
)
from d2lbench.analysis.statistics.planning import seeds_to_decide
from d2lbench.analysis.statistics.samples import Relation, at_least, has_no_variation, sample
from d2lbench.analysis.statistics.sign_flip import Alternative, sign_flip_p, sign_test_p

EVEN = 0.5  # the probability of winning of two equal sides

# A family is judged at three margins, and neither of these depends on the margin.
_interval = lru_cache(maxsize=4096)(t_interval)
_is_fragile = lru_cache(maxsize=4096)(is_fragile)


@dataclass(frozen=True)
class Part:
    """One paired comparison of a claim; most claims have one.

    `differences` holds one number per seed, oriented so that positive is the claimed side (for `no_worse`, the better
    side), in the metric's unit, or in natural logs where the claim is a ratio. Against a constant, the constant has
    been subtracted. `margin` ≥ 0 is in the same unit, and so are all estimates.

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

    def at(self, factor: float) -> Self:
        """Return the same part with `factor` times its margin."""
        return self if factor == 1 else replace(self, margin=self.margin * factor)

    @property
    def n(self) -> int:
        """Number of pairs."""
        return len(self.differences)

    @property
    def any_diverged(self) -> bool:
        """Say whether a run of either side diverged in any seed."""
        return any(first or second for first, second in self.diverged)

    # ------------------------------------------------------------------------------ what no margin touches

    @cached_property
    def interval95(self) -> Interval:
        """Mean paired difference with Student's 95 % interval."""
        return _interval(self.differences, 0.95)

    @property
    def estimate(self) -> float:
        """Mean paired difference."""
        return self.interval95.estimate

    @cached_property
    def interquartile_mean(self) -> float:
        """Mean of the middle half of the differences."""
        return interquartile_mean(self.differences)

    @cached_property
    def hodges_lehmann(self) -> float:
        """Median of the averages of all pairs of differences."""
        return hodges_lehmann(self.differences)

    @cached_property
    def fragile(self) -> bool:
        """Whether the three estimates do not agree on the sign."""
        return _is_fragile(self.differences, self.relation)

    @cached_property
    def probability_of_winning(self) -> float:
        """Share of seeds in which the first side is ahead, 0…1."""
        return probability_of_winning(self.differences)

    @cached_property
    def rate_difference(self) -> Interval | None:
        """Share of seeds in which the first side diverged minus the second's; None where nothing diverged."""
        return rate_difference(self.diverged) if self.any_diverged else None

    @cached_property
    def no_variation(self) -> bool:
        """Whether all seeds gave one number, so that the intervals are a point."""
        return has_no_variation(sample(self.differences))

    # ----------------------------------------------------------------------------------- tests at the margin

    @property
    def test(self) -> Literal["sign-flip", "sign test"]:
        """The test behind all p: a diverged run hands the decision to the sign test."""
        return "sign test" if self.any_diverged else "sign-flip"

    @property
    def p(self) -> float:
        """The uncorrected p that support rests on.

        Two-sided against 0 for "greater", one-sided against the margin on the bad side for "no_worse", the larger of
        the two one-sided ones inside ±margin for "same".
        """
        return self._support[0]

    @property
    def exact(self) -> bool:
        """Whether `p` counts all sign patterns; where there are too many they are drawn at random."""
        return self._support[1]

    @cached_property
    def _support(self) -> tuple[float, bool]:
        if self.relation == "greater":
            return self._p("two-sided", 0.0)
        return self._p("greater", -self.margin) if self.relation == "no_worse" else self._p_inside()

    @cached_property
    def p_against(self) -> float:
        """The p that refutation rests on; 1 where the estimate is on no side from which the part could be refuted.

        Where the estimate stands decides which p it is, so that support and refutation cannot contradict each other.
        """
        estimate, margin = self.estimate, self.margin
        if self.relation == "greater":
            if at_least(-estimate, margin):
                # The two-sided p, but for the sign test only where its majority lies on the other side as well.
                return min(1.0, 2 * self._p("less", 0.0)[0])
            return 1.0 if at_least(estimate, margin) else self._p_inside()[0]
        if at_least(-estimate, margin):
            return self._p("less", -margin)[0]
        if self.relation == "same" and at_least(estimate, margin):
            return self._p("greater", margin)[0]
        return 1.0

    def _p(self, alternative: Alternative, shift: float) -> tuple[float, bool]:
        """Return p and whether it is exact."""
        if self.any_diverged:
            return sign_test_p(self.differences, alternative, shift), True
        flipped = sign_flip_p(self.differences, alternative, shift)
        return flipped.p, flipped.exact

    def _p_inside(self) -> tuple[float, bool]:
        """Two one-sided tests: the larger p shows both margins kept (Schuirmann, 1987)."""
        above, exact = self._p("greater", -self.margin)
        below, _ = self._p("less", self.margin)
        return max(above, below), exact

    # ------------------------------------------------------------------------------------------- conditions

    @property
    def meets_conditions(self) -> bool:
        """Say whether the part meets what support asks beside Holm, fragility apart.

        For "no_worse" and "same" the estimate must lie on the good side of the margin; for "greater", where the sign
        test decides, most seeds must be on the claimed side. A significant sign-flip implies both. A significant sign
        test does not, and the stricter reading keeps ruinous seeds from passing as "no worse", and a few splendid ones
        from turning a significant minus into a plus.
        """
        if self.relation == "greater":
            most_ahead = self.probability_of_winning > EVEN or not self.any_diverged
            return at_least(self.estimate, self.margin) and self.interval95.low > 0 and most_ahead
        return not at_least(-self.estimate if self.relation == "no_worse" else abs(self.estimate), self.margin)

    def is_refuted(self, level: float) -> bool:
        """Say whether the part is refuted at `level`, its share of the error: 0.05/(m·k).

        "no_worse" is refuted by its interval at that level, wholly beyond the margin. Where the interval does not
        decide (no seed variation, or a diverged run), the p against it must be below `level` as well.
        """
        if self.relation != "no_worse":
            return self.p_against < level
        beyond = not at_least(_interval(self.differences, 1 - level).high, -self.margin)
        return beyond and (self.p_against < level or not (self.no_variation or self.any_diverged))

    def seeds_for(self, level: float) -> int | None:
        """Project how many seeds would decide the part at `level`; None near the margin."""
        return seeds_to_decide(self.differences, self.relation, self.margin, level, signs_only=self.any_diverged)
