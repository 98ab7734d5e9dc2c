"""What a loss is made of, and what losses share."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from d2lbench.core.errors import GridError
from d2lbench.core.kinds import DatasetTraits, LossTraits
from d2lbench.core.registry import REGISTRY

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    from d2lbench.core.spec import Config

PerExample: TypeAlias = "Callable[[torch.Tensor, torch.Tensor], torch.Tensor]"
Derivative: TypeAlias = "Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]"


@dataclass(frozen=True)
class Loss:
    """A loss and what goes with it; K is the number of outputs, y holds class indices, or numbers to predict.

    Attributes
    ----------
    per_example
        Outputs (M, B, K) and labels (M, B) to losses (M, B): what training descends.
    predict
        Outputs (…, K) to class indices (…); of no use where numbers are predicted.
    constant
        Training labels (S, n) and the number of classes to the outputs (S, K) that a predictor would always give which
        never looks at the input: the best constant for this loss.
    evaluated
        What evaluations report, where that is not what training descends.
    derivative
        Outputs (M, B, K) and labels (M, B) to losses (M, B) and the gradient by the outputs, (M, B, K), of their mean
        over the batch, with the bits of autograd; where there is none, autograd derives.
    """

    per_example: PerExample
    predict: Callable[[torch.Tensor], torch.Tensor]
    constant: Callable[[torch.Tensor, int], torch.Tensor]
    evaluated: PerExample | None = None
    derivative: Derivative | None = None

    def hits(self, outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return which predictions (M, B) of outputs (M, B, K) are the labels (M, B)."""
        if self.predict is argmax and outputs.device.type == "cpu":
            return largest_at(outputs.mT, labels)
        return self.predict(outputs) == labels


def needs_classes(config: Config) -> None:
    """Refuse a loss of classes where the dataset's targets are numbers."""
    dataset = REGISTRY.get(DatasetTraits, config.dataset.name)
    if dataset.traits.task != "classification":
        problem = f'loss "{config.loss.name}" compares classes, and dataset "{config.dataset.name}" has numbers'
        entries = REGISTRY.entries(LossTraits)
        allowed = ", ".join(entry.name for entry in entries if entry.traits.task != "classification")
        raise GridError(problem, key="loss", given=config.loss.name, allowed=allowed)


def argmax(outputs: torch.Tensor) -> torch.Tensor:
    """Return the place of the first of the largest outputs, (…, K) → (…).

    As torch.argmax does, which takes six times as long over rows turned.
    """
    return outputs.max(-1).indices


def largest_at(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return whether the first of the largest outputs (M, K, B) is the label's (M, B).

    A largest value is found in a tenth of the time of its place, which matters only where it stands in several places
    or is not a number. Differences from it show where it stands, in half the time that comparisons take.
    """
    import torch

    largest = outputs.amax(1, keepdim=True)
    below = outputs - largest
    if int(torch.count_nonzero(below)) != below.numel() - labels.numel() or not math.isfinite(float(largest.sum())):
        return argmax(outputs.mT) == labels
    return below.gather(1, labels.unsqueeze(1)).squeeze(1).logical_not()


def frequencies(labels: torch.Tensor, classes: int) -> torch.Tensor:
    """Return the share of every class, (S, n) → (S, classes)."""
    import torch

    return torch.nn.functional.one_hot(labels, classes).double().mean(1)


def targets_of(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return numbers as (…, B, 1) and classes as one-hot vectors (…, B, K), in the outputs' dtype."""
    import torch

    if labels.is_floating_point():
        return labels.unsqueeze(-1)
    return torch.nn.functional.one_hot(labels, outputs.shape[-1]).to(outputs.dtype)
