"""Penalties of the loss by themselves, and a step with one against a step with the optimizer's weight decay."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from d2lbench.core.registry import register
from d2lbench.timing.cases.parts import DIFFERENTIATED, Count, by_phase, leaf, moved, noise, tolerance
from d2lbench.timing.kernels import Built

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    Penalty = Callable[[torch.Tensor], torch.Tensor]

_SIZES = {"small": {"weights": 65_536}, "large": {"weights": 16_777_216}}
_TINY = {"weights": 7}
_LR, _STRENGTH = 0.1, 0.01
#: Steps that are taken to compare with the reference.
_CHECKED: Final = 3


def _penalty(w: torch.Tensor, call: Penalty, reference: Penalty, dtype: torch.dtype) -> Built:
    count = w.numel()
    flops = by_phase(2.0 * count, 2.0 * count)
    return Built(
        call, (w,), reference=reference, tolerance=tolerance(dtype), flops=flops, bytes=moved((w,), 1, kept=count)
    )


@register("kernel", "l1-penalty", group="penalties", phases=DIFFERENTIATED, sizes=_SIZES, tiny=_TINY)
def l1_penalty(device: str, dtype: torch.dtype, /, *, weights: Count = 65_536) -> Built:
    """Σ|w|: a magnitude and a sum for each weight, a sign and a product back."""
    import torch

    def by_signs(w: torch.Tensor) -> torch.Tensor:
        return torch.dot(w, w.detach().sign())

    return _penalty(leaf(device, dtype, weights, key="w"), lambda w: w.abs().sum(), by_signs, dtype)


@register("kernel", "l2-penalty", group="penalties", phases=DIFFERENTIATED, sizes=_SIZES, tiny=_TINY)
def l2_penalty(device: str, dtype: torch.dtype, /, *, weights: Count = 65_536) -> Built:
    """Σw²/2 by hand (Dive into Deep Learning, section 3.7.3.2): a square and a sum, two products back."""
    import torch

    from d2lbench.engine.module import l2_penalty as by_hand

    return _penalty(leaf(device, dtype, weights, key="w"), by_hand, lambda w: torch.dot(w, w) / 2, dtype)


def _descent(
    w: torch.Tensor, g: torch.Tensor, penalty: Penalty | None, decay: float
) -> tuple[torch.Tensor, Callable[[], None]]:
    """Return weights, begun at ``w``, and their step on the loss's gradient ``g`` with a penalty or a decay."""
    import torch

    own = w.detach().clone().requires_grad_()
    optimizer = torch.optim.SGD([own], lr=_LR, weight_decay=decay, foreach=True)

    def with_decay() -> None:
        own.grad = g
        optimizer.step()

    def with_penalty() -> None:
        assert penalty is not None
        with torch.enable_grad():
            (slope,) = torch.autograd.grad(_STRENGTH * penalty(own), (own,))
        own.grad = slope.add_(g)
        optimizer.step()

    return own, with_decay if penalty is None else with_penalty


def _step(
    device: str,
    dtype: torch.dtype,
    weights: int,
    *,
    slope: Penalty,
    penalty: Penalty | None = None,
    counts: tuple[int, int],
) -> Built:
    """Build a step; ``slope`` is what a penalty or decay adds to the gradient, ``counts`` operations and transfers."""
    w, g = (noise(device, dtype, weights, key=key) for key in "wg")
    decay = 0.0 if penalty else _STRENGTH

    def call(w: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        own, step = _descent(w, g, penalty, decay)
        for _ in range(_CHECKED):
            step()
        return own.detach() - w

    def by_formula(w: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        moved = w
        for _ in range(_CHECKED):
            moved = moved - _LR * (g + _STRENGTH * slope(moved))
        return moved - w

    return Built(
        call,
        (w, g),
        reference=by_formula,
        tolerance=tolerance(dtype, slack=3.0),
        step=_descent(w, g, penalty, decay)[1],
        flops={"step": float(counts[0] * weights)},
        bytes={"step": float(counts[1] * weights * w.element_size())},
    )


@register("kernel", "sgd-l1-in-loss", group="penalties", phases=("step",), sizes=_SIZES, tiny=_TINY)
def sgd_l1_in_loss(device: str, dtype: torch.dtype, /, *, weights: Count = 65_536) -> Built:
    """λΣ|w| added to the loss, its gradient taken and one step of descent: 8 operations for each weight, 5 transfers.

    Forward a magnitude and a sum; back a sign and a product, added to the loss's gradient; then a product and a
    difference, and 1 for λ. The weights are read, the penalty's gradient is written, and weights and both gradients
    meet in the step.
    """
    return _step(device, dtype, weights, slope=lambda w: w.sign(), penalty=lambda w: w.abs().sum(), counts=(8, 5))


@register("kernel", "sgd-l2-in-loss", group="penalties", phases=("step",), sizes=_SIZES, tiny=_TINY)
def sgd_l2_in_loss(device: str, dtype: torch.dtype, /, *, weights: Count = 65_536) -> Built:
    """λ/2·Σw² added to the loss, its gradient taken and one step of descent: counted like ``sgd-l1-in-loss``."""
    from d2lbench.engine.module import l2_penalty as by_hand

    return _step(device, dtype, weights, slope=lambda w: w, penalty=by_hand, counts=(8, 5))


@register("kernel", "sgd-weight-decay", group="penalties", phases=("step",), sizes=_SIZES, tiny=_TINY)
def sgd_weight_decay(device: str, dtype: torch.dtype, /, *, weights: Count = 65_536) -> Built:
    """One step of descent with the optimizer's own decay, λw: 4 operations for each weight, 3 transfers."""
    return _step(device, dtype, weights, slope=lambda w: w, counts=(4, 3))
