"""Functions of numbers: activations and dropout, losses, penalties and a step with one against weight decay.

Losses are means over the batch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final

from annotated_types import Gt, Lt

from d2lbench.catalogue import load
from d2lbench.core.errors import TimingError
from d2lbench.core.registry import register
from d2lbench.timing.cases.parts import (
    CHECKED_STEPS,
    DIFFERENTIATED,
    Count,
    by_phase,
    differentiated,
    leaf,
    moved,
    noise,
    tolerance,
    whole_numbers,
)
from d2lbench.timing.kernels import Built

if TYPE_CHECKING:
    import torch

    #: Says of which numbers a dropout keeps, from the random state that the call starts from.
    Mask = Callable[[torch.Tensor], torch.Tensor]
    Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    Penalty = Callable[[torch.Tensor], torch.Tensor]

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
        counts = function.forward * count, function.backward * count
        return differentiated(load().get("activation", name).factory(), (x,), function.other, counts, (count, count))

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


_CLASSES = {"small": {"batch": 64, "classes": 10}, "large": {"batch": 4096, "classes": 1000}}
_TINY_CLASSES = {"batch": 5, "classes": 4}
#: Operations for each output, forward and back. Fused: largest, difference, exponential, sum; back the exponential,
#: the difference from the label's one, the scale. In three steps also a division and a logarithm of each; back a
#: division, two products, a sum and a difference. By hand the largest output is not looked for.
_COUNTS: Final = {
    "cross-entropy": (4, 3),
    "log-softmax-nll": (5, 3),
    "softmax-log-nll": (6, 5),
    "cross-entropy-scratch": (3, 5),
}


def _by_sums(o: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Return the mean of log Σ exp(o) − o[y]; outputs (B, K), labels (B,)."""
    return (o.logsumexp(1) - o.gather(1, y[:, None]).squeeze(1)).mean()


def _of_classes(name: str, device: str, dtype: torch.dtype, batch: int, classes: int, loss: Loss) -> Built:
    o, y = leaf(device, dtype, batch, classes), whole_numbers(device, classes, batch)
    forward, backward = _COUNTS[name]
    counts = forward * o.numel(), backward * o.numel()
    return differentiated(lambda o: loss(o, y), (o,), lambda o: _by_sums(o, y), counts, (1, o.numel()))


@register("kernel", "cross-entropy", group="losses", phases=DIFFERENTIATED, sizes=_CLASSES, tiny=_TINY_CLASSES)
def cross_entropy(device: str, dtype: torch.dtype, /, *, batch: Count = 64, classes: Count = 10) -> Built:
    """The framework's fused loss of raw outputs: 4 operations for each output, 3 back."""
    import torch

    return _of_classes("cross-entropy", device, dtype, batch, classes, torch.nn.functional.cross_entropy)


@register("kernel", "log-softmax-nll", group="losses", phases=DIFFERENTIATED, sizes=_CLASSES, tiny=_TINY_CLASSES)
def log_softmax_nll(device: str, dtype: torch.dtype, /, *, batch: Count = 64, classes: Count = 10) -> Built:
    """The logarithm of the softmax in one step, then the label's entry: 5 operations for each output, 3 back."""
    from torch.nn.functional import log_softmax, nll_loss

    return _of_classes(
        "log-softmax-nll", device, dtype, batch, classes, lambda o, y: nll_loss(log_softmax(o, dim=1), y)
    )


@register("kernel", "softmax-log-nll", group="losses", phases=DIFFERENTIATED, sizes=_CLASSES, tiny=_TINY_CLASSES)
def softmax_log_nll(device: str, dtype: torch.dtype, /, *, batch: Count = 64, classes: Count = 10) -> Built:
    """Softmax, logarithm and the label's entry, each by itself: 6 operations for each output, 5 back."""
    import torch
    from torch.nn.functional import nll_loss

    def loss(o: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return nll_loss(torch.log(torch.softmax(o, dim=1)), y)

    return _of_classes("softmax-log-nll", device, dtype, batch, classes, loss)


@register("kernel", "cross-entropy-scratch", group="losses", phases=DIFFERENTIATED, sizes=_CLASSES, tiny=_TINY_CLASSES)
def cross_entropy_scratch(device: str, dtype: torch.dtype, /, *, batch: Count = 64, classes: Count = 10) -> Built:
    """The loss by hand (Dive into Deep Learning, section 4.4.3): 3 operations for each output, 5 back."""
    from d2lbench.engine.module import cross_entropy as by_hand

    return _of_classes("cross-entropy-scratch", device, dtype, batch, classes, by_hand)


_WIDE = {"small": {"batch": 64, "features": 256}, "large": {"batch": 1024, "features": 4096}}


def _of_numbers(
    device: str, dtype: torch.dtype, shape: tuple[int, int], losses: tuple[Loss, Loss], counts: tuple[int, int]
) -> Built:
    o, t = leaf(device, dtype, *shape, key="o"), noise(device, dtype, *shape, key="t")
    counts = counts[0] * o.numel(), counts[1] * o.numel()
    return differentiated(losses[0], (o, t), losses[1], counts, (1, 2 * o.numel()))


@register("kernel", "mse", group="losses", phases=DIFFERENTIATED, sizes=_WIDE, tiny={"batch": 3, "features": 5})
def mse(device: str, dtype: torch.dtype, /, *, batch: Count = 64, features: Count = 256) -> Built:
    """The mean squared error: difference, square and sum of each number, two operations back."""
    from torch.nn.functional import mse_loss

    losses = (mse_loss, lambda o, t: ((o - t) ** 2).sum() / o.numel())
    return _of_numbers(device, dtype, (batch, features), losses, (3, 2))


@register("kernel", "l1-loss", group="losses", phases=DIFFERENTIATED, sizes=_WIDE, tiny={"batch": 3, "features": 5})
def l1_loss(device: str, dtype: torch.dtype, /, *, batch: Count = 64, features: Count = 256) -> Built:
    """The mean absolute error: difference, magnitude and sum of each number, three operations back."""
    from torch.nn.functional import l1_loss as kernel

    losses = (kernel, lambda o, t: (o.maximum(t) - o.minimum(t)).sum() / o.numel())
    return _of_numbers(device, dtype, (batch, features), losses, (3, 3))


@register("kernel", "smooth-l1", group="losses", phases=DIFFERENTIATED, sizes=_WIDE, tiny={"batch": 3, "features": 5})
def smooth_l1(device: str, dtype: torch.dtype, /, *, batch: Count = 64, features: Count = 256) -> Built:
    """Squared for errors below 1, absolute beyond: six operations for each number, three back."""
    from torch.nn.functional import smooth_l1_loss

    def other(o: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        near = (o - t).clamp(-1, 1)  # the area under the clamped error is the loss
        return (near * (o - t) - near**2 / 2).sum() / o.numel()

    return _of_numbers(device, dtype, (batch, features), (smooth_l1_loss, other), (6, 3))


_WEIGHTS = {"small": {"weights": 65_536}, "large": {"weights": 16_777_216}}
_TINY_WEIGHTS = {"weights": 7}
_LR, _STRENGTH = 0.1, 0.01


def _penalty(w: torch.Tensor, call: Penalty, reference: Penalty) -> Built:
    return differentiated(call, (w,), reference, (2 * w.numel(), 2 * w.numel()), (1, w.numel()))


@register("kernel", "l1-penalty", group="penalties", phases=DIFFERENTIATED, sizes=_WEIGHTS, tiny=_TINY_WEIGHTS)
def l1_penalty(device: str, dtype: torch.dtype, /, *, weights: Count = 65_536) -> Built:
    """Σ|w|: a magnitude and a sum for each weight, a sign and a product back."""
    import torch

    def by_signs(w: torch.Tensor) -> torch.Tensor:
        return torch.dot(w, w.detach().sign())

    return _penalty(leaf(device, dtype, weights, key="w"), lambda w: w.abs().sum(), by_signs)


@register("kernel", "l2-penalty", group="penalties", phases=DIFFERENTIATED, sizes=_WEIGHTS, tiny=_TINY_WEIGHTS)
def l2_penalty(device: str, dtype: torch.dtype, /, *, weights: Count = 65_536) -> Built:
    """Σw²/2 by hand (Dive into Deep Learning, section 3.7.3.2): a square and a sum, two products back."""
    import torch

    from d2lbench.engine.module import l2_penalty as by_hand

    return _penalty(leaf(device, dtype, weights, key="w"), by_hand, lambda w: torch.dot(w, w) / 2)


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
        for _ in range(CHECKED_STEPS):
            step()
        return own.detach() - w

    def by_formula(w: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        moved = w
        for _ in range(CHECKED_STEPS):
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


@register("kernel", "sgd-l1-in-loss", group="penalties", phases=("step",), sizes=_WEIGHTS, tiny=_TINY_WEIGHTS)
def sgd_l1_in_loss(device: str, dtype: torch.dtype, /, *, weights: Count = 65_536) -> Built:
    """λΣ|w| added to the loss, its gradient taken and one step of descent: 8 operations for each weight, 5 transfers.

    Forward a magnitude and a sum; back a sign and a product, added to the loss's gradient; then a product and a
    difference, and 1 for λ. The weights are read, the penalty's gradient is written, and weights and both gradients
    meet in the step.
    """
    return _step(device, dtype, weights, slope=lambda w: w.sign(), penalty=lambda w: w.abs().sum(), counts=(8, 5))


@register("kernel", "sgd-l2-in-loss", group="penalties", phases=("step",), sizes=_WEIGHTS, tiny=_TINY_WEIGHTS)
def sgd_l2_in_loss(device: str, dtype: torch.dtype, /, *, weights: Count = 65_536) -> Built:
    """λ/2·Σw² added to the loss, its gradient taken and one step of descent: counted like ``sgd-l1-in-loss``."""
    from d2lbench.engine.module import l2_penalty as by_hand

    return _step(device, dtype, weights, slope=lambda w: w, penalty=by_hand, counts=(8, 5))


@register("kernel", "sgd-weight-decay", group="penalties", phases=("step",), sizes=_WEIGHTS, tiny=_TINY_WEIGHTS)
def sgd_weight_decay(device: str, dtype: torch.dtype, /, *, weights: Count = 65_536) -> Built:
    """One step of descent with the optimizer's own decay, λw: 4 operations for each weight, 3 transfers."""
    return _step(device, dtype, weights, slope=lambda w: w, counts=(4, 3))
