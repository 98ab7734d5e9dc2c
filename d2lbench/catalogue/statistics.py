"""Statistics: how one side of a claim becomes one number per seed.

A statistic gets the values of a metric along an axis and the axis' positions, both of shape (k,), in the axis'
order; positions are numbers where the axis has numbers, else 0, 1, 2, … Where a claim compares by ratio, a ``linear``
statistic gets logarithms (a slope of logs, a change of logs), any other's result is logged.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge, Gt, Le

from d2lbench.core.kinds import StatisticTraits
from d2lbench.core.registry import register

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float64]


@register(StatisticTraits, "mean", linear=True)
def mean(values: Vector, positions: Vector, /) -> float:
    """The plain average over the axis."""
    del positions
    return float(values.mean())


@register(StatisticTraits, "slope", numeric=True, linear=True, own_unit=True)
def slope(values: Vector, positions: Vector, /) -> float:
    """The least-squares slope over the axis, in the metric's unit per unit of the axis."""
    centred = positions - positions.mean()
    return float(centred @ (values - values.mean()) / (centred @ centred))


@register(StatisticTraits, "late_slope", numeric=True, linear=True, own_unit=True)
def late_slope(values: Vector, positions: Vector, /, *, share: Annotated[float, Gt(0), Le(1)] = 0.5) -> float:
    """The least-squares slope over the last ``share`` of the axis, in the metric's unit per unit of the axis."""
    first = positions[-1] - share * (positions[-1] - positions[0])
    late = positions >= first - 1e-9
    if late.sum() < 2:  # noqa: PLR2004  (a line needs two points)
        return math.nan
    return slope(values[late], positions[late])


@register(StatisticTraits, "misfit", numeric=True, own_unit=True)
def misfit(values: Vector, positions: Vector, /) -> float:
    """The largest distance of a value from the least-squares line over the axis, as a share of the largest value."""
    line = values.mean() + slope(values, positions) * (positions - positions.mean())
    return float(abs(values - line).max() / abs(values).max())


@register("statistic", "spread")
def spread(values: Vector, positions: Vector, /) -> float:
    """Largest minus smallest value on the axis."""
    del positions
    return float(values.max() - values.min())


@register(StatisticTraits, "area", numeric=True)
def area(values: Vector, positions: Vector, /, *, until: Annotated[float, Gt(0)] = 1.0) -> float:
    """The mean height of the curve over the first ``until`` (a share) of the axis, by the trapezoid rule."""
    import numpy as np

    end = positions[0] + until * (positions[-1] - positions[0])
    inside = positions <= end + 1e-9
    if inside.sum() < 2:  # noqa: PLR2004  (a trapezoid has two sides)
        return float(values[0])
    x, y = positions[inside], values[inside]
    return float(np.trapezoid(y, x) / (x[-1] - x[0]))


@register(StatisticTraits, "change", points=2, linear=True)
def change(values: Vector, positions: Vector, /) -> float:
    """Second minus first value of a two-point axis: comparing two sides' changes tests an interaction."""
    del positions
    return float(values[1] - values[0])


@register(StatisticTraits, "window", along="trials", edge=True, own_unit=True, margins={"quick": 1.0, "full": 1.0})
def window(values: Vector, positions: Vector, /, *, within: Annotated[float, Ge(0)] = 0.02) -> float:
    """How many rungs, in one unbroken run around the best, lie within ``within`` of it."""
    del positions
    first, last = window_bounds(values, within)
    return float(last - first + 1)


def window_bounds(values: Vector, within: float) -> tuple[int, int]:
    """Return the first and last index of the unbroken run around the best value (higher is better)."""
    best = int(values.argmax())
    good = values >= values[best] - within
    first = last = best
    while first > 0 and good[first - 1]:
        first -= 1
    while last < len(values) - 1 and good[last + 1]:
        last += 1
    return first, last


@register(StatisticTraits, "regret", along="trials", picks=True)
def regret(values: Vector, positions: Vector, /, *, at: float | None = None) -> float:
    """What the rung ``at`` (or the arm's own value) gives away against the rung that validation picks.

    The analysis hands over two values: the pick's, then the judged rung's; positive is a loss.
    """
    del positions, at
    return float(values[0] - values[1])


@register(StatisticTraits, "best_of_k", along="trials")
def best_of_k(values: Vector, positions: Vector, /, *, k: Annotated[int, Ge(1)] = 3) -> float:
    """The expected best of ``k`` rungs drawn without replacement (higher is better; Dodge et al. 2019)."""
    del positions
    return expected_best_of(values, min(k, len(values)))


def expected_best_of(values: Iterable[float], k: int) -> float:
    """Return the expected maximum of k of some values, drawn without replacement, in their unit.

    Unbiased for the expected best of k new tries, unlike drawing with replacement (Tang et al., Showing Your Work
    Doesn't Always Work, ACL 2020). Where lower is better, negate the values and the answer.

    Raises
    ------
    ValueError
        Unless 1 ≤ k ≤ number of values.
    """
    ordered = sorted(values)
    if not 1 <= k <= len(ordered):
        message = f"k: a whole number from 1 to {len(ordered)} (the values observed) is needed, given {k}"
        raise ValueError(message)
    # The value of rank r (from 0) is the largest of C(r, k - 1) of the C(n, k) subsets.
    largest = sum(value * math.comb(rank, k - 1) for rank, value in enumerate(ordered))
    return float(largest / math.comb(len(ordered), k))


@register(
    StatisticTraits,
    "rank_correlation",
    along="arms",
    reference=True,
    own_unit=True,
    margins={"quick": 0.2, "full": 0.2},
)
def rank_correlation(values: Vector, positions: Vector, /, *, reference: Mapping[str, Any] | None = None) -> float:
    """Kendall's τ between the ranking of the arms at one seed (``values``) and a reference (``positions``)."""
    from scipy.stats import kendalltau

    del reference
    tau = float(kendalltau(values, positions).statistic)
    return 0.0 if math.isnan(tau) else tau


@register(StatisticTraits, "fold_mean", linear=True)
def fold_mean(values: Vector, positions: Vector, /) -> float:
    """The mean over the folds of a K-fold split: the axis is ``dataset.fold``."""
    del positions
    return float(values.mean())


@register("statistic", "fold_gain")
def fold_gain(values: Vector, positions: Vector, /) -> float:
    """How much nearer to zero the mean of an error over the folds is than the first fold's alone; of sizes.

    The axis is ``dataset.fold``. Positive where all folds together estimate better than one part held out. As folds
    are alike it cannot be negative on average (Jensen); how large it is, the data say.
    """
    del positions
    return float(abs(values[0]) - abs(values.mean()))
