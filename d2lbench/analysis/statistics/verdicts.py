"""From numbers to a word: `supported`, `refuted`, `unclear` or `not run`, for a whole family at once."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from d2lbench.analysis.statistics.evidence import EXACT_KINDS
from d2lbench.analysis.statistics.families import SIGNIFICANCE, bonferroni_level, holm
from d2lbench.analysis.statistics.parts import (
    EVEN,
    PartResult,
    Summary,
    Weighed,
    is_refuted,
    meets_conditions,
    result,
    seeds_for,
    summarize,
    weigh,
)
from d2lbench.analysis.statistics.planning import leaning, trials_to_decide
from d2lbench.analysis.statistics.proportions import wilson_interval

if TYPE_CHECKING:
    from collections.abc import Sequence

    from d2lbench.analysis.statistics.estimates import Interval
    from d2lbench.analysis.statistics.evidence import Evidence, Kind

Word = Literal["supported", "refuted", "unclear", "not run"]
Cause = Literal["edge", "fragile", "near margin", "noise"]


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict on one claim.

    `reason` is a plain sentence; `cause` is the short form for `unclear`, None otherwise. `p` is the claim's largest
    part p, which entered Holm among `family_size` declared claims and came out as `p_holm`. `at_half_margin` and
    `at_double_margin` are the words when every margin of the family is halved or doubled. `seeds_to_decide` is set for
    `unclear (noise)` only. These six are None outside the family. `deviation` belongs to identities and counts (unit of
    the values), `share` to demonstrations (0…1, Wilson).
    """

    id: str
    kind: Kind
    word: Word
    reason: str
    cause: Cause | None = None
    parts: tuple[PartResult, ...] = ()
    p: float | None = None
    p_holm: float | None = None
    family_size: int | None = None
    at_half_margin: Word | None = None
    at_double_margin: Word | None = None
    seeds_to_decide: int | None = None
    deviation: float | None = None
    share: Interval | None = None

    @property
    def shown(self) -> str:
        """The verdict as a reader sees it: "holds", "same within the margin", "unclear (noise)" and so on."""
        if self.word == "not run":
            return f"not run ({self.reason})"
        if self.word == "unclear":
            return f"unclear ({self.cause})"
        if self.kind in EXACT_KINDS:
            return "holds" if self.word == "supported" else "fails"
        if self.word == "supported" and self.kind in ("equivalence", "timing") and self._claims_no_difference:
            return "same within the margin"
        return self.word

    @property
    def _claims_no_difference(self) -> bool:
        """Whether every part says that nothing differs: an equivalence's do, of a timing those of the relation same."""
        return self.kind == "equivalence" or all(part.relation == "same" for part in self.parts)


@dataclass(frozen=True, slots=True)
class _Decision:
    word: Word
    reason: str
    cause: Cause | None = None
    seeds: int | None = None


def judge_family(evidence: Sequence[Evidence]) -> tuple[Judgement, ...]:
    """Judge claims that share one family, in the order given: those of one grid at one scale, or of the whole suite.

    The family is the comparisons and equivalences, m of them, a composite counting once; timings are a family of their
    own. Support is corrected by Holm, refutation by Bonferroni: each error rate stays below 5 % for the family. A claim
    that was not run stays among the m with p = 1, so that leaving claims out never makes the rest easier to support.
    Identities, counts and demonstrations are judged one by one.

    Raises `ValueError` when two claims share an id.
    """
    repeated = [name for name, count in Counter(claim.id for claim in evidence).items() if count > 1]
    if repeated:
        message = f"claims of a family need ids of their own, given twice: {', '.join(repeated)}"
        raise ValueError(message)
    tested = [claim for claim in evidence if claim.in_the_family]
    timed = [claim for claim in tested if claim.kind == "timing"]
    answers = _answers([claim for claim in tested if claim not in timed]) | _answers(timed)
    return tuple(answers[claim.id] if claim.in_the_family else _judge_alone(claim) for claim in evidence)


def _answers(family: Sequence[Evidence]) -> dict[str, Judgement]:
    """Judge one family at its margins, at half of them and at twice."""
    summaries = [tuple(summarize(part) for part in claim.parts) if _is_run(claim) else () for claim in family]
    half, judged, double = (_judge_at(family, summaries, factor) for factor in (0.5, 1.0, 2.0))
    return {
        answer.id: replace(answer, at_half_margin=lower.word, at_double_margin=upper.word)
        for lower, answer, upper in zip(half, judged, double, strict=True)
    }


def _is_run(claim: Evidence) -> bool:
    return claim.why_not_run is None


def _judge_at(
    family: Sequence[Evidence], summaries: Sequence[tuple[Summary, ...]], factor: float
) -> tuple[Judgement, ...]:
    """Judge the family with every margin times `factor`."""
    weighed = [
        [weigh(part, summary, factor) for part, summary in zip(claim.parts, parts, strict=True)] if parts else []
        for claim, parts in zip(family, summaries, strict=True)
    ]
    largest = [max((part.p for part in parts), default=1.0) for parts in weighed]
    corrected = holm(largest)
    return tuple(
        _judge_tested(claim, parts, p, p_holm, len(family))
        for claim, parts, p, p_holm in zip(family, weighed, largest, corrected, strict=True)
    )


def _judge_tested(claim: Evidence, parts: Sequence[Weighed], p: float, p_holm: float, m: int) -> Judgement:
    missing = claim.why_not_run
    if missing is not None:
        return Judgement(claim.id, claim.kind, "not run", missing, p=p, p_holm=p_holm, family_size=m)
    level = bonferroni_level(m, len(parts))
    decision = _decide(parts, p_holm, level, m)
    return Judgement(
        id=claim.id,
        kind=claim.kind,
        word=decision.word,
        reason=decision.reason,
        cause=decision.cause,
        parts=tuple(result(part, level, p_holm) for part in parts),
        p=p,
        p_holm=p_holm,
        family_size=m,
        seeds_to_decide=decision.seeds,
    )


def _decide(parts: Sequence[Weighed], p_holm: float, level: float, m: int) -> _Decision:
    """Give the one word that fits. Nothing can be both supported and refuted: the estimate stands on one side only."""
    if any(part.part.edge for part in parts):
        return _Decision("unclear", _EDGE, "edge")
    refuting = [part for part in parts if is_refuted(part, level) and not part.part.lower_bound]
    if refuting:
        return _Decision("refuted", _why_refuted(refuting[0], composite=len(parts) > 1))
    carried = p_holm < SIGNIFICANCE and all(meets_conditions(part) for part in parts)
    if carried and not any(part.summary.fragile for part in parts):
        return _Decision("supported", _why_supported(parts))
    if any(part.part.lower_bound for part in parts):
        return _Decision("unclear", _EDGE, "edge")
    return _Decision("unclear", _FRAGILE, "fragile") if carried else _undecided(parts, level, m)


def _undecided(parts: Sequence[Weighed], level: float, m: int) -> _Decision:
    seeds = _seeds_to_decide(parts, level, m)
    if seeds is None:
        return _Decision("unclear", _NEAR_MARGIN, "near margin")
    reason = f"noise: about {seeds:,} seeds with this mean and spread would decide it"
    return _Decision("unclear", reason, "noise", seeds)


_EDGE = "edge: the best settings lie at the end of the ladder that was tried, so better ones may lie beyond it"
_FRAGILE = "fragile: mean, interquartile mean and Hodges-Lehmann estimate do not agree on the sign"
_NEAR_MARGIN = "near margin: the effect lies so close to the margin that no affordable number of seeds decides"


def _seeds_to_decide(parts: Sequence[Weighed], level: float, m: int) -> int | None:
    """One part is enough to refute; support needs them all. Support is projected at Holm's hardest step, 0.05/m."""
    leans = [leaning(part.summary.estimate, part.part.relation, part.part.margin).word for part in parts]
    refuting = [seeds_for(part, level) for part, lean in zip(parts, leans, strict=True) if lean == "refuted"]
    if refuting:
        needed = min((seeds for seeds in refuting if seeds is not None), default=None)
    else:
        supporting = [seeds_for(part, bonferroni_level(m)) for part in parts]
        needed = max((seeds for seeds in supporting if seeds is not None), default=None)
        if None in supporting:
            needed = None
    # The projection is by Student's t, the verdict is not: what did not decide at n needs more than n.
    return None if needed is None else max(needed, min(part.n for part in parts) + 1)


def _why_supported(parts: Sequence[Weighed]) -> str:
    if len(parts) > 1:
        return f"all {len(parts)} parts hold"
    reasons = {
        "greater": "ahead by at least the margin" if parts[0].part.margin > 0 else "ahead",
        "no_worse": "not worse by as much as the margin" if parts[0].part.margin > 0 else "ahead",
        "same": "the difference is smaller than the margin, either way",
    }
    return reasons[parts[0].part.relation]


def _why_refuted(weighed: Weighed, *, composite: bool) -> str:
    part = weighed.part
    lean = leaning(weighed.summary.estimate, part.relation, part.margin)
    if part.relation == "no_worse":
        reason = "worse by more than the margin" if part.margin > 0 else "worse"
    elif part.relation == "same":
        reason = "the difference is larger than the margin"
    elif lean.boundary != 0:
        reason = "the difference is smaller than the margin, either way"
    else:
        reason = "the difference points the other way" + (", by at least the margin" if part.margin > 0 else "")
    return f"{part.label}: {reason}" if composite else reason


def _judge_alone(claim: Evidence) -> Judgement:
    missing = claim.why_not_run
    if missing is not None:
        return Judgement(claim.id, claim.kind, "not run", missing)
    return _judge_demonstration(claim) if claim.kind == "demonstration" else _judge_exact(claim)


def _judge_exact(claim: Evidence) -> Judgement:
    deviation = claim.deviation
    reason = f"largest deviation {deviation:.3g}, allowed {claim.tolerance:.3g}"
    word: Word = "supported" if deviation <= claim.tolerance else "refuted"
    return Judgement(claim.id, claim.kind, word, reason, deviation=deviation)


def _judge_demonstration(claim: Evidence) -> Judgement:
    share = wilson_interval(claim.successes, claim.trials)
    shows = f"{claim.successes} of {claim.trials} seeds show the stated direction"
    if share.low > EVEN:
        return Judgement(claim.id, claim.kind, "supported", shows, share=share)
    if share.high < EVEN:
        return Judgement(claim.id, claim.kind, "refuted", shows, share=share)
    seeds = trials_to_decide(claim.successes, claim.trials)
    cause: Cause = "near margin" if seeds is None else "noise"
    more = "no number would decide" if seeds is None else f"about {seeds:,} would decide"
    reason = f"{cause}: {shows}; at this share {more}"
    return Judgement(claim.id, claim.kind, "unclear", reason, cause=cause, share=share, seeds_to_decide=seeds)
