"""Corrections for several questions of one grid, and how many seeds an unclear claim would take under them."""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy import stats

from d2lbench.analysis.statistics.estimates import t_quantile
from d2lbench.analysis.statistics.samples import RELATIVE_TOLERANCE, at_least, mean, sample

if TYPE_CHECKING:
    from collections.abc import Sequence

    from d2lbench.analysis.statistics.samples import Floats, Relation

SIGNIFICANCE = 0.05
# Fifty times the largest run of the suite. What takes more is out of reach, whatever the arithmetic says.
AFFORDABLE_SEEDS = 1_000
SEARCHED_SEEDS = 10**9


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Adjust p-values, keeping their order (Holm, A simple sequentially rejective procedure, 1979).

    Equal to `multipletests(..., method="holm")` of statsmodels, which collects garbage at every call: 30 ms each, paid
    three thousand times when a report is judged under a thousand swapped labels.

    Raises `ValueError` for anything outside 0…1. No p-values, no answers: the empty family is allowed.
    """
    wrong = [p for p in p_values if not 0 <= p <= 1]
    if wrong:
        message = f"p-values: numbers from 0 to 1 are needed, given {wrong[0]}"
        raise ValueError(message)
    given = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(given, kind="stable")
    still_standing = np.arange(given.size, 0, -1)  # m for the smallest p, then m - 1, …
    adjusted = np.empty_like(given)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(given[order] * still_standing))
    return tuple(adjusted.tolist())


def bonferroni_level(claims: int, parts: int = 1) -> float:
    """Level of one part among `parts` of one of `claims` claims: 0.05 / (m·k) (Dunn, 1961)."""
    if claims < 1 or parts < 1:
        message = f"claims and parts: at least 1 of each is needed, given {claims} and {parts}"
        raise ValueError(message)
    return SIGNIFICANCE / (claims * parts)


@dataclass(frozen=True, slots=True)
class Leaning:
    """The word that the estimate would get with seeds without end, and the value it has to be told apart from."""

    word: Literal["supported", "refuted"]
    boundary: float
    tails: int


def leaning(estimate: float, relation: Relation, margin: float) -> Leaning:
    """Say where an estimate points. All numbers are in the unit of the differences."""
    nearest = math.copysign(margin, estimate)
    if relation == "no_worse":
        # Refuting takes the two-sided interval, so the tail is halved.
        return Leaning("supported", -margin, 1) if estimate > -margin else Leaning("refuted", -margin, 2)
    if relation == "same":
        return Leaning("supported" if abs(estimate) < margin else "refuted", nearest, 1)
    if at_least(estimate, margin):
        return Leaning("supported", 0.0, 2)
    return Leaning("refuted", 0.0, 2) if at_least(-estimate, margin) else Leaning("refuted", nearest, 1)


def seeds_to_decide(
    differences: Sequence[float] | Floats,
    relation: Relation,
    margin: float,
    level: float,
    *,
    signs_only: bool = False,
) -> int | None:
    """How many seeds with the mean and spread seen so far would decide, or None when no number would.

    A projection by Student's t at `level` (the share of error that this decision may take, 0.05/m), not a promise: the
    mean of further seeds will move. `signs_only` projects the sign test instead, for parts in which runs diverged.

    None means near the margin: the estimate equals the value it must be told apart from, or lies so near that the
    answer would take more than 1,000 seeds although the spread is small enough to resolve the margin itself with fewer.
    One seed alone has no spread: the answer is then the fewest seeds with which anything can be decided.
    """
    values = sample(differences)
    lean = leaning(mean(values), relation, margin)
    away = values - lean.boundary
    distance, direction = abs(mean(away)), math.copysign(1.0, mean(away))
    if distance <= RELATIVE_TOLERANCE * float(np.abs(values).max(initial=margin)):
        return None
    if signs_only:
        away = np.sign(away)
        if mean(away) * direction <= 0:  # the typical seed contradicts the mean: no number of such seeds decides
            return None
    spread = float(away.std(ddof=1)) if away.size > 1 else 0.0
    needed = _projected(abs(mean(away)), spread, level, lean.tails)
    out_of_reach = needed is None or needed > AFFORDABLE_SEEDS
    if out_of_reach and not signs_only and distance < margin:
        at_a_margins_distance = _projected(margin, spread, level, lean.tails)
        if at_a_margins_distance is not None and at_a_margins_distance <= AFFORDABLE_SEEDS:
            return None
    return needed


def trials_to_decide(successes: int, trials: int) -> int | None:
    """How many seeds with this share of successes would put Wilson's 95 % interval off one half; None at one half."""
    distance = abs(successes / trials - 0.5)
    if distance == 0:
        return None
    quantile = float(stats.norm.isf(SIGNIFICANCE / 2))
    return math.floor((quantile / (2 * distance)) ** 2) + 1  # Wilson's bound passes ½ where the score test does


def _projected(distance: float, spread: float, level: float, tails: int) -> int | None:
    tail = level / tails
    fewest = max(2, math.floor(math.log2(1 / tail)) + 1)  # below it even unanimous signs leave p ≥ level
    candidates = range(fewest, SEARCHED_SEEDS)
    position = bisect_left(candidates, x=True, key=lambda n: t_quantile(tail, n - 1) * spread / math.sqrt(n) < distance)
    return candidates[position] if position < len(candidates) else None
