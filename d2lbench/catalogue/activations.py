"""Activations: element-wise functions, the same object in the module and in the stacked program."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from d2lbench.core.registry import register

if TYPE_CHECKING:
    import torch

ElementWise: TypeAlias = "Callable[[torch.Tensor], torch.Tensor]"


@register("activation", "relu")
def relu() -> ElementWise:
    """max(x, 0)."""
    import torch

    return torch.relu


@register("activation", "sigmoid")
def sigmoid() -> ElementWise:
    """1 / (1 + exp(−x)); its slope is at most 1/4."""
    import torch

    return torch.sigmoid


@register("activation", "tanh")
def tanh() -> ElementWise:
    """Hyperbolic tangent; its slope is at most 1."""
    import torch

    return torch.tanh


@register("activation", "scaled-sigmoid")
def scaled_sigmoid() -> ElementWise:
    """4σ(x) − 2, which is 2·tanh(x/2): a sigmoid through the origin, with a slope of at most 1."""
    import torch

    return lambda x: 4 * torch.sigmoid(x) - 2


@register("activation", "identity")
def identity() -> ElementWise:
    """The input itself: a stack of linear layers stays one linear layer."""
    return lambda x: x
