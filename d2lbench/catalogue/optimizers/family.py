"""What an optimizer's factory returns, and the types of its options."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, TypeAlias

from annotated_types import Ge, Lt

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import torch

    Tensors: TypeAlias = dict[str, torch.Tensor]

Rate = Annotated[float, Ge(0)]
Share = Annotated[float, Ge(0), Lt(1)]
Epsilon = Annotated[float, Ge(0)]
Decay = Annotated[float, Ge(0)]


def _nothing(hyper: Tensors, step: torch.Tensor) -> Tensors:
    del hyper, step
    return {}


@dataclass(frozen=True)
class Family:
    """One optimizer's arithmetic over blocks of stacked parameters.

    Attributes
    ----------
    update
        ``update(p, g, state, hyper)``: changes the block ``p`` and its ``state`` in place; may overwrite ``g``. All
        of shape (M, n); ``hyper`` holds the float options and what ``per_step`` made, each (M, 1). A gradient that
        is not finite must leave its parameter not finite: that is how a divergence is seen.
    slots
        Name and first value of every state tensor, each shaped like the block: a number, or the option that holds it.
    per_step
        What depends on the step alone: ``per_step(hyper, step)``, computed for an epoch's T steps at once in float64.
        ``step`` counts from 1, (T, 1, 1); ``hyper["lr"]`` is (T, M, 1), the other options are (M, 1).
    torch_name
        The class in torch.optim that the contract tests compare with.
    averaged
        The slot at which the network is evaluated instead of at its parameters, from the first step on.
    """

    update: Callable[[torch.Tensor, torch.Tensor, Tensors, Tensors], None]
    torch_name: str
    slots: Mapping[str, str | float]
    per_step: Callable[[Tensors, torch.Tensor], Tensors] = _nothing
    averaged: str | None = None


@dataclass(frozen=True)
class Unstacked:
    """An optimizer that trains one cell at a time, because its arithmetic does not work by rows.

    Attributes
    ----------
    make
        Builds the optimizer over one cell's parameters.
    torch_name
        The class in torch.optim.
    full_batch
        Whether a step calls a closure, more than once, over all examples at a time.
    sparse
        Whether it takes sparse gradients.
    """

    make: Callable[[list[torch.Tensor]], torch.optim.Optimizer]
    torch_name: str
    full_batch: bool = False
    sparse: bool = False
