"""Claims outside the family, and evidence that is refused before anything is judged."""

from __future__ import annotations

import math

import pytest

from d2lbench.analysis.statistics.parts import Part
from d2lbench.analysis.statistics.verdicts import Evidence, judge_family

NEVER = Evidence("never", "comparison", not_run="no data set here")


@pytest.mark.parametrize(
    ("values", "stated", "tolerance", "shown"),
    [
        ((669706.0,), 669706.0, 0.0, "holds"),
        ((669707.0,), 669706.0, 0.0, "fails"),
        ((1.0, 1.0 + 1e-13), 1.0, 1e-12, "holds"),
        ((1.0, 1.0 + 1e-11), 1.0, 1e-12, "fails"),
        ((1.0, 1.0 - 1e-11), 1.0, 1e-12, "fails"),
    ],
)
def test_identities_and_counts_hold_or_fail(
    values: tuple[float, ...], stated: float, tolerance: float, shown: str
) -> None:
    for kind in ("identity", "count"):
        part = Part("it", "same", tuple(value - stated for value in values), tolerance)
        (judgement,) = judge_family([Evidence("exact", kind, (part,))])
        assert judgement.shown == shown
        assert judgement.word == ("supported" if shown == "holds" else "refuted")
        assert judgement.p is None


def test_the_part_that_is_farthest_beyond_its_tolerance_decides() -> None:
    loose, tight = Part("loose", "same", (0.1,), 0.2), Part("tight", "same", (0.01,), 0.001)
    (judgement,) = judge_family([Evidence("exact", "identity", (loose, tight))])
    assert (judgement.word, judgement.deviation) == ("refuted", 0.01)


def shown_in(successes: int) -> tuple[Part, ...]:
    """Return 12 seeds, so many of which show the stated direction."""
    return (Part("it", "greater", (1.0,) * successes + (-1.0,) * (12 - successes), 0.0),)


@pytest.mark.parametrize(
    # Wilson's bound passes one half at 10 of 12: (2·10 - 12)²/12 > 1.96² > (2·9 - 12)²/12.
    ("successes", "word"),
    [(12, "supported"), (10, "supported"), (9, "unclear"), (6, "unclear"), (3, "unclear"), (2, "refuted")],
)
def test_demonstrations_are_read_from_wilsons_interval(successes: int, word: str) -> None:
    (judgement,) = judge_family([Evidence("shown", "demonstration", shown_in(successes))])
    assert judgement.word == word
    assert judgement.share is not None
    assert judgement.share.estimate == successes / 12


def test_an_unclear_demonstration_says_how_many_seeds_would_decide() -> None:
    noisy, even = judge_family(
        [Evidence(name, "demonstration", shown_in(count)) for name, count in (("noisy", 9), ("even", 6))]
    )
    assert noisy.seeds_to_decide == 16  # 12 of 16: (24 - 16)²/16 = 4 > 1.96²; at 15 it is 3.75
    assert even.shown == "unclear (near margin)"


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
def test_differences_that_are_not_finite_are_refused_with_their_part(wrong: float) -> None:
    with pytest.raises(ValueError, match="part 'depth 8', differences: every number must be finite"):
        Part("depth 8", "greater", (0.1, wrong), 0.01)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"margin": -0.1}, "part 'x': a finite margin ≥ 0 is needed, given -0.1"),
        ({"margin": math.nan}, "part 'x': a finite margin ≥ 0 is needed, given nan"),
        ({"relation": "bigger"}, "part 'x': relation is one of .* given 'bigger'"),
        ({"diverged": ((True, False),)}, "given 1 for 2 seeds"),
        ({"relation": "same", "lower_bound": True}, "a lower bound can support"),
    ],
)
def test_parts_that_cannot_be_judged_are_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Part(**{"label": "x", "relation": "greater", "differences": (0.1, 0.2), "margin": 0.01, **fields})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kind": "speed"}, "claim 'x': kind is one of .* given 'speed'"),
        ({"kind": "timing"}, "claim 'x': a timing needs at least one part, given none"),
        ({"kind": "comparison"}, "claim 'x': a comparison needs at least one part, given none"),
        ({"kind": "count"}, "claim 'x': a count needs at least one part, given none"),
    ],
)
def test_evidence_that_does_not_fit_its_kind_is_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Evidence(**{"id": "x", **fields})


def test_two_claims_with_one_id_are_refused() -> None:
    with pytest.raises(ValueError, match="claims of a family need ids of their own, given twice: never"):
        judge_family([NEVER, NEVER])


def test_an_empty_family_has_no_verdicts() -> None:
    assert judge_family([]) == ()
