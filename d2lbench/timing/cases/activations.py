"""Element-wise functions, as the catalogue has them, and dropout, as a layer and by hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final

from annotated_types import Gt, Lt

from d2lbench.catalogue import load
from d2lbench.core.errors import TimingError
from d2lbench.core.registry import register
from d2lbench.timing.cases.parts import DIFFERENTIATED, Count, by_phase, leaf, moved, tolerance
from d2lbench.timing.kernels import Built

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    #: Says of which numbers a dropout keeps, from the random state that the call starts from.
    Mask = Callable[[torch.Tensor], torch.Tensor]

_SIZES = {"small": {"batch": 64, "features": 256}, "large": {"batch": 2048, "features": 4096}}
_TINY = {"batch": 3, "features": 7}
Rate = Annotated[float, Gt(0), Lt(1)]


@dataclass(frozen=True)
class Function:
    """What is counted for each number, forward and back, and the same function by another formula."""

    forward: int
    backward: int
    other: Callable[[torch.Tensor], torch.Tensor]


def _half_angle(x: torch.Tensor) -> torch.Tensor:
    """σ(x) = (1 + tanh(x/2))/2."""
    return (1 + (x / 2).tanh()) / 2


#: Activation → its operations for each number: ReLU compares and back multiplies; 1/(1 + exp(−x)) is four, its slope
#: s(1 − s) with the product three; 1 − t² with the product three; a scale and a shift add two, and one back.
FUNCTIONS: Final = {
    "relu": Function(1, 1, lambda x: x * (x > 0)),  # at 0, which large draws hit, the slope is 0
    "sigmoid": Function(4, 3, _half_angle),
    "tanh": Function(1, 3, lambda x: 1 - 2 / ((2 * x).exp() + 1)),
    "scaled-sigmoid": Function(6, 4, lambda x: 2 * (x / 2).tanh()),
}


def _declare(name: str, function: Function) -> None:
    def build(device: str, dtype: torch.dtype, /, *, batch: Count = 64, features: Count = 256) -> Built:
        x = leaf(device, dtype, batch, features)
        count = x.numel()
        return Built(
            load().get("activation", name).factory(),
            (x,),
            reference=function.other,
            tolerance=tolerance(dtype),
            flops=by_phase(float(function.forward * count), float(function.backward * count)),
            bytes=moved((x,), count, kept=count),
        )

    summary = load().get("activation", name).summary.rstrip(".")
    build.__doc__ = f"{summary}: {function.forward} operations for each number, {function.backward} back."
    register("kernel", name, group="activations", phases=DIFFERENTIATED, sizes=_SIZES, tiny=_TINY)(build)


for _name, _function in FUNCTIONS.items():
    _declare(_name, _function)


def _dropout(x: torch.Tensor, p: float, call: Callable[[torch.Tensor], torch.Tensor], mask: Mask) -> Built:
    """Count a comparison, a product and a division for each number, and two products back; drawing is not counted.

    The reference draws what the call draws, and refuses a share that is more than five standard errors from 1 - p, and
    more than a step of the dtype: uniform numbers are drawn in it.
    """
    import torch

    count = x.numel()

    def reference(exact: torch.Tensor) -> torch.Tensor:
        kept = mask(x.detach())
        share, allowed = float(kept.double().mean()), 5 * (p * (1 - p) / count) ** 0.5 + torch.finfo(x.dtype).eps
        if abs(share - (1 - p)) > allowed:
            problem = f"{share:.4f} of the numbers are kept; allowed: {1 - p:g} ± {allowed:.4f}"
            raise TimingError(problem)
        return exact * kept / (1 - p)

    flops, traffic = by_phase(3.0 * count, 2.0 * count), moved((x,), count, kept=0)
    drawn = float(count)  # a byte each, written forward and read back
    extra = {"forward": 0.0, "forward-train": drawn, "backward": drawn, "whole": 2 * drawn}
    return Built(
        call,
        (x,),
        reference=reference,
        tolerance=tolerance(x.dtype),
        random=True,
        flops=flops,
        bytes={phase: traffic[phase] + extra[phase] for phase in traffic},
    )


@register("kernel", "dropout", group="dropout", phases=DIFFERENTIATED, sizes=_SIZES, tiny=_TINY)
def dropout(device: str, dtype: torch.dtype, /, *, batch: Count = 64, features: Count = 256, p: Rate = 0.5) -> Built:
    """The framework's dropout, in training mode in every phase: 3 operations for each number, 2 back."""
    import torch

    layer = torch.nn.Dropout(p)
    return _dropout(leaf(device, dtype, batch, features), p, layer, lambda x: layer(torch.ones_like(x)) != 0)


@register("kernel", "dropout-scratch", group="dropout", phases=DIFFERENTIATED, sizes=_SIZES, tiny=_TINY)
def dropout_scratch(
    device: str, dtype: torch.dtype, /, *, batch: Count = 64, features: Count = 256, p: Rate = 0.5
) -> Built:
    """Dropout as a comparison, a product and a division (Dive into Deep Learning, section 5.6.2).

    In training mode in every phase, and counted like ``dropout``.
    """
    import torch

    from d2lbench.engine.module import ScratchDropout

    layer = ScratchDropout(p)
    return _dropout(leaf(device, dtype, batch, features), p, layer, lambda x: layer(torch.ones_like(x)) != 0)
