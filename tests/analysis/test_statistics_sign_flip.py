"""The sign-flip test against three independent oracles, and the sign test against counting."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from d2lbench.analysis.statistics.sign_flip import Alternative, sign_flip_p, sign_test_p

ALTERNATIVES: tuple[Alternative, ...] = ("two-sided", "greater", "less")


def brute_force_p(whole_numbers: list[int], alternative: Alternative) -> float:
    """Count every pattern in whole numbers, where ties are exact."""
    patterns = np.array(list(itertools.product((-1, 1), repeat=len(whole_numbers))), dtype=np.int64)
    sums, observed = patterns @ np.array(whole_numbers), sum(whole_numbers)
    if alternative == "two-sided":
        return float((np.abs(sums) >= abs(observed)).mean())
    return float((sums >= observed if alternative == "greater" else sums <= observed).mean())


@pytest.mark.parametrize("alternative", ALTERNATIVES)
@pytest.mark.parametrize("n", range(2, 14))
def test_equals_the_exact_permutation_test_of_scipy(n: int, alternative: Alternative) -> None:
    differences = np.random.default_rng(n).normal(0.4, 1.0, n)
    oracle = stats.permutation_test(
        (differences,),
        np.mean,
        permutation_type="samples",
        n_resamples=np.inf,
        alternative=alternative,
        vectorized=True,
    )
    ours = sign_flip_p(differences, alternative)
    assert ours.exact
    assert ours.p == pytest.approx(oracle.pvalue, rel=1e-12)


@pytest.mark.parametrize("alternative", ALTERNATIVES)
@pytest.mark.parametrize("n", [1, 2, 3, 7, 12, 17, 18])
def test_equals_brute_force_where_sums_tie(n: int, alternative: Alternative) -> None:
    whole_numbers = np.random.default_rng(100 + n).integers(-3, 6, n).tolist()
    expected = brute_force_p(whole_numbers, alternative)
    assert sign_flip_p(whole_numbers, alternative).p == expected
    # In tenths the same sums no longer tie bit for bit: 0.1 + 0.2 is not 0.3.
    assert sign_flip_p([number / 10 for number in whole_numbers], alternative).p == expected


@pytest.mark.parametrize("n", [20, 31, 40])
def test_on_ranks_it_is_the_exact_wilcoxon_test(n: int) -> None:
    signs = np.random.default_rng(n).choice([-1, 1], n, p=[0.3, 0.7])
    ranks = signs * np.arange(1, n + 1)
    for alternative in ALTERNATIVES:
        oracle = stats.wilcoxon(ranks, alternative=alternative, method="exact").pvalue
        assert sign_flip_p(ranks, alternative).p == pytest.approx(oracle, rel=1e-9)


@pytest.mark.parametrize("n", [41, 48, 53])
def test_above_forty_a_million_flips_come_near_the_exact_answer_and_say_so(n: int) -> None:
    ranks = np.random.default_rng(5).choice([-1, 1], n, p=[0.35, 0.65]) * np.arange(1, n + 1)
    for alternative in ALTERNATIVES:
        exact = stats.wilcoxon(ranks, alternative=alternative, method="exact").pvalue
        drawn = sign_flip_p(ranks, alternative)
        assert not drawn.exact
        assert drawn.p == pytest.approx(exact, abs=5 * math.sqrt(exact * (1 - exact) / 10**6))
        assert drawn == sign_flip_p(ranks, alternative)


def test_random_flips_never_give_zero() -> None:
    assert sign_flip_p([1.0] * 60).p == 1 / (10**6 + 1)


@pytest.mark.parametrize("n", [1, 12, 40, 41])
@pytest.mark.parametrize("alternative", ALTERNATIVES)
def test_all_zero_differences_are_no_evidence_at_all(n: int, alternative: Alternative) -> None:
    assert sign_flip_p([0.0] * n, alternative).p == 1.0
    assert sign_test_p([0.0] * n, alternative) == 1.0


@pytest.mark.parametrize("n", [5, 12, 20])
def test_tied_differences_give_the_smallest_p_there_is(n: int) -> None:
    assert sign_flip_p([0.1] * n).p == 2 / 2**n
    assert sign_flip_p([0.1] * n, "greater").p == 1 / 2**n
    assert sign_flip_p([0.1] * n, "less").p == 1.0


def test_one_outlier_cannot_make_a_small_p() -> None:
    differences = [1e6] + [0.0] * 11
    assert sign_flip_p(differences).p == 1.0
    assert sign_flip_p(differences, "greater").p == 0.5


def test_a_difference_equal_to_the_shift_up_to_rounding_is_a_tie() -> None:
    differences = [0.03 - 0.02] * 12  # 0.009999999999999998
    assert differences[0] != 0.01
    assert sign_flip_p(differences, "less", shift=0.01).p == 1.0
    assert sign_test_p(differences, "less", shift=0.01) == 1.0


def test_the_shift_moves_the_question() -> None:
    differences = np.random.default_rng(3).normal(0.0, 1.0, 12)
    for alternative in ALTERNATIVES:
        moved = sign_flip_p(differences + 4.0, alternative, shift=4.0)
        assert moved.p == pytest.approx(sign_flip_p(differences, alternative).p, rel=1e-12)


def test_less_is_greater_with_every_sign_changed() -> None:
    differences = np.random.default_rng(4).normal(0.2, 1.0, 15)
    assert sign_flip_p(differences, "less") == sign_flip_p(-differences, "greater")
    assert sign_test_p(differences, "less") == sign_test_p(-differences, "greater")


@pytest.mark.parametrize("test", [sign_flip_p, sign_test_p])
@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_not_finite_are_refused_by_place(test: type, wrong: float) -> None:
    with pytest.raises(ValueError, match=r"differences: every number must be finite, given .* at position 1"):
        test([0.1, wrong, 0.2])


@pytest.mark.parametrize("test", [sign_flip_p, sign_test_p])
def test_wrong_arguments_are_refused(test: type) -> None:
    with pytest.raises(ValueError, match=r"at least one number is needed, given the shape \(0,\)"):
        test([])
    with pytest.raises(ValueError, match=r"given the shape \(2, 2\)"):
        test(np.ones((2, 2)))
    with pytest.raises(ValueError, match=r'"two-sided", "greater" or "less" is needed, given \'bigger\''):
        test([1.0], "bigger")
    with pytest.raises(ValueError, match="shift: every number must be finite"):
        test([1.0], "greater", math.nan)


@pytest.mark.parametrize(
    ("positive", "negative", "zero", "p"),
    # Binomial tails by hand: 2·(1 + 12)/2^12, 2·(1 + 10)/2^10, 2/2^6, 1.
    [(11, 1, 0, 26 / 4096), (1, 9, 2, 22 / 1024), (6, 0, 6, 2 / 64), (3, 3, 1, 1.0)],
)
def test_the_sign_test_counts_signs_and_drops_zeros(positive: int, negative: int, zero: int, p: float) -> None:
    differences = [5.0] * positive + [-0.1] * negative + [0.0] * zero
    assert sign_test_p(differences) == pytest.approx(p)
    assert sign_test_p([value + 7.0 for value in differences], shift=7.0) == pytest.approx(p)
