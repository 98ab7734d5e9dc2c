"""What is told of a claim beyond its verdict, as pairs of a name and a value in words."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from d2lbench.report.format import TIMES, Unit, counted, exact, fixed, needs_factors, number, p_value, share
from d2lbench.report.words import EXACT

if TYPE_CHECKING:
    from d2lbench.analysis.model import ClaimView, PartView
    from d2lbench.analysis.statistics import PartResult

WORTH_MENTIONING: Final = 0.1  # share of picks on the ladder's edge above which nothing is concluded

Facts = tuple[tuple[str, str], ...]


def unit_of(claim: ClaimView, result: PartResult | None = None) -> Unit:
    """Return the claim's unit; a part's ratios are all told in the form that suits its interval."""
    if not claim.as_ratio or result is None:
        return Unit(claim.unit, claim.as_ratio)
    interval = result.interval95
    return Unit(claim.unit, as_ratio=True, factors=needs_factors(result.estimate, interval.low, interval.high))


def claim_facts(claim: ClaimView) -> Facts:
    """Return what holds for the claim as a whole."""
    judgement = claim.judgement
    facts = [("Metric", claim.metric), ("One number per seed", claim.statistic)]
    if claim.kind not in EXACT:
        reason = f" ({claim.margin_reason})" if claim.margin_reason else ""
        margins = dict.fromkeys(part.margin for part in claim.parts) or {claim.margin: None}
        told = " · ".join(unit_of(claim).margin(margin) for margin in margins)
        facts.append(("Margin", f"{told}{reason}"))
    if judgement.p is not None and judgement.word != "not run":
        facts.append(("p", p_value(judgement.p)))
        m = judgement.family_size or claim.family_size
        facts.append(("Holm p", f"{p_value(judgement.p_holm)} (among {counted(m, 'claim')})"))
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


def size_facts(claim: ClaimView, part: PartView) -> Facts:
    """Return how large the sides of an identity, a count or a demonstration are: no interval tells it."""
    if claim.as_ratio or not part.seeds:
        return ()
    unit = unit_of(claim)
    first, second = (
        math.fsum(getattr(seed, side) for seed in part.seeds) / len(part.seeds) for side in ("first", "second")
    )
    return (("Mean over seeds", f"{unit.level(first)} beside {unit.level(second)}"),)


def result_facts(unit: Unit, result: PartResult) -> Facts:
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


def design_facts(claim: ClaimView, part: PartView) -> Facts:
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
        bounds = unit_of(claim).effect((low + high) / 2, low, high).interval
        facts.append(("On such data (seeds and examples)", f"[{bounds}]"))
    facts += [("Note", note) for note in part.notes]
    return tuple(facts)
