"""Losses of the residual: how far an output is from its target."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Gt

from d2lbench.catalogue.losses.loss import Loss, argmax, frequencies, needs_classes, targets_of
from d2lbench.core.kinds import LossTraits
from d2lbench.core.registry import register

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    from d2lbench.catalogue.losses.loss import Derivative


def _mean(labels: torch.Tensor, classes: int) -> torch.Tensor:
    return frequencies(labels, classes) if classes else labels.double().mean(1, keepdim=True)


def _median(labels: torch.Tensor, classes: int) -> torch.Tensor:
    return frequencies(labels, classes).round() if classes else labels.double().median(1, keepdim=True).values


def _element_wise(
    function: Callable[..., torch.Tensor],
    constant: Callable[..., torch.Tensor],
    derivative: Derivative | None = None,
    **options: Any,
) -> Loss:
    """Return the mean over the outputs of a loss of each output against its target."""

    def per_example(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        losses = function(outputs, targets_of(outputs, labels), reduction="none", **options)
        return losses.squeeze(-1) if losses.shape[-1] == 1 else losses.mean(-1)  # small models feel a mean of one

    return Loss(per_example, argmax, constant, derivative=derivative)


@register(LossTraits, "mse", task="any")
def mse() -> Loss:
    """The squared error, averaged over the outputs (torch.nn.MSELoss)."""
    import torch

    return _element_wise(torch.nn.functional.mse_loss, _mean, _derived_square)


def _derived_square(outputs: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (o - y)² and 2 (o - y) / B of a single output, or the mean over several and its gradient."""
    error = outputs - targets_of(outputs, labels)
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


@register(LossTraits, "rounded-mse", task="classification", check=needs_classes, outputs=lambda _: 1)
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
