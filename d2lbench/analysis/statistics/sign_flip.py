"""Tests of paired differences that need no normal distribution: the sign-flip test and the sign test.

The sign-flip test is Fisher's randomization test for pairs (R. A. Fisher, The Design of Experiments, 1935, §21). If
nothing separates the two sides, each difference could as well have had the other sign: p is the share of all 2^n sign
patterns whose mean is at least as extreme as the observed one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
from scipy import stats

from d2lbench.analysis.statistics.samples import RELATIVE_TOLERANCE, sample, shifted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from d2lbench.analysis.statistics.samples import Floats

Alternative = Literal["two-sided", "greater", "less"]

EXACT_UP_TO = 40  # two halves of 2^20 sums: 8 MiB each, a fraction of a second
FLIPS = 10**6
FLIP_KEY = 0x5197F11B5  # any constant: the same differences must give the same p on every machine
FLIPS_AT_ONCE = 10_000  # the sums of so many patterns stay in the cache
BITS = 8
_SIGNS: Final = 1.0 - 2.0 * (np.arange(2**BITS) >> np.arange(BITS)[:, None] & 1)  # (8, 2^8): every pattern of a byte


@dataclass(frozen=True, slots=True)
class SignFlip:
    """A p-value in (0, 1], and whether every sign pattern was counted or a random million of them."""

    p: float
    exact: bool


def sign_flip_p(
    differences: Sequence[float] | Floats, alternative: Alternative = "two-sided", shift: float = 0.0
) -> SignFlip:
    """Test whether the mean of `differences - shift` is 0, against `alternative`, by flipping signs.

    `differences` and `shift` share one unit (that of the metric, or natural logs). Up to 40 differences the answer is
    exact. Above, a million random flips from a fixed key are drawn and p = (b + 1) / (B + 1), which can never be 0
    (Phipson and Smyth, Permutation P-values should never be zero, 2010).

    Sums that agree up to rounding are ties, and ties count as extreme: this can only raise p, and the observed pattern
    always counts. So p is 1 for differences that all equal `shift`.

    Raises `ValueError` for an empty vector, for NaN or infinity, and for an unknown alternative.
    """
    values = _oriented(differences, alternative, shift)
    both_tails = alternative == "two-sided"
    observed = abs(float(values.sum())) if both_tails else float(values.sum())
    threshold = observed - RELATIVE_TOLERANCE * float(np.abs(values).sum())
    exact = values.size <= EXACT_UP_TO
    if both_tails and threshold <= 0:  # every pattern is at least this extreme
        return SignFlip(p=1.0, exact=exact)
    if exact:
        # Flipping all signs at once mirrors the distribution: two tails are twice one.
        return SignFlip(p=(2 if both_tails else 1) * _enumerated_p(values, threshold), exact=True)
    return SignFlip(p=_drawn_p(values, threshold, both_tails=both_tails), exact=False)


def sign_test_p(
    differences: Sequence[float] | Floats, alternative: Alternative = "two-sided", shift: float = 0.0
) -> float:
    """Binomial test of how many differences lie above `shift`; it reads signs only, so no outlier can drive it.

    Differences equal to `shift` are dropped, as in Dixon and Mood (The statistical sign test, 1946); when all are, p is
    1. Raises `ValueError` as `sign_flip_p` does.
    """
    values = _oriented(differences, alternative, shift)
    positive, negative = int((values > 0).sum()), int((values < 0).sum())
    if positive + negative == 0:
        return 1.0
    sides = "two-sided" if alternative == "two-sided" else "greater"
    return float(stats.binomtest(positive, positive + negative, 0.5, alternative=sides).pvalue)


def _oriented(differences: Sequence[float] | Floats, alternative: Alternative, shift: float) -> Floats:
    """Subtract the shift and turn "less" into "greater" by changing every sign."""
    if alternative not in ("two-sided", "greater", "less"):
        message = f'alternative: "two-sided", "greater" or "less" is needed, given {alternative!r}'
        raise ValueError(message)
    values = shifted(sample(differences), float(sample([shift], "shift")[0]))
    return -values if alternative == "less" else values


def _enumerated_p(values: Floats, threshold: float) -> float:
    """Share of the sums ≥ threshold among all 2^n, found by meeting in the middle.

    Every sum is one of 2^(n/2) left sums plus one of 2^(n/2) right sums (Horowitz and Sahni, 1974). With the right ones
    sorted, each left sum finds its partners by one binary search.
    """
    half = values.size // 2
    left, right = _sorted_sums(values[:half]), _sorted_sums(values[half:])
    short = int(np.searchsorted(right, threshold - left, side="left").sum())
    return (left.size * right.size - short) / (left.size * right.size)


def _sorted_sums(values: Floats) -> Floats:
    sums = np.zeros(1)
    for value in values:
        sums = np.concatenate((sums - value, sums + value))
    return np.sort(sums)


def _drawn_p(values: Floats, threshold: float, *, both_tails: bool) -> float:
    """Share of the sums ≥ threshold among a million random ones, the observed one counted with them.

    A random byte picks one of the 2^8 sums that eight differences can have, so a pattern costs n/8 additions; one sign
    at a time takes five times as long.
    """
    generator = np.random.Generator(np.random.Philox(key=FLIP_KEY))
    tables = np.pad(values, (0, -values.size % BITS)).reshape(-1, BITS) @ _SIGNS  # (n/8, 2^8): zeros add nothing
    extreme = 0
    for _ in range(FLIPS // FLIPS_AT_ONCE):
        patterns = generator.integers(0, 2**BITS, size=(len(tables), FLIPS_AT_ONCE), dtype=np.uint8)
        sums = np.zeros(FLIPS_AT_ONCE)
        for table, pattern in zip(tables, patterns, strict=True):
            sums += table[pattern]
        extreme += int(np.count_nonzero((np.abs(sums) if both_tails else sums) >= threshold))
    return (extreme + 1) / (FLIPS + 1)
