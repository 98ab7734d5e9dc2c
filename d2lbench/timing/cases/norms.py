"""Batch normalization, by the batch's own statistics: of features and of an image's channels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from d2lbench.core.registry import register
from d2lbench.timing.cases.parts import DIFFERENTIATED, Count, by_phase, leaf, moved, tolerance
from d2lbench.timing.kernels import Built

if TYPE_CHECKING:
    import torch

_EPS = 1e-5


def _batch_norm(device: str, dtype: torch.dtype, shape: tuple[int, ...]) -> Built:
    """Build the norm of (B, C, …) over everything but C; it moves its running statistics, as in training."""
    import torch

    x = leaf(device, dtype, *shape)
    scale, shift = (leaf(device, dtype, shape[1], key=key) for key in ("scale", "shift"))
    mean, variance = torch.zeros_like(scale, requires_grad=False), torch.ones_like(shift, requires_grad=False)
    axes = [0, *range(2, len(shape))]
    column = (1, -1, *(1,) * (len(shape) - 2))

    def call(x: torch.Tensor, scale: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.batch_norm(x, mean, variance, scale, shift, training=True, eps=_EPS)

    def by_moments(x: torch.Tensor, scale: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
        centred = x - x.mean(axes, keepdim=True)
        deviation = ((centred**2).mean(axes, keepdim=True) + _EPS).sqrt()
        return centred / deviation * scale.view(column) + shift.view(column)

    count = x.numel()
    return Built(
        call,
        (x, scale, shift),
        reference=by_moments,
        tolerance=tolerance(dtype, slack=2.0),
        flops=by_phase(8.0 * count, 9.0 * count),
        bytes=moved((x, scale, shift), count, kept=count + shape[1]),
    )


@register(
    "kernel",
    "batch-norm-1d",
    group="norms",
    phases=DIFFERENTIATED,
    sizes={"small": {"batch": 64, "features": 256}, "large": {"batch": 2048, "features": 4096}},
    tiny={"batch": 5, "features": 3},
)
def batch_norm_1d(device: str, dtype: torch.dtype, /, *, batch: Count = 64, features: Count = 256) -> Built:
    """The norm of features (Ioffe and Szegedy 2015): 8 operations for each number, 9 back.

    Forward: four for mean and variance, two to normalize, two to scale and shift. Back: five for the two sums over
    the batch, four to combine them.
    """
    return _batch_norm(device, dtype, (batch, features))


@register(
    "kernel",
    "batch-norm-2d",
    group="norms",
    phases=DIFFERENTIATED,
    sizes={"small": {"batch": 16, "channels": 16, "side": 28}, "large": {"batch": 64, "channels": 64, "side": 56}},
    tiny={"batch": 3, "channels": 2, "side": 4},
)
def batch_norm_2d(
    device: str, dtype: torch.dtype, /, *, batch: Count = 16, channels: Count = 16, side: Count = 28
) -> Built:
    """The norm of an image's channels (Ioffe and Szegedy 2015): counted like ``batch-norm-1d``."""
    return _batch_norm(device, dtype, (batch, channels, side, side))
