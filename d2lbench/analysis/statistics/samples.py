"""What every statistic asks of its input, and when two numbers count as equal."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

#: What a part claims of its difference: above zero, not below -margin, within ±margin.
Relation = Literal["greater", "no_worse", "same"]

# Accuracies are fractions such as 421/497: their differences carry rounding errors near 1e-16, which is 1e-13 of a
# small difference. Anything closer than this share of the numbers compared is a tie.
RELATIVE_TOLERANCE = 1e-12


def sample(values: Sequence[float] | Floats, name: str = "differences") -> Floats:
    """Return `values` as a vector of float64, refusing what no statistic can answer.

    Raises `ValueError` when the vector is empty, has more than one axis, or holds NaN or infinity: a diverged seed
    must have received its replacement value before it comes here.
    """
    vector = np.asarray(values, dtype=np.float64)
    if vector.ndim != 1 or vector.size == 0:
        message = f"{name}: a vector with at least one number is needed, given the shape {vector.shape}"
        raise ValueError(message)
    wrong = np.flatnonzero(~np.isfinite(vector))
    if wrong.size:
        message = (
            f"{name}: every number must be finite, given {vector[wrong[0]]} at position {wrong[0]}"
            f" ({wrong.size} of {vector.size}); diverged seeds need their stand-in values first"
        )
        raise ValueError(message)
    return vector


def share(level: float, name: str = "level") -> float:
    """Return `level` if it lies strictly between 0 and 1 (0.95, not 95), else raise `ValueError`."""
    if not 0 < level < 1:
        message = f"{name}: a share strictly between 0 and 1 is needed (0.95, not 95), given {level}"
        raise ValueError(message)
    return level


def shifted(values: Floats, shift: float) -> Floats:
    """Subtract `shift`; what equals it up to rounding becomes exactly 0, so that a tie is a tie."""
    moved = values - shift
    moved[np.abs(moved) <= RELATIVE_TOLERANCE * np.maximum(np.abs(values), abs(shift))] = 0.0
    return moved


def mean(values: Floats) -> float:
    """Mean from an exactly rounded sum, so that it does not depend on the order of the seeds."""
    return math.fsum(values.tolist()) / values.size


def sign(number: float, scale: float) -> int:
    """Return the sign of `number`, 0 when it is rounding noise on numbers as large as `scale`."""
    if abs(number) <= RELATIVE_TOLERANCE * scale:
        return 0
    return 1 if number > 0 else -1


def at_least(number: float, limit: float) -> bool:
    """Say whether `number` is at or beyond `limit`; equality up to rounding counts as being at it."""
    return number >= limit - RELATIVE_TOLERANCE * max(abs(number), abs(limit))


def has_no_variation(values: Floats) -> bool:
    """Say whether at least two seeds were run and all gave the same number.

    One seed alone says nothing about variation, so it is not called constant.
    """
    largest = float(np.abs(values).max())
    return values.size > 1 and float(np.ptp(values)) <= RELATIVE_TOLERANCE * largest
