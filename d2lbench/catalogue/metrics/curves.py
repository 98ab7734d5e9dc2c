"""Metrics of curves over training: losses, accuracies, distances from an optimum, and what is counted along them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any, Final, Literal

from annotated_types import Gt, Le

from d2lbench.catalogue.metrics.record import At, Record, value_at
from d2lbench.core.kinds import MetricTraits
from d2lbench.core.registry import register

Share = Annotated[float, Gt(0), Le(1)]


_ACCURACY: Final = {"quick": 0.01, "full": 0.005}
_LOSS: Final = MetricTraits(as_="ratio", margins={"quick": 0.05, "full": 0.05}, better="lower", unit="nats", curve=True)


def _curve_metric(
    name: str, traits: MetricTraits, filler: Callable[[Record], float], doc: str, lowest: float | None = None
) -> None:
    """Register a metric that reads one series.

    ``filler`` says what stands for the values of a diverged run; values below ``lowest`` read as that.
    """

    def read(record: Record, /, *, at: At = "last") -> Any:
        import numpy as np

        if record.diverged and at in {"last", "best"}:
            return filler(record)
        x, y = record.curve(name)
        if record.diverged:
            y = np.where(np.isfinite(y), y, filler(record))
        return value_at((x, y if lowest is None else np.maximum(y, lowest)), at, traits.better)

    read.__doc__ = doc
    register(MetricTraits, name, **vars(traits))(read)


for _split in ("train", "validation", "test"):
    _curve_metric(
        f"{_split}_accuracy",
        MetricTraits(margins=_ACCURACY, better="higher", unit="share", curve=True),
        lambda record: record.chance,
        f"Accuracy on the {_split} examples, in evaluation mode.",
    )
    _curve_metric(
        f"{_split}_loss", _LOSS, Record.loss_when_diverged, f"Loss on the {_split} examples, in evaluation mode."
    )
_curve_metric(
    "batch_loss",
    _LOSS,
    Record.loss_when_diverged,
    "The mean loss of an epoch's mini-batches, as training sees them (dropout on, penalties left out).",
)


@register(
    MetricTraits,
    "gap",
    columns=lambda _: ("train_accuracy", "test_accuracy"),
    margins=_ACCURACY,
    better="lower",
    unit="share",
)
def gap(record: Record, /, *, at: Literal["start", "each", "last"] = "last") -> Any:
    """Training accuracy minus test accuracy, both in evaluation mode; 0 for a diverged run (both at chance)."""
    if record.diverged and at == "last":
        return 0.0
    x, train, test = record.curves("train_accuracy", "test_accuracy")
    return value_at((x, train - test), at, None)


@register(
    MetricTraits,
    "epochs_to_target",
    columns=lambda options: (f"{options['split']}_accuracy",),
    margins={"quick": 1.0, "full": 1.0},
    better="lower",
    unit="epochs",
    censored=True,
)
def epochs_to_target(
    record: Record, /, *, target: Share, split: Literal["train", "validation", "test"] = "validation"
) -> float:
    """The first evaluated epoch at which accuracy reaches ``target``; budget + 1 where it never does, or diverges."""
    if record.diverged:
        return float(record.epochs + 1)
    x, y = record.curve(f"{split}_accuracy")
    reached = x[y >= target]
    return float(reached[0]) if len(reached) else float(record.epochs + 1)


@register(
    MetricTraits, "late_variation", columns=lambda _: ("batch_loss",), as_="ratio", margins={"quick": 0.2, "full": 0.2}
)
def late_variation(record: Record, /, *, share: Share = 0.34) -> float:
    """How much the loss still jumps at the end of training, relative to its height.

    The standard deviation, about a straight line, of the last epochs' batch losses, over their mean. A diverged run
    has no number of its own and reads 1.
    """
    import numpy as np

    _, y = record.curve("batch_loss")
    late = y[-max(3, round(share * len(y))) :]
    if record.diverged:
        return 1.0
    if len(late) < 3 or not np.isfinite(late).all():  # noqa: PLR2004  (a line through two points leaves no rest)
        return math.nan
    t = np.arange(len(late))
    rest = late - np.polyval(np.polyfit(t, late, 1), t)
    return float(max(np.sqrt((rest**2).sum() / max(1, len(late) - 2)), 1e-12) / max(late.mean(), 1e-12))


@register(MetricTraits, "step_oscillation", margins={"quick": 0.05, "full": 0.05}, optional=True)
def step_oscillation(record: Record, /, *, at: Literal["each", "last"] = "last") -> Any:
    """The variance of an epoch's steps, free of their size: the share of their squared length that cancels out.

    0 when all steps agree, near 1 when they undo each other.
    """
    return value_at(record.curve("step_oscillation"), at, None)


@register(
    MetricTraits,
    "opposed_share",
    columns=lambda _: ("train_loss", "test_loss"),
    margins={"quick": 0.1, "full": 0.1},
    unit="share",
)
def opposed_share(record: Record, /, *, share: Share = 0.5) -> float:
    """How often, late in training, the training loss fell while the test loss rose.

    A share of the steps between evaluations in the last ``share`` of them. A diverged run reads 0: there nothing fell.
    """
    import numpy as np

    if record.diverged:
        return 0.0
    _, *losses = record.curves("train_loss", "test_loss")
    train, test = map(np.diff, losses)
    late = max(1, round(share * len(train)))
    return float(((train < 0) & (test > 0))[-late:].mean()) if len(train) else math.nan


@register(
    MetricTraits,
    "optimism",
    columns=lambda _: ("validation_accuracy", "test_accuracy"),
    margins=_ACCURACY,
    unit="share",
)
def optimism(record: Record, /) -> float:
    """Validation accuracy minus test accuracy: by how much an estimate on examples held out is too good.

    0 for a diverged run, whose answers are a constant on both.
    """
    if record.diverged:
        return 0.0
    return float(value_at(record.curve("validation_accuracy"), "last", None)) - float(
        value_at(record.curve("test_accuracy"), "last", None)
    )


@register(MetricTraits, "doubt_auroc", margins={"quick": 0.05, "full": 0.05}, optional=True)
def doubt_auroc(record: Record, /) -> float:
    """How well agreement among passes with dropout tells right test answers from wrong ones: 0.5 not at all, 1 fully.

    The area under the curve of an example's agreement (the share of its passes that give its commonest answer).
    """
    return float(value_at(record.curve("doubt_auroc"), "last", None))


@register(MetricTraits, "coefficient_error", margins={"quick": 0.1, "full": 0.1}, better="lower", curve=True)
def coefficient_error(record: Record, /, *, at: At = "last") -> Any:
    """The largest distance between a linear model's coefficients and those that made the data; infinite if diverged."""
    if record.diverged and at in {"last", "best"}:
        return float("inf")
    return value_at(record.curve("coefficient_error"), at, "lower")


_curve_metric(
    "optimality_gap",
    replace(_LOSS, unit=""),
    Record.loss_when_diverged,
    """How far a linear model's training loss is above the least-squares optimum, in the loss's unit.

    Floored at 1e-16, below which float64 cannot tell two losses near 1 apart.
    """,
    lowest=1e-16,
)


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
    loss = record.loss_when_diverged() if record.diverged else float(value_at(record.curve("test_loss"), "last", None))
    return loss / constant if constant > 0 else math.nan


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
