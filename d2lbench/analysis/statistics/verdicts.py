"""From numbers to a word: `supported`, `refuted`, `unclear` or `not run`, for a whole family at once."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Literal, get_args

from d2lbench.analysis.statistics.estimates import Interval, t_interval, wilson_interval
from d2lbench.analysis.statistics.parts import EVEN, Part
from d2lbench.analysis.statistics.planning import SIGNIFICANCE, bonferroni_level, holm, leaning, trials_to_decide

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Kind = Literal["comparison", "equivalence", "timing", "identity", "count", "demonstration"]
Word = Literal["supported", "refuted", "unclear", "not run"]
Cause = Literal["edge", "fragile", "near margin", "noise"]

#: Timings never share a family with the others: a grid has kernels, or none.
IN_THE_FAMILY: tuple[Kind, ...] = ("comparison", "equivalence", "timing")
EXACT_KINDS: tuple[Kind, ...] = ("identity", "count")


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything the verdict on one claim depends on.

    Of an identity or a count, the differences of a part are the distances from what is stated, and its margin is the
    tolerance. A demonstration shows the stated direction at a seed where the differences of all parts are above 0.

    Fewer than `seeds_required` seeds, in any part, make it `not run`; so does a reason in `not_run`. Such a claim keeps
    its place in the family: it was declared, so it is paid for.

    Raises `ValueError` for an unknown kind, and for a claim without parts when `not_run` is empty.
    """

    id: str
    kind: Kind
    parts: tuple[Part, ...] = ()
    seeds_required: int = 0
    not_run: str | None = None

    def __post_init__(self) -> None:
        """Refuse what could not be judged."""
        if self.kind not in get_args(Kind):
            message = f"claim {self.id!r}: kind is one of {get_args(Kind)}, given {self.kind!r}"
            raise ValueError(message)
        if self.not_run is None and not self.parts:
            message = f"claim {self.id!r}: a {self.kind} needs at least one part, given none"
            raise ValueError(message)

    @property
    def in_the_family(self) -> bool:
        """Say whether this claim could go either way, so that it is counted and corrected for."""
        return self.kind in IN_THE_FAMILY

    @property
    def seeds(self) -> int:
        """Seeds behind the weakest part."""
        return min((part.n for part in self.parts), default=0)

    @property
    def why_not_run(self) -> str | None:
        """The reason why there is nothing to judge, or None; a claim without any seed is never judged."""
        if self.not_run is not None:
            return self.not_run
        needed = max(self.seeds_required, 1)
        return f"{self.seeds} seeds of {needed}" if self.seeds < needed else None


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict on one claim.

    `reason` is a plain sentence; `cause` is the short form for `unclear`, None otherwise. `parts` are those that were
    tested: none of a claim that was not run or that stands outside the family; each may take `level` of the error,
    0.05/(m·k). `p` is the claim's largest part p, which entered Holm among `family_size` declared claims and came out
    as `p_holm`. `at_half_margin` and `at_double_margin` are the words when every margin of the family is halved or
    doubled. `seeds_to_decide` is set for `unclear (noise)` only. All but `reason` are empty outside the family, where
    `deviation` belongs to identities and counts (unit of the values), `share` to demonstrations (0…1, Wilson).
    """

    id: str
    kind: Kind
    word: Word
    reason: str
    cause: Cause | None = None
    parts: tuple[Part, ...] = ()
    level: float = math.nan
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

    def corrected(self, part: Part) -> Interval:
        """Return the interval of one of its parts at the level that the family leaves it, 1 - 0.05/(m·k)."""
        return t_interval(part.differences, 1 - self.level)

    @property
    def _claims_no_difference(self) -> bool:
        """Whether every part says that nothing differs: an equivalence's do, of a timing those of the relation same."""
        return self.kind == "equivalence" or all(part.relation == "same" for part in self.parts)


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
    half, judged, double = (_judge_at(family, factor) for factor in (0.5, 1.0, 2.0))
    return {
        answer.id: replace(answer, at_half_margin=lower.word, at_double_margin=upper.word)
        for lower, answer, upper in zip(half, judged, double, strict=True)
    }


def _judge_at(family: Sequence[Evidence], factor: float) -> list[Judgement]:
    """Judge the family with every margin times `factor`."""
    tested = [tuple(part.at(factor) for part in claim.parts) if claim.why_not_run is None else () for claim in family]
    largest = [max((part.p for part in parts), default=1.0) for parts in tested]
    return [
        _judge_tested(claim, parts, p, p_holm, len(family))
        for claim, parts, p, p_holm in zip(family, tested, largest, holm(largest), strict=True)
    ]


def _judge_tested(claim: Evidence, parts: tuple[Part, ...], p: float, p_holm: float, m: int) -> Judgement:
    judged = partial(Judgement, claim.id, claim.kind, p=p, p_holm=p_holm, family_size=m)
    if claim.why_not_run is not None:
        return judged("not run", claim.why_not_run)
    level = bonferroni_level(m, len(parts))
    return _decide(partial(judged, parts=parts, level=level), parts, p_holm, level, m)


def _decide(judged: Callable[..., Judgement], parts: Sequence[Part], p_holm: float, level: float, m: int) -> Judgement:
    """Give the one word that fits. Nothing can be both supported and refuted: the estimate stands on one side only."""
    if any(part.edge for part in parts):
        return judged("unclear", _EDGE, "edge")
    refuting = [part for part in parts if part.is_refuted(level) and not part.lower_bound]
    if refuting:
        return judged("refuted", _why_refuted(refuting[0], composite=len(parts) > 1))
    carried = p_holm < SIGNIFICANCE and all(part.meets_conditions for part in parts)
    fragile = any(part.fragile for part in parts)
    if carried and not fragile:
        return judged("supported", _why_supported(parts))
    if any(part.lower_bound for part in parts):
        return judged("unclear", _EDGE, "edge")
    return judged("unclear", _FRAGILE, "fragile") if carried else _undecided(judged, parts, level, m)


def _undecided(judged: Callable[..., Judgement], parts: Sequence[Part], level: float, m: int) -> Judgement:
    seeds = _seeds_to_decide(parts, level, m)
    if seeds is None:
        return judged("unclear", _NEAR_MARGIN, "near margin")
    reason = f"noise: about {seeds:,} seeds with this mean and spread would decide it"
    return judged("unclear", reason, "noise", seeds_to_decide=seeds)


_EDGE = "edge: the best settings lie at the end of the ladder that was tried, so better ones may lie beyond it"
_FRAGILE = "fragile: mean, interquartile mean and Hodges-Lehmann estimate do not agree on the sign"
_NEAR_MARGIN = "near margin: the effect lies so close to the margin that no affordable number of seeds decides"


def _seeds_to_decide(parts: Sequence[Part], level: float, m: int) -> int | None:
    """One part is enough to refute; support needs them all. Support is projected at Holm's hardest step, 0.05/m."""
    leans = [leaning(part.estimate, part.relation, part.margin).word for part in parts]
    refuting = [part.seeds_for(level) for part, lean in zip(parts, leans, strict=True) if lean == "refuted"]
    if refuting:
        needed = min((seeds for seeds in refuting if seeds is not None), default=None)
    else:
        supporting = [part.seeds_for(bonferroni_level(m)) for part in parts]
        needed = max((seeds for seeds in supporting if seeds is not None), default=None)
        if None in supporting:
            needed = None
    # The projection is by Student's t, the verdict is not: what did not decide at n needs more than n.
    return None if needed is None else max(needed, min(part.n for part in parts) + 1)


def _why_supported(parts: Sequence[Part]) -> str:
    if len(parts) > 1:
        return f"all {len(parts)} parts hold"
    reasons = {
        "greater": "ahead by at least the margin" if parts[0].margin > 0 else "ahead",
        "no_worse": "not worse by as much as the margin" if parts[0].margin > 0 else "ahead",
        "same": "the difference is smaller than the margin, either way",
    }
    return reasons[parts[0].relation]


def _why_refuted(part: Part, *, composite: bool) -> str:
    if part.relation == "no_worse":
        reason = "worse by more than the margin" if part.margin > 0 else "worse"
    elif part.relation == "same":
        reason = "the difference is larger than the margin"
    elif leaning(part.estimate, part.relation, part.margin).boundary != 0:
        reason = "the difference is smaller than the margin, either way"
    else:
        reason = "the difference points the other way" + (", by at least the margin" if part.margin > 0 else "")
    return f"{part.label}: {reason}" if composite else reason


def _judge_alone(claim: Evidence) -> Judgement:
    """Judge an identity, a count or a demonstration."""
    judged = partial(Judgement, claim.id, claim.kind)
    if claim.why_not_run is not None:
        return judged("not run", claim.why_not_run)
    if claim.kind in EXACT_KINDS:
        deviations = [(max(map(abs, part.differences)), part.margin) for part in claim.parts]
        deviation, tolerance = max(deviations, key=lambda pair: pair[0] - pair[1])
        word: Word = "supported" if deviation <= tolerance else "refuted"
        return judged(word, f"largest deviation {deviation:.3g}, allowed {tolerance:.3g}", deviation=deviation)
    trials = claim.seeds
    successes = sum(all(part.differences[k] > 0 for part in claim.parts) for k in range(trials))
    share = wilson_interval(successes, trials)
    shows = f"{successes} of {trials} seeds show the stated direction"
    if not share.low <= EVEN <= share.high:
        return judged("supported" if share.low > EVEN else "refuted", shows, share=share)
    seeds = trials_to_decide(successes, trials)
    cause: Cause = "near margin" if seeds is None else "noise"
    more = "no number would decide" if seeds is None else f"about {seeds:,} would decide"
    reason = f"{cause}: {shows}; at this share {more}"
    return judged("unclear", reason, cause, share=share, seeds_to_decide=seeds)
