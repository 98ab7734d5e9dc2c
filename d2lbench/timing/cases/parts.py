"""What cases are made of: inputs drawn by key, tolerances, and how operations and bytes are counted.

Conventions of counting. A multiply-add is two operations; every other arithmetic operation, comparison, exponential,
logarithm, root or hyperbolic function of one number is one. Products and convolutions count nothing else, biases left
out, as torch's own counter does. Bytes are what must be moved even if nothing is read twice: each input, each tensor
that the backward pass keeps, each result, once.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Annotated, Final

from annotated_types import Ge

from d2lbench.core.generators import generator
from d2lbench.core.seeding import key_integer
from d2lbench.timing.kernels import Built

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import torch

Count = Annotated[int, Ge(1)]

#: Phases of what is differentiated; ``whole`` is a forward and a backward pass.
DIFFERENTIATED: Final = ("forward", "forward-train", "backward", "whole")

#: Steps of an optimizer that are taken to compare with the reference: bias corrections are largest in the first ones.
CHECKED_STEPS: Final = 3

#: The largest error of one operation in units of its largest result: rounding, and sums of a few thousand terms.
_TOLERANCES: Final = {"float64": 1e-12, "float32": 1e-5, "bfloat16": 2e-2}


def tolerance(dtype: torch.dtype, slack: float = 1.0) -> float:
    """Return the largest error allowed of a dtype, times ``slack`` where several operations add theirs up."""
    return _TOLERANCES[str(dtype).removeprefix("torch.")] * slack


def noise(device: str, dtype: torch.dtype, *shape: int, key: str = "x") -> torch.Tensor:
    """Return standard normal numbers that depend on key and shape alone, up to the dtype's rounding."""
    import torch

    drawn = torch.randn(shape, generator=generator("kernel", key, *shape), device="cpu")
    return drawn.to(device, dtype)


def leaf(device: str, dtype: torch.dtype, *shape: int, key: str = "x", scale: float = 1.0) -> torch.Tensor:
    """Return normal numbers of standard deviation ``scale`` that a backward pass differentiates by."""
    return (noise(device, dtype, *shape, key=key) * scale).requires_grad_()


def whole_numbers(device: str, below: int, *shape: int, key: str = "y") -> torch.Tensor:
    """Return int64 numbers from 0 to ``below`` - 1: labels, tokens."""
    import torch

    drawn = torch.randint(below, shape, generator=generator("kernel", key, *shape), device="cpu")
    return drawn.to(device)


@contextlib.contextmanager
def seeded(*key: str) -> Iterator[None]:
    """Let modules draw their first parameters by key, and leave the process's own random numbers alone."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(key_integer("kernel", *key))
        yield


def by_phase(forward: float, backward: float) -> dict[str, float]:
    """Return what a pass and its way back cost, under the phases' names."""
    return {"forward": forward, "forward-train": forward, "backward": backward, "whole": forward + backward}


def moved(inputs: Sequence[torch.Tensor], outputs: int, *, kept: int) -> dict[str, float]:
    """Return the bytes that each phase moves at least.

    Forward: all inputs and ``outputs`` numbers. Backward: the gradient of the outputs, ``kept`` numbers that the
    forward pass has left for it, and the gradients of the inputs that have one.
    """
    width = inputs[0].element_size()
    given = sum(each.numel() for each in inputs)
    gradients = sum(each.numel() for each in inputs if each.requires_grad)
    return by_phase(float(width * (given + outputs)), float(width * (outputs + kept + gradients)))


def differentiated(
    call: Callable[..., torch.Tensor],
    inputs: tuple[torch.Tensor, ...],
    reference: Callable[..., torch.Tensor],
    counts: tuple[float, float],
    numbers: tuple[int, int],
    slack: float = 1.0,
) -> Built:
    """Return a case with a way back.

    ``counts`` are the operations of a pass and of its way back; ``numbers`` are how many numbers the pass returns, and
    how many it keeps for the way back beside the gradients.
    """
    return Built(
        call,
        inputs,
        reference=reference,
        tolerance=tolerance(inputs[0].dtype, slack),
        flops=by_phase(float(counts[0]), float(counts[1])),
        bytes=moved(inputs, numbers[0], kept=numbers[1]),
    )
