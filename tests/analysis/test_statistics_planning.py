"""Corrections for many questions, and how many seeds they cost."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from d2lbench.analysis.statistics.planning import bonferroni_level, holm, seeds_to_decide
from d2lbench.analysis.statistics.sign_flip import sign_flip_p
from d2lbench.grid.claims.claim import family_seeds

if TYPE_CHECKING:
    from d2lbench.analysis.statistics.samples import Relation


@pytest.mark.parametrize("size", [1, 2, 5, 10, 34])
def test_holm_equals_statsmodels(size: int) -> None:
    generator = np.random.default_rng(size)
    for p_values in (generator.random(size) ** 4, np.round(generator.random(size), 1), np.ones(size), np.zeros(size)):
        expected = multipletests(p_values, method="holm")[1]
        assert holm(p_values.tolist()) == pytest.approx(tuple(expected))


def test_holm_on_a_family_worked_out_by_hand() -> None:
    # 4 times 0.005, 3 times 0.01, 2 times 0.03, then not below the one before it.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx((0.03, 0.06, 0.06, 0.02))


def test_an_empty_family_has_no_answers() -> None:
    assert holm([]) == ()


@pytest.mark.parametrize("wrong", [-0.1, 1.1, math.nan])
def test_what_is_no_probability_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="p-values: numbers from 0 to 1 are needed, given"):
        holm([0.5, wrong])


def test_bonferroni_shares_the_error_among_claims_and_their_parts() -> None:
    assert bonferroni_level(10) == pytest.approx(0.005)
    assert bonferroni_level(10, 4) == pytest.approx(0.00125)
    with pytest.raises(ValueError, match="at least 1 of each is needed, given 0 and 1"):
        bonferroni_level(0)


@pytest.mark.parametrize(
    ("claims", "seeds"),
    # 40·m lies between 2^5 and 2^6 at m = 1, at most 2^10 up to m = 25, at most 2^11 up to m = 51; two more on top.
    [(1, 8), (2, 9), (3, 9), (4, 10), (10, 11), (12, 11), (13, 12), (25, 12), (26, 13), (51, 13), (52, 14), (102, 14)],
)
def test_seeds_that_a_family_requires(claims: int, seeds: int) -> None:
    assert family_seeds(claims) == seeds


@pytest.mark.parametrize("claims", [1, 7, 25, 60])
def test_two_seeds_fewer_still_allow_a_perfect_result_and_three_fewer_do_not(claims: int) -> None:
    n = family_seeds(claims)
    assert sign_flip_p([1.0] * (n - 2)).p < bonferroni_level(claims)
    assert sign_flip_p([1.0] * (n - 3)).p >= bonferroni_level(claims)


def spread_around(mean: float, spread: float, n: int = 12) -> np.ndarray:
    """Make differences with exactly this mean and standard deviation."""
    shape = np.linspace(-1, 1, n)
    return mean + spread * shape / shape.std(ddof=1)


@pytest.mark.parametrize(
    ("relation", "mean", "distance", "tails"),
    [
        ("greater", 0.02, 0.02, 2),  # supported: away from 0
        ("greater", -0.02, 0.02, 2),  # refuted: away from 0 on the other side
        ("greater", 0.004, 0.006, 1),  # refuted: inside ±0.01
        ("same", 0.004, 0.006, 1),
        ("same", -0.03, 0.02, 1),
        ("no_worse", 0.004, 0.014, 1),
        ("no_worse", -0.03, 0.02, 2),  # the interval is two-sided
    ],
)
def test_the_projected_seeds_are_the_fewest_that_student_would_ask(
    relation: Relation, mean: float, distance: float, tails: int
) -> None:
    spread, level = 0.02, 0.005
    needed = seeds_to_decide(spread_around(mean, spread), relation, 0.01, level)
    assert needed is not None

    def decides(n: int) -> bool:
        return tails * stats.t.sf(distance / (spread / math.sqrt(n)), n - 1) < level

    assert decides(needed)
    assert not decides(needed - 1)


@pytest.mark.parametrize("relation", ["greater", "same", "no_worse"])
def test_no_number_of_seeds_decides_an_effect_on_the_boundary(relation: Relation) -> None:
    on_it = {"greater": 0.0, "same": 0.01, "no_worse": -0.01}[relation]
    margin = 0.0 if relation == "greater" else 0.01
    assert seeds_to_decide(spread_around(on_it, 0.02), relation, margin, 0.05) is None


def test_just_inside_a_margin_that_the_spread_resolves_is_near_the_margin() -> None:
    assert seeds_to_decide(spread_around(0.0099, 0.01), "greater", 0.01, 0.05) is None


def test_a_spread_far_above_the_margin_is_noise_however_many_seeds_it_takes() -> None:
    needed = seeds_to_decide(spread_around(0.002, 0.5), "greater", 0.01, 0.05)
    assert needed is not None
    assert needed > 10_000


def test_identical_seeds_are_limited_only_by_the_number_of_sign_patterns() -> None:
    assert seeds_to_decide([0.02] * 3, "greater", 0.01, 0.05) == 6  # 2/2^6 < 0.05 ≤ 2/2^5


def test_a_mean_that_the_typical_seed_contradicts_is_never_decided_by_signs() -> None:
    assert seeds_to_decide([1.0, 1.0] + [-0.02] * 10, "greater", 0.01, 0.05, signs_only=True) is None


def test_the_sign_test_is_projected_from_signs() -> None:
    few_large = [3.0, 0.2, 0.1, 0.3, 0.2, 0.1, -0.1, 0.2]
    by_sign = seeds_to_decide(few_large, "greater", 0.01, 0.05, signs_only=True)
    by_mean = seeds_to_decide(few_large, "greater", 0.01, 0.05)
    assert by_sign is not None
    assert by_mean is not None
    assert by_sign < by_mean
