"""One paired comparison, weighed: its estimates, the p-values it needs, and which conditions it meets."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from d2lbench.analysis.statistics.estimates import (
    Interval,
    hodges_lehmann,
    interquartile_mean,
    is_fragile,
    probability_of_winning,
    t_interval,
)
from d2lbench.analysis.statistics.planning import seeds_to_decide
from d2lbench.analysis.statistics.proportions import rate_difference
from d2lbench.analysis.statistics.samples import at_least, has_no_variation, sample
from d2lbench.analysis.statistics.sign_flip import Alternative, sign_flip_p, sign_test_p

if TYPE_CHECKING:
    from d2lbench.analysis.statistics.evidence import Part, Relation

EVEN = 0.5  # the probability of winning of two equal sides


@dataclass(frozen=True, slots=True)
class Summary:
    """What a part says before any margin or family is known; the differences' unit throughout."""

    interval95: Interval
    interquartile_mean: float
    hodges_lehmann: float
    fragile: bool
    probability_of_winning: float
    rate_difference: Interval | None
    no_variation: bool

    @property
    def estimate(self) -> float:
        """Mean paired difference."""
        return self.interval95.estimate


@dataclass(frozen=True, slots=True)
class Weighed:
    """A part at one margin. `p` is the one that support rests on, `p_against` the one that refutation rests on.

    `p_against` is 1 where the estimate is not on a side from which the part could be refuted.
    """

    part: Part
    summary: Summary
    p: float
    p_against: float
    exact: bool

    @property
    def n(self) -> int:
        """Number of pairs."""
        return len(self.part.differences)


@dataclass(frozen=True, slots=True)
class PartResult:
    """A judged part, as a report shows it; estimates and margin in the unit of the differences.

    `p` is the uncorrected p that support rests on: two-sided against 0 for "greater", one-sided against the margin on
    the bad side for "no_worse", the larger of the two one-sided ones inside ±margin for "same". `p_holm` belongs to
    the claim, whose largest p entered Holm. `p_against` is compared with 0.05/(m·k), the level of
    `interval_corrected`. `test` names the test behind all p: the sign test where any run diverged. `exact` is False
    where the sign patterns were drawn at random. `rate_difference` (share of seeds in which the first side diverged
    minus the second's) is None where nothing diverged. `no_variation` says that all seeds gave one number, so that
    the intervals are a point.
    """

    label: str
    relation: Relation
    margin: float
    n: int
    estimate: float
    interval95: Interval
    interval_corrected: Interval
    p: float
    p_holm: float
    p_against: float
    test: Literal["sign-flip", "sign test"]
    exact: bool
    interquartile_mean: float
    hodges_lehmann: float
    fragile: bool
    probability_of_winning: float
    rate_difference: Interval | None
    no_variation: bool


def summarize(part: Part) -> Summary:
    """Compute what no margin touches, once per part."""
    values = sample(part.differences)
    return Summary(
        interval95=t_interval(values, 0.95),
        interquartile_mean=interquartile_mean(values),
        hodges_lehmann=hodges_lehmann(values),
        fragile=is_fragile(values, part.relation),
        probability_of_winning=probability_of_winning(values),
        rate_difference=rate_difference(part.diverged) if part.any_diverged else None,
        no_variation=has_no_variation(values),
    )


def weigh(part: Part, summary: Summary, factor: float = 1.0) -> Weighed:
    """Test a part at `factor` times its margin."""
    scaled = replace(part, margin=part.margin * factor)
    p, exact = _p_for(scaled)
    return Weighed(scaled, summary, p, _p_against(scaled, summary.estimate), exact)


def meets_conditions(weighed: Weighed) -> bool:
    """Say whether a part meets what support asks beside Holm, fragility apart.

    For "no_worse" and "same" the estimate must lie on the good side of the margin; for "greater", where the sign test
    decides, most seeds must be on the claimed side. A significant sign-flip implies both. A significant sign test does
    not, and the stricter reading keeps ruinous seeds from passing as "no worse", and a few splendid ones from turning
    a significant minus into a plus.
    """
    summary, estimate, margin = weighed.summary, weighed.summary.estimate, weighed.part.margin
    if weighed.part.relation == "greater":
        most_ahead = summary.probability_of_winning > EVEN or not weighed.part.any_diverged
        return at_least(estimate, margin) and summary.interval95.low > 0 and most_ahead
    if weighed.part.relation == "no_worse":
        return not at_least(-estimate, margin)
    return not at_least(abs(estimate), margin)


def is_refuted(weighed: Weighed, level: float) -> bool:
    """Say whether a part is refuted at `level`, its share of the error: 0.05/(m·k).

    "no_worse" is refuted by its interval at that level, wholly beyond the margin. Where the interval does not decide
    (no seed variation, or a diverged run), the p against it must be below `level` as well.
    """
    if weighed.part.relation != "no_worse":
        return weighed.p_against < level
    corrected = t_interval(weighed.part.differences, 1 - level)
    beyond = not at_least(corrected.high, -weighed.part.margin)
    if weighed.summary.no_variation or weighed.part.any_diverged:
        return beyond and weighed.p_against < level
    return beyond


def seeds_for(weighed: Weighed, level: float) -> int | None:
    """Project how many seeds would decide this part; None near the margin."""
    part = weighed.part
    return seeds_to_decide(part.differences, part.relation, part.margin, level, signs_only=part.any_diverged)


def result(weighed: Weighed, level: float, p_holm: float) -> PartResult:
    """Assemble the row of a report; `level` is the part's share of the error, 0.05/(m·k)."""
    part, summary = weighed.part, weighed.summary
    return PartResult(
        label=part.label,
        relation=part.relation,
        margin=part.margin,
        n=weighed.n,
        estimate=summary.estimate,
        interval95=summary.interval95,
        interval_corrected=t_interval(part.differences, 1 - level),
        p=weighed.p,
        p_holm=p_holm,
        p_against=weighed.p_against,
        test="sign test" if part.any_diverged else "sign-flip",
        exact=weighed.exact,
        interquartile_mean=summary.interquartile_mean,
        hodges_lehmann=summary.hodges_lehmann,
        fragile=summary.fragile,
        probability_of_winning=summary.probability_of_winning,
        rate_difference=summary.rate_difference,
        no_variation=summary.no_variation,
    )


def _p(part: Part, alternative: Alternative, shift: float) -> tuple[float, bool]:
    """Return p and whether it is exact; a diverged run hands the decision to the sign test."""
    if part.any_diverged:
        return sign_test_p(part.differences, alternative, shift), True
    flipped = sign_flip_p(part.differences, alternative, shift)
    return flipped.p, flipped.exact


def _p_for(part: Part) -> tuple[float, bool]:
    if part.relation == "greater":
        return _p(part, "two-sided", 0.0)
    if part.relation == "no_worse":
        return _p(part, "greater", -part.margin)
    return _p_inside(part)


def _p_inside(part: Part) -> tuple[float, bool]:
    """Two one-sided tests: the larger p shows both margins kept (Schuirmann, 1987)."""
    above, exact = _p(part, "greater", -part.margin)
    below, _ = _p(part, "less", part.margin)
    return max(above, below), exact


def _p_against(part: Part, estimate: float) -> float:
    """Return the p that refutation rests on; where the estimate stands decides which one, so no two can contradict."""
    margin = part.margin
    if part.relation == "greater":
        if at_least(-estimate, margin):
            # The two-sided p, but for the sign test only where its majority lies on the other side as well.
            return min(1.0, 2 * _p(part, "less", 0.0)[0])
        return 1.0 if at_least(estimate, margin) else _p_inside(part)[0]
    if at_least(-estimate, margin):
        return _p(part, "less", -margin)[0]
    if part.relation == "same" and at_least(estimate, margin):
        return _p(part, "greater", margin)[0]
    return 1.0
