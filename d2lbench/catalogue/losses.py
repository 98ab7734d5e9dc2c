"""Losses of raw outputs against labels: one value per example, so that cells of a stack never mix.

Of a classification, squared and absolute losses compare the outputs with the class's one-hot vector.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from annotated_types import Ge, Gt, Lt

from d2lbench.core.errors import GridError
from d2lbench.core.kinds import DatasetTraits, LossTraits
from d2lbench.core.registry import REGISTRY, register

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


def _needs_classes(config: Config) -> None:
    """Refuse a loss of classes where the dataset's targets are numbers."""
    dataset = REGISTRY.get(DatasetTraits, config.dataset.name)
    if dataset.traits.task != "classification":
        problem = f'loss "{config.loss.name}" compares classes, and dataset "{config.dataset.name}" has numbers'
        entries = REGISTRY.entries(LossTraits)
        allowed = ", ".join(entry.name for entry in entries if entry.traits.task != "classification")
        raise GridError(problem, key="loss", given=config.loss.name, allowed=allowed)


def argmax(outputs: torch.Tensor) -> torch.Tensor:
    """Return the index of the first of the largest outputs, (…, K) → (…).

    As torch.argmax does, which takes six times as long on transposed rows.
    """
    return outputs.max(-1).indices


def largest_at(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return whether the first of the largest outputs (M, K, B) is the label's (M, B).

    The largest value takes a tenth of the time of its index, and the index matters only where the largest value occurs
    more than once or is not a number. Differences from it locate it in half the time that comparisons take.
    """
    import torch

    largest = outputs.amax(1, keepdim=True)
    below = outputs - largest
    if int(torch.count_nonzero(below)) != below.numel() - labels.numel() or not math.isfinite(float(largest.sum())):
        return argmax(outputs.mT) == labels
    return below.gather(1, labels.unsqueeze(1)).squeeze(1).logical_not()


def _frequencies(labels: torch.Tensor, classes: int) -> torch.Tensor:
    """Return the share of every class, (S, n) → (S, classes)."""
    import torch

    return torch.nn.functional.one_hot(labels, classes).double().mean(1)


def _targets_of(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return numbers as (…, B, 1) and classes as one-hot vectors (…, B, K), in the outputs' dtype."""
    import torch

    if labels.is_floating_point():
        return labels.unsqueeze(-1)
    return torch.nn.functional.one_hot(labels, outputs.shape[-1]).to(outputs.dtype)


# Negative logarithms of a probability: of a class, or of each of them.


def _one_for_two(classes: int) -> int:
    return 1 if classes == 2 else classes  # noqa: PLR2004  (of two classes one probability is enough)


def _log_frequencies(labels: torch.Tensor, classes: int) -> torch.Tensor:
    return _frequencies(labels, classes).log()


@register(LossTraits, "cross-entropy", task="classification", check=_needs_classes)
def cross_entropy(*, label_smoothing: Annotated[float, Ge(0), Lt(1)] = 0.0) -> Loss:
    """-log softmax(o)[y] from raw outputs, fused and stable (Dive into Deep Learning, section 4.5.2).

    ``label_smoothing`` gives that share of the target to all classes alike (Szegedy et al. 2016); evaluations leave
    it out, so that the arms' losses can be compared.
    """
    import torch

    def smoothed(outputs: torch.Tensor, labels: torch.Tensor, label_smoothing: float) -> torch.Tensor:
        # The classes go second: a softmax over a last dimension of ten costs ten times as much.
        return torch.nn.functional.cross_entropy(
            outputs.movedim(-1, 1), labels, reduction="none", label_smoothing=label_smoothing
        )

    def plain(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return smoothed(outputs, labels, 0.0)

    def training(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return smoothed(outputs, labels, label_smoothing)

    if label_smoothing:
        return Loss(training, argmax, _log_frequencies, plain)
    return Loss(plain, argmax, _log_frequencies, plain, _derived_cross_entropy)


def _derived_cross_entropy(outputs: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return -log softmax(o)[y] and (softmax(o) - onehot(y)) / B (Dive into Deep Learning, section 4.1.2)."""
    import torch

    logs, places = torch.log_softmax(outputs.mT, 1), labels.unsqueeze(1)  # (M, K, B), (M, 1, B)
    g = torch.zeros_like(logs).scatter_(1, places, -1 / labels.shape[1])
    g = torch.ops.aten._log_softmax_backward_data(g, logs, 1, logs.dtype)  # noqa: SLF001  (it rounds once, not twice)
    return -logs.gather(1, places).squeeze(1), g.mT


@register(LossTraits, "nll", task="classification", check=_needs_classes)
def nll(*, softmax: Literal["log-softmax", "shifted", "naive"] = "log-softmax") -> Loss:
    """The negative log-likelihood in two steps: a logarithm of the softmax, then the label's entry.

    ``log-softmax`` is the framework's; ``shifted`` subtracts the largest output, then exponentiates, divides and takes
    the logarithm; ``naive`` does so without subtracting (Dive into Deep Learning, sections 4.4.1 and 4.5.2).
    """
    import torch

    def log_probabilities(outputs: torch.Tensor) -> torch.Tensor:
        if softmax == "log-softmax":
            return torch.log_softmax(outputs, -1)
        if softmax == "shifted":
            outputs = outputs - outputs.amax(-1, keepdim=True)
        exponentials = outputs.exp()
        return (exponentials / exponentials.sum(-1, keepdim=True)).log()

    def per_example(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return -log_probabilities(outputs).gather(-1, labels.unsqueeze(-1)).squeeze(-1)

    return Loss(per_example, argmax, _log_frequencies)


@register(LossTraits, "bce", task="classification", check=_needs_classes, outputs=_one_for_two)
def bce() -> Loss:
    """Binary cross-entropy from raw outputs (torch.nn.BCEWithLogitsLoss): one output for two classes, else one each."""
    import torch

    def per_example(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        single = outputs.shape[-1] == 1
        targets = labels.unsqueeze(-1).to(outputs.dtype) if single else _targets_of(outputs, labels)
        return torch.nn.functional.binary_cross_entropy_with_logits(outputs, targets, reduction="none").mean(-1)

    def predict(outputs: torch.Tensor) -> torch.Tensor:
        return (outputs.squeeze(-1) > 0).long() if outputs.shape[-1] == 1 else argmax(outputs)

    def constant(labels: torch.Tensor, classes: int) -> torch.Tensor:
        shares = _frequencies(labels, classes)
        # A class that is missing, or alone, has an infinite logit and a loss of NaN: the largest double stands for it.
        return (shares[:, 1:] if _one_for_two(classes) == 1 else shares).logit().nan_to_num()

    return Loss(per_example, predict, constant)


# Losses of the residual: how far an output is from its target.


def _mean(labels: torch.Tensor, classes: int) -> torch.Tensor:
    return _frequencies(labels, classes) if classes else labels.double().mean(1, keepdim=True)


def _median(labels: torch.Tensor, classes: int) -> torch.Tensor:
    return _frequencies(labels, classes).round() if classes else labels.double().median(1, keepdim=True).values


def _element_wise(
    function: Callable[..., torch.Tensor],
    constant: Callable[..., torch.Tensor],
    derivative: Derivative | None = None,
    **options: Any,
) -> Loss:
    """Return the mean over the outputs of a loss of each output against its target."""

    def per_example(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        losses = function(outputs, _targets_of(outputs, labels), reduction="none", **options)
        return losses.squeeze(-1) if losses.shape[-1] == 1 else losses.mean(-1)  # a mean of one takes time

    return Loss(per_example, argmax, constant, derivative=derivative)


@register(LossTraits, "mse", task="any")
def mse() -> Loss:
    """The squared error, averaged over the outputs (torch.nn.MSELoss)."""
    import torch

    return _element_wise(torch.nn.functional.mse_loss, _mean, _derived_square)


def _derived_square(outputs: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (o - y)² and 2 (o - y) / B of a single output, or the mean over several and its gradient."""
    error = outputs - _targets_of(outputs, labels)
    count = outputs.shape[-1]
    if count == 1:
        return error.square().squeeze(-1), error * (2 / labels.shape[1])
    weight = outputs.new_ones(()) / labels.shape[1] / count  # rounded where autograd rounds
    return error.square().mean(-1), error.mul(2).mul_(weight)


@register(LossTraits, "half-mse", task="any")
def half_mse() -> Loss:
    """Half the squared error, averaged over the outputs (Dive into Deep Learning, section 3.1.1.2)."""
    import torch

    def half(outputs: torch.Tensor, targets: torch.Tensor, reduction: str) -> torch.Tensor:
        return torch.nn.functional.mse_loss(outputs, targets, reduction=reduction) / 2

    def derived(outputs: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        losses, gradient = _derived_square(outputs, labels)
        return losses / 2, gradient / 2

    return _element_wise(half, _mean, derived)


@register(LossTraits, "l1", task="any")
def l1() -> Loss:
    """The absolute error, averaged over the outputs (torch.nn.L1Loss)."""
    import torch

    return _element_wise(torch.nn.functional.l1_loss, _median)


@register(LossTraits, "smooth-l1", task="any")
def smooth_l1(*, beta: Annotated[float, Gt(0)] = 1.0) -> Loss:
    """Squared for errors below ``beta``, absolute beyond (Girshick 2015; torch.nn.SmoothL1Loss).

    The constant predictor beside it answers with the mean, which is close to the best constant.
    """
    import torch

    return _element_wise(torch.nn.functional.smooth_l1_loss, _mean, beta=beta)


@register(LossTraits, "rounded-mse", task="classification", check=_needs_classes, outputs=lambda _: 1)
def rounded_mse() -> Loss:
    """One output regresses on the class's number and is rounded to a class: what N1 warns of."""
    import torch

    def per_example(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.mse_loss(outputs.squeeze(-1), labels.to(outputs.dtype), reduction="none")

    def predict(outputs: torch.Tensor) -> torch.Tensor:
        return outputs.squeeze(-1).round().long()

    def constant(labels: torch.Tensor, classes: int) -> torch.Tensor:
        del classes
        return labels.double().mean(1, keepdim=True)

    return Loss(per_example, predict, constant)
