"""Losses: cross-entropy fused and in steps, and losses of numbers. All are means over the batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from d2lbench.core.registry import register
from d2lbench.timing.cases.parts import DIFFERENTIATED, Count, by_phase, leaf, moved, noise, tolerance, whole_numbers
from d2lbench.timing.kernels import Built

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]

_SIZES = {"small": {"batch": 64, "classes": 10}, "large": {"batch": 4096, "classes": 1000}}
_TINY = {"batch": 5, "classes": 4}
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
    return Built(
        lambda o: loss(o, y),
        (o,),
        reference=lambda o: _by_sums(o, y),
        tolerance=tolerance(dtype),
        flops=by_phase(float(forward * o.numel()), float(backward * o.numel())),
        bytes=moved((o,), 1, kept=o.numel()),
    )


@register("kernel", "cross-entropy", group="losses", phases=DIFFERENTIATED, sizes=_SIZES, tiny=_TINY)
def cross_entropy(device: str, dtype: torch.dtype, /, *, batch: Count = 64, classes: Count = 10) -> Built:
    """The framework's fused loss of raw outputs: 4 operations for each output, 3 back."""
    import torch

    return _of_classes("cross-entropy", device, dtype, batch, classes, torch.nn.functional.cross_entropy)


@register("kernel", "log-softmax-nll", group="losses", phases=DIFFERENTIATED, sizes=_SIZES, tiny=_TINY)
def log_softmax_nll(device: str, dtype: torch.dtype, /, *, batch: Count = 64, classes: Count = 10) -> Built:
    """The logarithm of the softmax in one step, then the label's entry: 5 operations for each output, 3 back."""
    from torch.nn.functional import log_softmax, nll_loss

    return _of_classes(
        "log-softmax-nll", device, dtype, batch, classes, lambda o, y: nll_loss(log_softmax(o, dim=1), y)
    )


@register("kernel", "softmax-log-nll", group="losses", phases=DIFFERENTIATED, sizes=_SIZES, tiny=_TINY)
def softmax_log_nll(device: str, dtype: torch.dtype, /, *, batch: Count = 64, classes: Count = 10) -> Built:
    """Softmax, logarithm and the label's entry, each by itself: 6 operations for each output, 5 back."""
    import torch
    from torch.nn.functional import nll_loss

    def loss(o: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return nll_loss(torch.log(torch.softmax(o, dim=1)), y)

    return _of_classes("softmax-log-nll", device, dtype, batch, classes, loss)


@register("kernel", "cross-entropy-scratch", group="losses", phases=DIFFERENTIATED, sizes=_SIZES, tiny=_TINY)
def cross_entropy_scratch(device: str, dtype: torch.dtype, /, *, batch: Count = 64, classes: Count = 10) -> Built:
    """The loss by hand (Dive into Deep Learning, section 4.4.3): 3 operations for each output, 5 back."""
    from d2lbench.engine.module import cross_entropy as by_hand

    return _of_classes("cross-entropy-scratch", device, dtype, batch, classes, by_hand)


_WIDE = {"small": {"batch": 64, "features": 256}, "large": {"batch": 1024, "features": 4096}}


def _of_numbers(
    device: str, dtype: torch.dtype, shape: tuple[int, int], losses: tuple[Loss, Loss], counts: tuple[int, int]
) -> Built:
    o, t = leaf(device, dtype, *shape, key="o"), noise(device, dtype, *shape, key="t")
    return Built(
        losses[0],
        (o, t),
        reference=losses[1],
        tolerance=tolerance(dtype),
        flops=by_phase(float(counts[0] * o.numel()), float(counts[1] * o.numel())),
        bytes=moved((o, t), 1, kept=2 * o.numel()),
    )


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
