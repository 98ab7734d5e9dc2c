"""A claim as a page shows it: every number already in words."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from d2lbench.report.dots import Lane, compared, draw_claim
from d2lbench.report.escape import stem
from d2lbench.report.facts import Facts, claim_facts, design_facts, result_facts, size_facts, unit_of
from d2lbench.report.format import (
    NOTHING,
    Unit,
    exact,
    number,
    p_value,
    sentence,
    share,
)
from d2lbench.report.spark import Spark, spark
from d2lbench.report.words import KINDS, ORIGINS, Verdict, verdict

if TYPE_CHECKING:
    from d2lbench.analysis.model import ClaimView, PartView
    from d2lbench.analysis.statistics import PartResult
    from d2lbench.report.style import Drawn


ERROR_BUDGET: Final = 0.05


@dataclass(frozen=True)
class SeedLine:
    """One seed of one part, in words."""

    seed: str
    first: str
    second: str
    difference: str


@dataclass(frozen=True)
class PartPage:
    """One part of a claim, in words."""

    label: str
    compared: str
    first: str
    second: str
    effect: str
    interval: str
    n: str
    p: str
    facts: Facts
    seeds: tuple[SeedLine, ...]


@dataclass(frozen=True)
class ClaimPage:
    """A claim, in words."""

    anchor: str
    id: str
    grid: str
    kind: str
    kind_help: str
    origin: str
    scale: str
    says: str
    source: str
    verdict: Verdict
    reason: str
    effect: str
    interval: str
    n: str
    p: str
    spark: Spark | None
    marks: tuple[tuple[str, str], ...]
    facts: Facts
    parts: tuple[PartPage, ...]
    figure: Drawn | None


def claim_page(claim: ClaimView) -> ClaimPage:
    """Put a claim into words and draw its figure."""
    words = claim_words(claim)
    alt = (
        f"Differences by seed for: {words.says} Effect {words.effect}, 95 % interval {words.interval},"
        f" verdict: {words.verdict.text}."
    )
    return replace(words, figure=draw_claim(claim, _lanes(claim), words.anchor, alt))


def claim_words(claim: ClaimView) -> ClaimPage:
    """Put a claim into words, without a figure."""
    judgement = claim.judgement
    deciding = _deciding(claim)
    effect, interval = _headline_effect(claim, deciding)
    several = len(judgement.parts) > 1
    rank = "worst" if judgement.word == "refuted" else "weakest"
    return ClaimPage(
        anchor=stem("claim", claim.grid, claim.id),
        id=claim.id,
        grid=claim.grid,
        kind=claim.kind,
        kind_help=KINDS.get(claim.kind, ""),
        origin=ORIGINS.get(claim.origin, claim.origin),
        scale=claim.scale,
        says=sentence(claim.says),
        source=claim.source,
        verdict=verdict(judgement.word, "" if judgement.word == "not run" else judgement.shown),
        reason=sentence(judgement.reason),
        effect=f"{effect} ({rank} of {len(judgement.parts)})" if several and deciding else effect,
        interval=interval,
        n=str(deciding.n) if deciding else _count_of_seeds(claim),
        p=_corrected_p(claim, deciding),
        spark=spark(deciding) if deciding else None,
        marks=_marks(claim),
        facts=claim_facts(claim),
        parts=tuple(_part_page(claim, lane) for lane in _lanes(claim)),
        figure=None,
    )


def _lanes(claim: ClaimView) -> list[Lane]:
    """Put each part beside its result; a claim that was not run has none."""
    results = claim.judgement.parts
    if len(results) == len(claim.parts):
        return [Lane(part, result) for part, result in zip(claim.parts, results, strict=True)]
    by_label = {result.label: result for result in results}
    return [Lane(part, by_label.get(part.label)) for part in claim.parts]


def _deciding(claim: ClaimView) -> PartResult | None:
    """Return the part that the verdict hangs on: the strongest against when refuted, else the weakest."""
    parts = claim.judgement.parts
    if not parts:
        return None
    if claim.judgement.word == "refuted":
        return min(parts, key=lambda part: part.p_against)
    return max(parts, key=lambda part: part.p)


def _corrected_p(claim: ClaimView, deciding: PartResult | None) -> str:
    """Return the p behind the verdict: Holm's, or Bonferroni's against the statement where it is refuted."""
    if deciding is None:
        return NOTHING
    if claim.judgement.word != "refuted":
        return p_value(claim.judgement.p_holm)
    tests = round(ERROR_BUDGET / (1 - deciding.interval_corrected.level))  # claims of the grid, times parts
    return f"{p_value(min(1.0, tests * deciding.p_against))} against"


def _headline_effect(claim: ClaimView, deciding: PartResult | None) -> tuple[str, str]:
    judgement = claim.judgement
    if deciding is not None:
        told = unit_of(claim, deciding).effect(deciding.estimate, deciding.interval95.low, deciding.interval95.high)
        return told.estimate, told.interval
    if judgement.share is not None:
        bounds = f"{share(judgement.share.low)}, {share(judgement.share.high)}"
        return f"{share(judgement.share.estimate)} of seeds", bounds
    if claim.kind == "count" and claim.found is not None:
        return exact(claim.found), NOTHING
    if judgement.deviation is not None:
        return f"deviation {number(judgement.deviation)}", NOTHING
    return NOTHING, NOTHING


def _count_of_seeds(claim: ClaimView) -> str:
    return str(min(len(part.seeds) for part in claim.parts)) if claim.parts else NOTHING


def _marks(claim: ClaimView) -> tuple[tuple[str, str], ...]:
    marks = []
    if claim.after_data:
        marks.append(("after data", "first stated after results of this grid had been stored"))
    if claim.exploratory:
        marks.append(("exploratory", "not declared beforehand, or on seeds beyond the declared ones: not counted"))
    if any(part.fragile for part in claim.judgement.parts):
        marks.append(("fragile", "the mean and two robust estimates do not agree on the sign"))
    if any(seed.first_diverged or seed.second_diverged for part in claim.parts for seed in part.seeds):
        marks.append(("divergence", "some runs diverged: the sign test decides"))
    return tuple(marks)


def _part_page(claim: ClaimView, lane: Lane) -> PartPage:
    unit, part, result = unit_of(claim, lane.result), lane.part, lane.result
    told = unit.effect(result.estimate, result.interval95.low, result.interval95.high) if result else None
    return PartPage(
        label=part.label,
        compared=compared(part),
        first=part.first,
        second=part.second,
        effect=told.estimate if told else NOTHING,
        interval=told.interval if told else NOTHING,
        n=str(len(part.seeds)),
        p=p_value(result.p) if result else NOTHING,
        facts=(*(result_facts(unit, result) if result else size_facts(claim, part)), *design_facts(claim, part)),
        seeds=tuple(_seed_lines(unit, part)),
    )


def _seed_lines(unit: Unit, part: PartView) -> list[SeedLine]:
    def side(value: float, pick: str, *, diverged: bool) -> str:
        told = unit.level(value, 2 if unit.is_share else None)
        notes = ", ".join(note for note in ("diverged" if diverged else "", pick) if note)
        return f"{told} ({notes})" if notes else told

    return [
        SeedLine(
            str(seed.seed),
            side(seed.first, seed.first_pick, diverged=seed.first_diverged),
            side(seed.second, seed.second_pick, diverged=seed.second_diverged),
            unit.difference(seed.difference),
        )
        for seed in sorted(part.seeds, key=lambda seed: seed.seed)
    ]
