"""A claim as a page shows it: every number already in words."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from d2lbench.report.dots import Lane, draw_claim
from d2lbench.report.escape import stem
from d2lbench.report.format import NOTHING, TIMES, Unit, exact, fixed, number, p_value, sentence, share
from d2lbench.report.spark import Spark, spark
from d2lbench.report.words import EXACT, KINDS, ORIGINS, Verdict, verdict

if TYPE_CHECKING:
    from d2lbench.analysis.model import ClaimView, PartView
    from d2lbench.analysis.statistics import PartResult
    from d2lbench.report.style import Drawn

WORTH_MENTIONING: Final = 0.1  # share of picks on the ladder's edge above which nothing is concluded

Facts = tuple[tuple[str, str], ...]


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
        effect=f"{effect} (weakest of {len(judgement.parts)})" if several and deciding else effect,
        interval=interval,
        n=str(deciding.n) if deciding else _count_of_seeds(claim),
        p=NOTHING if judgement.word == "not run" else p_value(judgement.p_holm),
        spark=spark(deciding) if deciding else None,
        marks=_marks(claim),
        facts=_facts(claim),
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


def _headline_effect(claim: ClaimView, deciding: PartResult | None) -> tuple[str, str]:
    judgement = claim.judgement
    if deciding is not None:
        told = _unit(claim).effect(deciding.estimate, deciding.interval95.low, deciding.interval95.high)
        return told.estimate, told.interval
    if judgement.share is not None:
        bounds = f"{share(judgement.share.low)}, {share(judgement.share.high)}"
        return f"{share(judgement.share.estimate)} of seeds", bounds
    if claim.kind == "count" and claim.found is not None:
        return exact(claim.found), NOTHING
    if judgement.deviation is not None:
        return f"deviation {number(judgement.deviation)}", NOTHING
    return NOTHING, NOTHING


def _unit(claim: ClaimView) -> Unit:
    return Unit(claim.unit, claim.as_ratio)


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


def _facts(claim: ClaimView) -> Facts:
    judgement = claim.judgement
    facts = [("Metric", claim.metric), ("One number per seed", claim.statistic)]
    if claim.kind not in EXACT:
        reason = f" ({claim.margin_reason})" if claim.margin_reason else ""
        facts.append(("Margin", f"{_unit(claim).margin(claim.margin)}{reason}"))
    if judgement.p is not None and judgement.word != "not run":
        facts.append(("p", p_value(judgement.p)))
        m = judgement.family_size or claim.family_size
        facts.append(("Holm p", f"{p_value(judgement.p_holm)} (among {m} {'claim' if m == 1 else 'claims'})"))
    if judgement.at_half_margin and judgement.at_double_margin and judgement.word != "not run":
        words = f"{judgement.at_half_margin} · {judgement.word} · {judgement.at_double_margin}"
        facts.append((f"At ½ · 1 · 2 {TIMES} margin", words))
    if claim.suite_word:
        facts.append(("Corrected over the whole suite", claim.suite_word))
    if judgement.word == "unclear":
        facts.append(("What would decide", _what_would_decide(claim)))
    if claim.found is not None:
        facts.append(("Found", _with_unit(claim.found, claim.unit)))
    if claim.stated is not None:
        word = "Predicted" if claim.kind == "demonstration" else "Stated"
        facts.append((word, _with_unit(claim.stated, claim.unit)))
    if judgement.deviation is not None:
        facts.append(("Largest deviation", number(judgement.deviation)))
    return tuple((name, value) for name, value in facts if value)


def _with_unit(value: float, unit: str) -> str:
    return f"{exact(value)} {unit}".strip()


def _what_would_decide(claim: ClaimView) -> str:
    judgement = claim.judgement
    if judgement.seeds_to_decide is not None:
        return f"noise: about {judgement.seeds_to_decide:,} seeds"
    return {
        "near margin": "nothing affordable: the effect lies near the margin",
        "edge": "a longer ladder: the best settings lie at its end",
        "fragile": "more seeds, and a look at the outlying ones",
    }.get(judgement.cause or "", "")


def _part_page(claim: ClaimView, lane: Lane) -> PartPage:
    unit, part, result = _unit(claim), lane.part, lane.result
    relation = {"no_worse": "no worse than", "same": "the same as"}.get(part.relation, "against")
    told = unit.effect(result.estimate, result.interval95.low, result.interval95.high) if result else None
    return PartPage(
        label=part.label,
        compared=f"{part.first} {relation} {part.second}",
        first=part.first,
        second=part.second,
        effect=told.estimate if told else NOTHING,
        interval=told.interval if told else NOTHING,
        n=str(len(part.seeds)),
        p=p_value(result.p) if result else NOTHING,
        facts=(*(_result_facts(unit, result) if result else ()), *_design_facts(claim, part)),
        seeds=tuple(_seed_lines(unit, part)),
    )


def _result_facts(unit: Unit, result: PartResult) -> Facts:
    """Return what the statistics know of a part beyond its estimate."""
    corrected = result.interval_corrected
    level = fixed(100 * corrected.level, 2)
    told = unit.effect(result.estimate, corrected.low, corrected.high)
    facts = [
        (f"Corrected interval ({level} %)", f"[{told.interval}]"),
        ("Probability of winning", share(result.probability_of_winning)),
        ("Interquartile mean", unit.difference(result.interquartile_mean)),
        ("Hodges-Lehmann", unit.difference(result.hodges_lehmann)),
        ("p against the statement", p_value(result.p_against)),
        ("Test", result.test + ("" if result.exact else ", a million random flips")),
    ]
    if result.no_variation:
        facts.append(("Seed variation", "none: all seeds agree, so the interval is a point"))
    if result.rate_difference is not None:
        rates = result.rate_difference
        bounds = f"{fixed(100 * rates.low, 0)}, {fixed(100 * rates.high, 0)}"
        facts.append(("More divergence on the first side", f"{fixed(100 * rates.estimate, 0)} % of seeds [{bounds}]"))
    return tuple(facts)


def _design_facts(claim: ClaimView, part: PartView) -> Facts:
    """Return what the design of the run achieved."""
    facts = []
    if part.correlation is not None:
        facts.append(("Correlation of the sides", fixed(part.correlation, 2)))
    if any(seed.first_pick or seed.second_pick for seed in part.seeds):
        mark = ", too many to conclude" if part.edge_share > WORTH_MENTIONING else ""
        facts.append(("Picks on the ladder's edge", f"{share(part.edge_share)} of seeds{mark}"))
    if part.settled is not None:
        change = Unit(claim.unit).difference(part.settled)
        facts.append(("Change over the last tenth of training", change))
    if part.on_such_data is not None:
        low, high = part.on_such_data
        bounds = _unit(claim).effect((low + high) / 2, low, high).interval
        facts.append(("On such data (seeds and examples)", f"[{bounds}]"))
    return tuple(facts)


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
