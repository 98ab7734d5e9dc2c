"""Activations: element-wise functions, the same object in the module and in the stacked program."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from d2lbench.registry import register

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


@register("activation", "identity")
def identity() -> ElementWise:
    """The input itself: a stack of linear layers stays one linear layer."""
    return lambda x: x
