"""How many seeds a family needs before it runs, and how many more an unclear claim would take."""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy import stats

from d2lbench.analysis.statistics.estimates import t_quantile
from d2lbench.analysis.statistics.families import SIGNIFICANCE, bonferroni_level
from d2lbench.analysis.statistics.samples import RELATIVE_TOLERANCE, at_least, mean, sample

if TYPE_CHECKING:
    from collections.abc import Sequence

    from d2lbench.analysis.statistics.evidence import Relation
    from d2lbench.analysis.statistics.samples import Floats

# Fifty times the largest run of the suite. What takes more is out of reach, whatever the arithmetic says.
AFFORDABLE_SEEDS = 1_000
SEARCHED_SEEDS = 10**9


def required_seeds(claims: int) -> int:
    """Pairs that a family of `claims` comparisons and equivalences needs: ⌈log2(2m/0.05)⌉ + 2.

    With n pairs the smallest two-sided sign-flip p is 2/2^n; below ⌈log2(2m/0.05)⌉ pairs not even a perfect result
    could pass the first step of Holm. Two more leave room for a seed that disagrees. Raises `ValueError` below 1 claim.
    """
    return math.ceil(math.log2(2 / bonferroni_level(claims))) + 2


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
