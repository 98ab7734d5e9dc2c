"""Each rule from numbers to a word, one test per rule."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from d2lbench.analysis.statistics.estimates import newcombe_paired
from d2lbench.analysis.statistics.parts import Part
from d2lbench.analysis.statistics.planning import holm
from d2lbench.analysis.statistics.verdicts import Evidence, Judgement, judge_family

if TYPE_CHECKING:
    from d2lbench.analysis.statistics.samples import Relation

MARGIN = 0.01
NEVER = Evidence("never", "comparison", not_run="no data set here")


def seeds(mean: float, spread: float = 0.004, n: int = 12) -> tuple[float, ...]:
    """Make differences with exactly this mean and standard deviation."""
    shape = np.linspace(-1, 1, n)
    return tuple((mean + spread * shape / shape.std(ddof=1)).tolist())


def part(relation: Relation, differences: tuple[float, ...], margin: float = MARGIN) -> Part:
    return Part("only", relation, differences, margin)


def claim(*parts: Part, name: str = "claim") -> Evidence:
    kind = "equivalence" if all(one.relation == "same" for one in parts) else "comparison"
    return Evidence(name, kind, parts)


def judge(*parts: Part, among: int = 1) -> Judgement:
    """Judge one claim in a family of `among`, the others declared but not run."""
    others = [replace(NEVER, id=f"other {index}") for index in range(among - 1)]
    return judge_family([claim(*parts), *others])[0]


@pytest.mark.parametrize(
    ("relation", "mean", "word", "reason"),
    [
        ("greater", 0.02, "supported", "ahead by at least the margin"),
        ("greater", 0.004, "refuted", "the difference is smaller than the margin, either way"),
        ("greater", -0.004, "refuted", "the difference is smaller than the margin, either way"),
        ("greater", -0.02, "refuted", "the difference points the other way, by at least the margin"),
        ("greater", 0.009, "unclear", "noise: about "),
        ("same", 0.001, "supported", "the difference is smaller than the margin, either way"),
        ("same", 0.02, "refuted", "the difference is larger than the margin"),
        ("same", -0.02, "refuted", "the difference is larger than the margin"),
        ("same", 0.0105, "unclear", "noise: about "),
        ("no_worse", 0.0, "supported", "not worse by as much as the margin"),
        ("no_worse", 0.02, "supported", "not worse by as much as the margin"),
        ("no_worse", -0.02, "refuted", "worse by more than the margin"),
        ("no_worse", -0.009, "unclear", "noise: about "),
    ],
)
def test_a_claim_alone_gets_its_word_with_a_reason(relation: Relation, mean: float, word: str, reason: str) -> None:
    judgement = judge(part(relation, seeds(mean)))
    assert (judgement.word, judgement.family_size) == (word, 1)
    assert judgement.reason.startswith(reason)


def test_an_estimate_exactly_at_the_margin_counts_as_at_it() -> None:
    at_it = tuple(value - 0.02 for value in [0.03] * 12)  # 0.009999999999999998 each
    assert judge(part("greater", at_it)).word == "supported"
    assert judge(part("greater", tuple(-value for value in at_it))).word == "refuted"


def test_significant_but_smaller_than_the_margin_is_not_supported() -> None:
    judgement = judge(part("greater", seeds(0.0095, 0.002)))
    assert judgement.p is not None
    assert judgement.p < 0.001
    assert judgement.shown == "unclear (noise)"


def test_beyond_the_margin_but_not_significant_is_noise_with_the_seeds_it_takes() -> None:
    judgement = judge(part("greater", seeds(0.02, 0.05)))
    assert judgement.cause == "noise"
    assert judgement.seeds_to_decide is not None
    assert 12 < judgement.seeds_to_decide < 40


def test_close_to_the_margin_with_a_small_spread_no_number_of_seeds_decides() -> None:
    judgement = judge(part("greater", seeds(0.00995, 0.004)))
    assert judgement.shown == "unclear (near margin)"
    assert judgement.seeds_to_decide is None


def test_holm_makes_support_harder_in_a_larger_family() -> None:
    differences = (0.05, 0.04, 0.03, 0.03, 0.02, 0.02, 0.01, 0.01, 0.03, -0.01, -0.01, 0.01)
    alone, crowded = judge(part("greater", differences)), judge(part("greater", differences), among=12)
    assert alone.word == "supported"
    assert crowded.word == "unclear"
    assert crowded.p == alone.p
    assert crowded.p_holm == pytest.approx(12 * alone.p)


def test_bonferroni_makes_refutation_harder_in_a_larger_family() -> None:
    differences = seeds(0.0, 0.011)
    assert judge(part("greater", differences)).word == "refuted"
    assert judge(part("greater", differences), among=25).word == "unclear"


def test_every_declared_comparison_counts_and_other_kinds_do_not() -> None:
    family = [
        claim(part("greater", seeds(0.02)), name="a"),
        claim(part("same", seeds(0.0)), name="b"),
        NEVER,
        Evidence("exact", "identity", (part("same", (0.0,)),)),
        Evidence("shown", "demonstration", (part("greater", (1.0,) * 9 + (-1.0,) * 3),)),
    ]
    judged = judge_family(family)
    assert [judgement.id for judgement in judged] == [evidence.id for evidence in family]
    assert [judgement.family_size for judgement in judged] == [3, 3, 3, None, None]
    raw = [judgement.p for judgement in judged[:3]]
    assert raw[2] == 1.0
    assert [judgement.p_holm for judgement in judged[:3]] == list(holm(raw))


def test_a_composite_needs_every_part_and_its_largest_p_enters_holm() -> None:
    strong, weak = part("greater", seeds(0.03)), part("greater", seeds(0.012, 0.01))
    judgement = judge(strong, weak)
    assert judgement.word == "supported"
    assert judgement.reason == "all 2 parts hold"
    assert judgement.family_size == 1
    assert judgement.p == judge(weak).p
    assert judge(strong, part("greater", seeds(0.009))).word == "unclear"


def test_one_refuted_part_refutes_a_composite_at_its_share_of_the_error() -> None:
    worse = Part("depth 8", "greater", seeds(-0.02), MARGIN)
    judgement = judge(part("greater", seeds(0.03)), worse)
    assert judgement.word == "refuted"
    assert judgement.reason == "depth 8: the difference points the other way, by at least the margin"
    # Refuted alone at 0.05, not as one of ten parts at 0.005.
    borderline = part("greater", seeds(0.0, 0.0125))
    assert judge(borderline).word == "refuted"
    assert judge(borderline, *[part("greater", seeds(0.03))] * 9).word == "unclear"


def test_the_corrected_interval_has_the_level_of_the_part() -> None:
    judgement = judge(part("greater", seeds(0.03)), part("no_worse", seeds(0.0)), among=5)
    first, _ = judgement.parts
    assert judgement.corrected(first).level == pytest.approx(1 - 0.05 / (5 * 2))
    assert first.interval95.level == 0.95
    assert judgement.corrected(first).low < first.interval95.low


def test_no_worse_is_refuted_by_the_corrected_interval_alone() -> None:
    differences = seeds(-0.0125, 0.002)
    alone, crowded = judge(part("no_worse", differences)), judge(part("no_worse", differences), among=400)
    assert alone.word == "refuted"
    assert alone.corrected(alone.parts[0]).high < -MARGIN
    assert crowded.corrected(crowded.parts[0]).high > -MARGIN
    assert crowded.word == "unclear"


def test_disagreeing_estimates_are_fragile_and_block_support() -> None:
    a_quarter = (0.1,) * 6 + (0.0,) * 18  # p = 2/2^6, the interval excludes 0, the middle half is empty
    judgement = judge(part("greater", a_quarter))
    assert judgement.parts[0].fragile
    assert judgement.p == pytest.approx(2 / 2**6)
    assert judgement.parts[0].interval95.low > 0
    assert judgement.shown == "unclear (fragile)"
    assert judgement.seeds_to_decide is None


def test_fragile_blocks_an_equivalence_too() -> None:
    straddling = (0.003, *(-0.0001,) * 11)
    judgement = judge(part("same", straddling))
    assert judgement.p == pytest.approx(1 / 2**12)
    assert judgement.shown == "unclear (fragile)"


@pytest.mark.parametrize("mean", [0.03, -0.03])
def test_a_pick_on_the_ladders_edge_leaves_everything_unclear(mean: float) -> None:
    judgement = judge(part("greater", seeds(0.02)), replace(part("greater", seeds(mean)), edge=True))
    assert judgement.shown == "unclear (edge)"
    assert (judgement.at_half_margin, judgement.at_double_margin) == ("unclear", "unclear")


def test_a_lower_bound_can_support_and_nothing_else() -> None:
    supported, refuted = (replace(part("greater", seeds(mean)), lower_bound=True) for mean in (0.03, -0.03))
    assert judge(supported).word == "supported"
    assert judge(refuted).shown == "unclear (edge)"
    assert judge(supported, part("greater", seeds(-0.03))).word == "refuted"


def test_a_diverged_run_hands_the_decision_to_the_sign_test() -> None:
    # Nine seeds of twelve ahead: the mean is far out, the signs are not (p = 0.146 two-sided).
    differences = (0.2,) * 9 + (-0.001,) * 3
    by_mean = judge(part("greater", differences))
    diverged = ((False, True),) * 4 + ((False, False),) * 8
    by_sign = judge(replace(part("greater", differences), diverged=diverged))
    assert by_mean.word == "supported"
    assert by_mean.parts[0].test == "sign-flip"
    assert by_mean.parts[0].rate_difference is None
    assert by_sign.word == "unclear"
    assert by_sign.parts[0].test == "sign test"
    assert by_sign.p == pytest.approx(2 * (1 + 12 + 66 + 220) / 2**12)
    assert by_sign.parts[0].rate_difference == newcombe_paired(0, 0, 4, 8)


def test_flags_without_any_divergence_change_nothing() -> None:
    plain = part("greater", seeds(0.02))
    flagged, unflagged = judge(replace(plain, diverged=((False, False),) * 12)), judge(plain)
    assert replace(flagged, parts=()) == replace(unflagged, parts=())
    assert flagged.parts[0].test == unflagged.parts[0].test == "sign-flip"
    assert flagged.parts[0].rate_difference is None


@pytest.mark.parametrize(("relation", "side"), [("no_worse", -1.0), ("same", -1.0), ("same", 1.0)])
def test_one_ruinous_seed_cannot_pass_under_the_sign_test(relation: Relation, side: float) -> None:
    differences = (side * 0.7, *(side * 0.001,) * 11)
    ruined = replace(part(relation, differences), diverged=((True, False), *((False, False),) * 11))
    judgement = judge(ruined)
    assert judgement.p is not None
    assert judgement.p < 0.05
    assert not judgement.parts[0].fragile
    assert judgement.word == "unclear"


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_a_majority_on_one_side_and_a_mean_on_the_other_decide_nothing(side: float) -> None:
    # 27 of 40 signs are significant (p = 0.038), but they contradict the mean, which no estimate calls fragile.
    differences = tuple(side * value for value in (0.5,) * 13 + (-0.0001,) * 27)
    contradicted = replace(part("greater", differences, 0.0), diverged=((True, True), *((False, False),) * 39))
    judgement = judge(contradicted)
    assert judgement.p == pytest.approx(0.0385, abs=5e-5)
    assert not judgement.parts[0].fragile
    assert judgement.word == "unclear"


def test_without_seed_variation_the_sign_flip_decides_and_it_is_said() -> None:
    few, enough = judge(part("greater", (0.02,) * 5)), judge(part("greater", (0.02,) * 6))
    assert few.parts[0].no_variation
    assert few.word == "unclear"  # 2/2^5 is above 0.05 although the interval is the point
    assert enough.word == "supported"
    assert enough.parts[0].interval95.low == enough.parts[0].interval95.high


def test_no_worse_without_variation_is_not_refuted_by_its_point_interval_alone() -> None:
    assert judge(part("no_worse", (-0.02,) * 4)).word == "unclear"  # 1/2^4
    assert judge(part("no_worse", (-0.02,) * 5)).word == "refuted"  # 1/2^5


def test_all_zero_differences_refute_a_margin_and_support_an_equivalence() -> None:
    nothing = (0.0,) * 12
    assert judge(part("greater", nothing)).word == "refuted"
    assert judge(part("same", nothing)).word == "supported"
    assert judge(part("no_worse", nothing)).word == "supported"
    assert judge(part("greater", nothing, 0.0)).shown == "unclear (near margin)"


def test_support_needs_an_interval_that_excludes_zero_beside_the_p() -> None:
    judgement = judge(part("greater", (5.0, *(0.02,) * 11)))
    assert judgement.p == 2 / 2**12
    assert not judgement.parts[0].fragile
    assert judgement.parts[0].interval95.low < 0
    assert judgement.word == "unclear"


def test_one_outlier_decides_nothing() -> None:
    assert judge(part("greater", (5.0, *(0.0,) * 11))).word == "unclear"
    assert judge(part("greater", (-5.0, *(0.0,) * 11))).word == "unclear"


def test_the_words_at_half_and_double_the_margin_are_given() -> None:
    judgement = judge(part("greater", seeds(0.012, 0.004)))
    assert (judgement.at_half_margin, judgement.word, judgement.at_double_margin) == (
        "supported",
        "supported",
        "refuted",
    )


def test_too_few_seeds_are_not_run() -> None:
    short = replace(claim(part("greater", seeds(0.05, n=2))), seeds_required=12)
    (judgement,) = judge_family([short])
    assert judgement.shown == "not run (2 seeds of 12)"
    assert (judgement.at_half_margin, judgement.p, judgement.parts) == ("not run", 1.0, ())


def test_the_part_with_the_fewest_seeds_counts() -> None:
    short = replace(claim(part("greater", seeds(0.05)), part("greater", ())), seeds_required=12)
    assert judge_family([short])[0].shown == "not run (0 seeds of 12)"


def test_one_seed_gets_a_word_too() -> None:
    judgement = judge(part("greater", (0.5,)))
    assert judgement.shown == "unclear (noise)"
    assert judgement.seeds_to_decide == 6


def test_a_supported_equivalence_reads_same_within_the_margin() -> None:
    assert judge(part("same", seeds(0.001))).shown == "same within the margin"
