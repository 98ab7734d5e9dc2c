"""Several questions asked of one grid: corrections that keep the chance of any false answer below 5 %."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

SIGNIFICANCE = 0.05


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
