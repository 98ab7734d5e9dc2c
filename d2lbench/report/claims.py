"""A claim and its parts in words: what pages and the terminal say of the judged records."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from d2lbench.report.dots import draw_claim
from d2lbench.report.escape import stem
from d2lbench.report.format import (
    NOTHING,
    TIMES,
    Effect,
    Unit,
    counted,
    exact,
    fixed,
    needs_factors,
    number,
    p_value,
    sentence,
    share,
)
from d2lbench.report.words import Verdict, verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from d2lbench.analysis.model import ClaimView, PartView
    from d2lbench.analysis.statistics.parts import Part
    from d2lbench.report.style import Drawn

WORTH_MENTIONING = 0.1  # share of picks on the ladder's edge above which nothing is concluded

Facts: TypeAlias = tuple[tuple[str, str], ...]


def anchor(claim: ClaimView) -> str:
    """Return the name of a claim in links and of its figure."""
    return stem("claim", claim.grid, claim.id)


def verdict_of(claim: ClaimView) -> Verdict:
    """Return how a claim's verdict is shown; why it was not run stands beside it."""
    judgement = claim.judgement
    return verdict(judgement.word, "" if judgement.word == "not run" else judgement.shown)


def deciding(claim: ClaimView) -> Part | None:
    """Return the part that the verdict hangs on: the strongest against when refuted, else the weakest."""
    parts = claim.judgement.parts
    if claim.judgement.word == "refuted":
        return min(parts, key=lambda part: part.p_against, default=None)
    return max(parts, key=lambda part: part.p, default=None)


def unit_of(claim: ClaimView, part: Part | None = None) -> Unit:
    """Return the claim's unit; a part's ratios are all told in the form that suits its interval."""
    if not claim.as_ratio or part is None or not claim.judgement.parts:
        return Unit(claim.unit, claim.as_ratio)
    interval = part.interval95
    return Unit(claim.unit, as_ratio=True, factors=needs_factors(part.estimate, interval.low, interval.high))


def effect(claim: ClaimView) -> Effect:
    """Return the effect of the part that decides with its 95 % interval, or the one number of a claim without."""
    judgement, part = claim.judgement, deciding(claim)
    if part is not None:
        told = part_effect(part, claim)
        rank = "worst" if judgement.word == "refuted" else "weakest"
        several = f" ({rank} of {len(judgement.parts)})" if len(judgement.parts) > 1 else ""
        return Effect(f"{told.estimate}{several}", told.interval)
    if judgement.share is not None:
        bounds = f"{share(judgement.share.low)}, {share(judgement.share.high)}"
        return Effect(f"{share(judgement.share.estimate)} of seeds", bounds)
    if claim.kind == "count" and claim.found is not None:
        return Effect(exact(claim.found), NOTHING)
    return Effect(NOTHING if judgement.deviation is None else f"deviation {number(judgement.deviation)}", NOTHING)


def part_effect(part: Part, claim: ClaimView) -> Effect:
    """Return a part's effect with its 95 % interval; a dash for both where it was not tested."""
    if not claim.judgement.parts:
        return Effect(NOTHING, NOTHING)
    return unit_of(claim, part).effect(part.estimate, part.interval95.low, part.interval95.high)


def part_p(part: Part, claim: ClaimView) -> str:
    """Return a part's uncorrected p; a dash where it was not tested."""
    return p_value(part.p) if claim.judgement.parts else NOTHING


def seeds_behind(claim: ClaimView) -> str:
    """Return how many seeds are behind the verdict."""
    part = deciding(claim)
    if part is not None:
        return str(part.n)
    return str(min(len(each.seeds) for each in claim.parts)) if claim.parts else NOTHING


def corrected_p(claim: ClaimView) -> str:
    """Return the p behind the verdict: Holm's, or Bonferroni's against the statement where it is refuted."""
    from d2lbench.analysis.statistics.planning import SIGNIFICANCE

    part = deciding(claim)
    if part is None:
        return NOTHING
    if claim.judgement.word != "refuted":
        return p_value(claim.judgement.p_holm)
    tests = round(SIGNIFICANCE / claim.judgement.level)  # claims of the grid, times parts
    return f"{p_value(min(1.0, tests * part.p_against))} against"


def marks(claim: ClaimView) -> Facts:
    """Return the words that a claim is marked with, each with its reason."""
    found = []
    if claim.after_data:
        found.append(("after data", "first stated after results of this grid had been stored"))
    if claim.exploratory:
        found.append(("exploratory", "not declared beforehand, or on seeds beyond the declared ones: not counted"))
    if any(part.fragile for part in claim.judgement.parts):
        found.append(("fragile", "the mean and two robust estimates do not agree on the sign"))
    if any(seed.first_diverged or seed.second_diverged for part in claim.parts for seed in part.seeds):
        found.append(("divergence", "some runs diverged: the sign test decides"))
    return tuple(found)


def claim_figure(claim: ClaimView) -> Drawn | None:
    """Draw a claim; None where no seed has a difference."""
    told = effect(claim)
    alt = (
        f"Differences by seed for: {sentence(claim.says)} Effect {told.estimate}, 95 % interval {told.interval},"
        f" verdict: {verdict_of(claim).text}."
    )
    return draw_claim(claim, anchor(claim), alt)


# ------------------------------------------------------------------------------------------------- beyond the verdict


def facts(claim: ClaimView) -> Facts:
    """Return what holds for the claim as a whole, and for its part where it has only one."""
    from d2lbench.analysis.statistics.verdicts import EXACT_KINDS

    judgement = claim.judgement
    found = [("Metric", claim.metric), ("One number per seed", claim.statistic)]
    if claim.kind not in EXACT_KINDS:
        reason = f" ({claim.margin_reason})" if claim.margin_reason else ""
        margins = dict.fromkeys(part.margin for part in claim.parts) or {claim.margin: None}
        told = " · ".join(unit_of(claim).margin(margin) for margin in margins)
        found.append(("Margin", f"{told}{reason}"))
    if judgement.p is not None and judgement.word != "not run":
        found.append(("p", p_value(judgement.p)))
        found.append(("Holm p", f"{p_value(judgement.p_holm)} (among {counted(judgement.family_size or 0, 'claim')})"))
    if judgement.at_half_margin and judgement.at_double_margin and judgement.word != "not run":
        words = f"{judgement.at_half_margin} · {judgement.word} · {judgement.at_double_margin}"
        found.append((f"At ½ · 1 · 2 {TIMES} margin", words))
    if judgement.word == "unclear":
        found.append(("What would decide", _what_would_decide(claim)))
    if claim.found is not None:
        found.append(("Found", _with_unit(claim.found, claim.unit)))
    if claim.stated is not None:
        word = "Predicted" if claim.kind == "demonstration" else "Stated"
        found.append((word, _with_unit(claim.stated, claim.unit)))
    if judgement.deviation is not None:
        found.append(("Largest deviation", number(judgement.deviation)))
    return tuple((name, value) for name, value in found if value)


def _with_unit(value: float, unit: str) -> str:
    return Unit(unit).level(value) if unit == "share" else f"{exact(value)} {unit}".strip()


def _what_would_decide(claim: ClaimView) -> str:
    judgement = claim.judgement
    if judgement.seeds_to_decide is not None:
        return f"noise: about {judgement.seeds_to_decide:,} seeds"
    return {
        "near margin": "nothing affordable: the effect lies near the margin",
        "edge": "a longer ladder: the best settings lie at its end",
        "fragile": "more seeds, and a look at the outlying ones",
    }.get(judgement.cause or "", "")


def part_facts(part: PartView, claim: ClaimView) -> Facts:
    """Return what the statistics know of a part beyond its estimate, and what the design of the run achieved."""
    return (*(_tested(part, claim) if claim.judgement.parts else _sizes(part, claim)), *_design(part, claim))


def _sizes(part: PartView, claim: ClaimView) -> Iterator[tuple[str, str]]:
    """Return how large the sides of an identity, a count or a demonstration are: no interval tells it."""
    if part.seeds and not claim.as_ratio:
        sides = ([seed.first for seed in part.seeds], [seed.second for seed in part.seeds])
        first, second = (unit_of(claim).level(math.fsum(values) / len(values)) for values in sides)
        yield "Mean over seeds", f"{first} beside {second}"


def _tested(part: PartView, claim: ClaimView) -> Iterator[tuple[str, str]]:
    unit, corrected = unit_of(claim, part), claim.judgement.corrected(part)
    told = unit.effect(part.estimate, corrected.low, corrected.high)
    yield f"Corrected interval ({fixed(100 * corrected.level, 2)} %)", f"[{told.interval}]"
    yield "Probability of winning", share(part.probability_of_winning)
    yield "Interquartile mean", unit.difference(part.interquartile_mean)
    yield "Hodges-Lehmann", unit.difference(part.hodges_lehmann)
    yield "p against the statement", p_value(part.p_against)
    yield "Test", part.test + ("" if part.exact else ", a million random flips")
    if part.no_variation:
        yield "Seed variation", "none: all seeds agree, so the interval is a point"
    if part.rate_difference is not None:
        low, rate, high = (
            fixed(100 * value, 0)
            for value in (part.rate_difference.low, part.rate_difference.estimate, part.rate_difference.high)
        )
        yield "More divergence on the first side", f"{rate} % of seeds [{low}, {high}]"


def _design(part: PartView, claim: ClaimView) -> Iterator[tuple[str, str]]:
    if part.correlation is not None:
        yield "Correlation of the sides", fixed(part.correlation, 2)
    if any(seed.first_pick or seed.second_pick for seed in part.seeds):
        mark = ", too many to conclude" if part.edge_share > WORTH_MENTIONING else ""
        yield "Picks on the ladder's edge", f"{share(part.edge_share)} of seeds{mark}"
    if part.settled is not None:
        yield "Change over the last tenth of training", Unit(claim.unit).difference(part.settled)
    if part.on_such_data is not None:
        low, high = part.on_such_data
        yield "On such data (seeds and examples)", f"[{unit_of(claim).effect((low + high) / 2, low, high).interval}]"
    for note in part.notes:
        yield "Note", note


@dataclass(frozen=True)
class SeedLine:
    """One seed of a part as a row of a table."""

    seed: int
    first: str
    second: str
    difference: str


def seed_lines(part: PartView, claim: ClaimView) -> list[SeedLine]:
    """Return the rows of a part's table of seeds."""
    unit = unit_of(claim, part)

    def side(value: float, pick: str, *, diverged: bool) -> str:
        told = unit.level(value, 2 if unit.is_share else None)
        notes = ", ".join(note for note in ("diverged" if diverged else "", pick) if note)
        return f"{told} ({notes})" if notes else told

    return [
        SeedLine(
            seed.seed,
            side(seed.first, seed.first_pick, diverged=seed.first_diverged),
            side(seed.second, seed.second_pick, diverged=seed.second_diverged),
            unit.difference(seed.difference),
        )
        for seed in sorted(part.seeds, key=lambda seed: seed.seed)
    ]
