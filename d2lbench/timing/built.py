"""A kernel case, built on a device in a dtype and ready to be called: what cases hand to the measurement."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    import torch

#: What is timed apart: a forward pass without a graph; with one; the pass back through a graph built outside the
#: window; an optimizer's step (or a fill, or an epoch of loading); forward and backward in one go.
Phase = Literal["forward", "forward-train", "backward", "step", "whole"]
PHASES: tuple[Phase, ...] = get_args(Phase)


@dataclass(frozen=True)
class Built:
    """One kernel case on a device in a dtype.

    ``call`` takes ``inputs`` and returns one tensor, a scalar or not; of ``inputs`` and ``parameters`` those that
    require gradients are differentiated. ``reference`` is the same function by another route, from float64 copies of
    the inputs; ``tolerance`` bounds the largest error relative to the largest reference value. Where the
    reference follows the branches that ``call`` takes at kinks, ``unfollowed`` bounds the gradients of ``call`` in
    another form, compiled, whose branches nobody sees; at 0 nothing bounds them and they stay unproved. ``stepped``
    returns what a step like ``step`` leads to and what it should lead to, where other phases have the reference. All
    of them start from the same random state, so that a reference can draw what the call draws; ``random`` says that it
    does, and that a compiled call, which draws in its own way, cannot be compared. ``flops`` and
    ``bytes`` count, by phase, the operations done and the memory moved at least; a phase missing from ``flops`` is
    counted by torch where torch can, and refused where it cannot.
    """

    call: Callable[..., torch.Tensor]
    inputs: tuple[torch.Tensor, ...] = ()
    parameters: tuple[torch.Tensor, ...] = ()
    reference: Callable[..., torch.Tensor] | None = None
    tolerance: float = 1e-4
    unfollowed: float | None = None
    random: bool = False
    step: Callable[[], None] | None = None
    stepped: Callable[[], tuple[torch.Tensor, torch.Tensor]] | None = None
    flops: Mapping[str, float] = field(default_factory=dict)
    bytes: Mapping[str, float] = field(default_factory=dict)
    close: Callable[[], None] | None = None
