"""Metrics of linear fits to data that were made from known coefficients, and of training that stops early."""

from __future__ import annotations

import math
from typing import Any

from d2lbench.catalogue.metrics.record import At, Record, value_at
from d2lbench.core.kinds import MetricTraits
from d2lbench.core.registry import register


@register(
    MetricTraits,
    "coefficient_error",
    margins={"quick": 0.1, "full": 0.1},
    better="lower",
    curve=True,
)
def coefficient_error(record: Record, /, *, at: At = "last") -> Any:
    """The largest distance between a linear model's coefficients and those that made the data; infinite if diverged."""
    if record.diverged and at in {"last", "best"}:
        return float("inf")
    return value_at(record.curve("coefficient_error"), at, "lower")


@register(
    MetricTraits,
    "optimality_gap",
    as_="ratio",
    margins={"quick": 0.05, "full": 0.05},
    better="lower",
    curve=True,
)
def optimality_gap(record: Record, /, *, at: At = "last") -> Any:
    """How far a linear model's training loss is above the least-squares optimum, in the loss's unit.

    Floored at 1e-16, below which float64 cannot tell two losses near 1 apart.
    """
    import numpy as np

    x, y = record.curve("optimality_gap")
    if record.diverged:
        y = np.where(np.isfinite(y), y, record.loss_when_diverged())
        if at in {"last", "best"}:
            return record.loss_when_diverged()
    return value_at((x, np.maximum(y, 1e-16)), at, "lower")


@register(
    MetricTraits,
    "loss_over_constant",
    columns=lambda _: ("test_loss",),
    as_="ratio",
    margins={"quick": 0.05, "full": 0.05},
    better="lower",
)
def loss_over_constant(record: Record, /) -> float:
    """The test loss in units of what the best constant has: from 1 upward, nothing was learned that helps.

    The constant is the best one for the training examples; a diverged run reads 1 or more.
    """
    constant = record.constant_loss
    found = record.loss_when_diverged() if record.diverged else float(value_at(record.curve("test_loss"), "last", None))
    return found / constant if constant > 0 else math.nan


@register(
    MetricTraits,
    "epochs_used",
    columns=lambda _: ("stopped",),
    margins={"quick": 1.0, "full": 1.0},
    better="lower",
    unit="epochs",
)
def epochs_used(record: Record, /) -> float:
    """The epochs trained until early stopping stood a run still; the budget where it did not."""
    _, y = record.curve("stopped")
    return float(y[-1]) if len(y) and y[-1] > 0 else float(record.epochs)
