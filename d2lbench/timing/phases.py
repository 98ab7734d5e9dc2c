"""The phases of a built case as calls without arguments: what is outside the window is done here, once."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from d2lbench.core.errors import TimingError
from d2lbench.core.generators import generator

if TYPE_CHECKING:
    from d2lbench.store.timings import Phase
    from d2lbench.timing.clock import Call
    from d2lbench.timing.kernels import Built


@dataclass(frozen=True)
class Prepared:
    """A phase ready to be timed: the call, and whether gradients are recorded while it runs."""

    call: Call
    records: bool


def leaves(built: Built) -> tuple[torch.Tensor, ...]:
    """Return what is differentiated: inputs, then parameters, that require gradients."""
    return tuple(tensor for tensor in (*built.inputs, *built.parameters) if tensor.requires_grad)


def output_gradient(output: torch.Tensor) -> torch.Tensor:
    """Return a dense random normal tensor like ``output``, the same for the same shape.

    Ones, as ``sum().backward()`` hands back, are a broadcast scalar: they move less memory than real gradients do.
    """
    draw = torch.randn(output.shape, generator=generator(0, "output-gradient", *output.shape))
    return draw.to(output.device, output.dtype)


def backward_of(
    built: Built, call: Callable[..., torch.Tensor]
) -> tuple[Callable[[], tuple[torch.Tensor | None, ...]], torch.Tensor]:
    """Run forward with a graph and return the pass back through it, which may be called again, and the output."""
    wanted = leaves(built)
    with torch.enable_grad():
        output = call(*built.inputs)
    if not wanted or not output.requires_grad:
        problem = "there is nothing to differentiate, but a backward phase is declared"
        raise TimingError(problem)
    gradient = output_gradient(output)

    def backward() -> tuple[torch.Tensor | None, ...]:
        # The graph is kept: each window has many calls, and freeing a graph belongs to neither direction.
        return torch.autograd.grad(output, wanted, gradient, retain_graph=True, allow_unused=True)

    return backward, output.detach()


def compiled(call: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """Return ``call`` compiled by torch; its buffers are not handed on, since the graph is run more than once."""
    import torch._functorch.config as functorch

    functorch.donated_buffer = False
    return torch.compile(call)


def prepare(instances: Sequence[Built], phase: Phase, call: Callable[..., torch.Tensor] | None = None) -> Prepared:
    """Return a phase of a case; several instances of it are called in turn, so that none is in a cache.

    ``call`` stands in for the instances' own, where it was compiled.

    Raises
    ------
    TimingError
        The case declares a phase that it does not have.
    """
    calls = [_prepared(built, phase, built.call if call is None else call) for built in instances]
    turn = itertools.cycle(calls)

    def in_turn() -> object:
        return next(turn)()

    return Prepared(calls[0] if len(calls) == 1 else in_turn, phase != "forward")


def _prepared(built: Built, phase: Phase, call: Callable[..., torch.Tensor]) -> Call:
    inputs = built.inputs
    if phase in ("forward", "forward-train"):
        return lambda: call(*inputs)
    if phase == "backward":
        return backward_of(built, call)[0]
    if phase == "step":
        if built.step is None:
            problem = "a step phase is declared, but there is no step"
            raise TimingError(problem)
        return built.step
    wanted = leaves(built)
    gradient = output_gradient(backward_of(built, call)[1])
    return lambda: torch.autograd.grad(call(*inputs), wanted, gradient, allow_unused=True)
