"""Layers: matrix products and linear layers, convolutions, pooling, batch normalization.

Each is the framework's; linear layers are timed by hand, too, as the book writes them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from d2lbench.catalogue.layers import Conv, Pool
from d2lbench.catalogue.shapes import side as side_behind
from d2lbench.core.registry import register
from d2lbench.timing.cases.parts import DIFFERENTIATED, Count, differentiated, leaf, seeded

if TYPE_CHECKING:
    import torch

    from d2lbench.timing.kernels import Built

_LINEAR = {
    "small": {"batch": 64, "inputs": 256, "outputs": 256},
    "large": {"batch": 256, "inputs": 2048, "outputs": 2048},
}
_TINY_LINEAR = {"batch": 3, "inputs": 5, "outputs": 4}


@register(
    "kernel",
    "matmul",
    group="products",
    phases=DIFFERENTIATED,
    sizes={"small": {"rows": 256, "inner": 256, "columns": 256}, "large": {"rows": 1024, "inner": 1024}},
    tiny={"rows": 3, "inner": 5, "columns": 4},
)
def matmul(
    device: str, dtype: torch.dtype, /, *, rows: Count = 1024, inner: Count = 1024, columns: Count = 1024
) -> Built:
    """A B of (rows, inner) and (inner, columns): 2·rows·inner·columns operations, twice as many back."""
    import torch

    a, b = leaf(device, dtype, rows, inner, key="a"), leaf(device, dtype, inner, columns, key="b")
    work = 2.0 * rows * inner * columns
    return differentiated(
        torch.matmul,
        (a, b),
        lambda a, b: torch.einsum("ik,kj->ij", a, b),
        (work, 2 * work),
        (rows * columns, a.numel() + b.numel()),
    )


@register(
    "kernel",
    "matmul-batched",
    group="products",
    phases=DIFFERENTIATED,
    sizes={"small": {"batch": 16, "side": 64}, "large": {"batch": 64, "side": 256}},
    tiny={"batch": 2, "side": 3},
)
def matmul_batched(device: str, dtype: torch.dtype, /, *, batch: Count = 16, side: Count = 64) -> Built:
    """``batch`` products of square matrices at a time: 2·batch·side³ operations, twice as many back."""
    import torch

    a, b = (leaf(device, dtype, batch, side, side, key=key) for key in "ab")
    work = 2.0 * batch * side**3
    return differentiated(
        torch.bmm,
        (a, b),
        lambda a, b: torch.stack([left @ right for left, right in zip(a, b, strict=True)]),
        (work, 2 * work),
        (batch * side**2, a.numel() + b.numel()),
    )


def _affine(x: torch.Tensor, w: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Return x Wᵀ + b: (B, inputs), (outputs, inputs), (outputs,) → (B, outputs)."""
    import torch

    return torch.einsum("bi,oi->bo", x, w) + b


@register("kernel", "linear", group="products", phases=DIFFERENTIATED, sizes=_LINEAR, tiny=_TINY_LINEAR)
def linear(
    device: str, dtype: torch.dtype, /, *, batch: Count = 64, inputs: Count = 256, outputs: Count = 256
) -> Built:
    """A linear layer: 2·batch·inputs·outputs operations, twice as many back."""
    import torch

    x, w = leaf(device, dtype, batch, inputs), leaf(device, dtype, outputs, inputs, key="w")
    b, work = leaf(device, dtype, outputs, key="b"), 2.0 * batch * inputs * outputs
    return differentiated(
        torch.nn.functional.linear, (x, w, b), _affine, (work, 2 * work), (batch * outputs, x.numel() + w.numel())
    )


@register("kernel", "linear-scratch", group="products", phases=DIFFERENTIATED, sizes=_LINEAR, tiny=_TINY_LINEAR)
def linear_scratch(
    device: str, dtype: torch.dtype, /, *, batch: Count = 64, inputs: Count = 256, outputs: Count = 256
) -> Built:
    """A linear layer as a product and a sum (Dive into Deep Learning, section 5.2.1); counted like ``linear``."""
    from d2lbench.engine.module import ScratchLinear

    x, work = leaf(device, dtype, batch, inputs), 2.0 * batch * inputs * outputs
    with seeded("linear-scratch"):
        layer = ScratchLinear(inputs, outputs).to(device, dtype)
    w, b = layer.weight, layer.bias
    return differentiated(
        lambda x, *_: layer(x),  # its own weight and bias are the inputs behind x
        (x, w, b),
        _affine,
        (work, 2 * work),
        (batch * outputs, x.numel() + w.numel()),
    )


#: Name → kernel, stride, padding.
_CONVOLUTIONS: Final = {
    "conv-1x1": (1, 1, 0),
    "conv-1x1-stride-2": (1, 2, 0),
    "conv-3x3": (3, 1, 1),
    "conv-3x3-unpadded": (3, 1, 0),
    "conv-3x3-stride-2": (3, 2, 1),
    "conv-5x5": (5, 1, 2),
    "conv-5x5-unpadded": (5, 1, 0),
    "conv-5x5-stride-2": (5, 2, 2),
}
_CONV = {
    "small": {"batch": 16, "channels": 16, "outputs": 16, "side": 28},
    "large": {"batch": 32, "channels": 64, "outputs": 128, "side": 28},
}
_TINY_CONV = {"batch": 2, "channels": 3, "outputs": 4, "side": 6}


def by_windows(x: torch.Tensor, w: torch.Tensor, b: torch.Tensor, stride: int, padding: int) -> torch.Tensor:
    """Return a convolution as one product with all its windows side by side: what a convolution is checked against.

    Inputs (B, channels, height, width), weights (outputs, channels, k, k), biases (outputs,).
    """
    import torch

    kernel = w.shape[-1]
    height, width = ((size + 2 * padding - kernel) // stride + 1 for size in x.shape[2:])
    windows = torch.nn.functional.unfold(x, kernel, padding=padding, stride=stride)  # (B, channels·k², places)
    return (w.flatten(1) @ windows + b[:, None]).view(len(x), len(w), height, width)


def _declare_convolution(name: str, kernel: int, stride: int, padding: int) -> None:
    def build(
        device: str,
        dtype: torch.dtype,
        /,
        *,
        batch: Count = 16,
        channels: Count = 16,
        outputs: Count = 16,
        side: Count = 28,
    ) -> Built:
        import torch

        x = leaf(device, dtype, batch, channels, side, side)
        w = leaf(device, dtype, outputs, channels, kernel, kernel, key="w")
        b = leaf(device, dtype, outputs, key="b")
        results = batch * outputs * side_behind(side, Conv(name, channels, outputs, kernel, stride, padding)) ** 2
        work = 2.0 * results * channels * kernel**2

        def call(x: torch.Tensor, w: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.conv2d(x, w, b, stride, padding)

        return differentiated(
            call,
            (x, w, b),
            lambda x, w, b: by_windows(x, w, b, stride, padding),
            (work, 2 * work),
            (results, x.numel() + w.numel()),
        )

    build.__doc__ = (
        f"A {kernel} × {kernel} convolution, stride {stride}, padding {padding}: "
        f"2·channels·{kernel**2} operations for each output, twice as many back (products with padding count, too)."
    )
    register("kernel", name, group="convolutions", phases=DIFFERENTIATED, sizes=_CONV, tiny=_TINY_CONV)(build)


for _name, _window in _CONVOLUTIONS.items():
    _declare_convolution(_name, *_window)


#: Name → which pooling, kernel, stride, padding.
_POOLINGS: Final = {
    "max-pool-2x2": Pool("max", 2, 2),
    "max-pool-3x3-stride-2": Pool("max", 3, 2, 1),
    "average-pool-2x2": Pool("average", 2, 2),
    "average-pool-3x3-stride-2": Pool("average", 3, 2, 1),
}
_POOL = {"small": {"batch": 16, "channels": 16, "side": 28}, "large": {"batch": 64, "channels": 64, "side": 56}}
_TINY_POOL = {"batch": 2, "channels": 3, "side": 6}


def _pooled(x: torch.Tensor, window: Pool) -> torch.Tensor:
    """Cut (B, C, height, width) into windows and reduce each: no pooling kernel is used."""
    import torch

    outside = float("-inf") if window.kind == "max" else 0.0
    padded = torch.nn.functional.pad(x, (window.padding,) * 4, value=outside)
    windows = padded.unfold(2, window.kernel, window.stride).unfold(3, window.kernel, window.stride).flatten(-2)
    return windows.max(-1).values if window.kind == "max" else windows.mean(-1)


def _declare_pooling(name: str, window: Pool) -> None:
    area = window.kernel**2

    def build(
        device: str, dtype: torch.dtype, /, *, batch: Count = 16, channels: Count = 16, side: Count = 28
    ) -> Built:
        import torch

        x = leaf(device, dtype, batch, channels, side, side)
        results = batch * channels * side_behind(side, window) ** 2
        pool = torch.nn.functional.max_pool2d if window.kind == "max" else torch.nn.functional.avg_pool2d
        forward, backward = (area - 1, 1) if window.kind == "max" else (area, area + 1)
        return differentiated(
            lambda x: pool(x, window.kernel, window.stride, window.padding),
            (x,),
            lambda x: _pooled(x, window),
            (forward * results, backward * results),
            (results, results if window.kind == "max" else 0),
        )

    what = f"{area - 1} comparisons" if window.kind == "max" else f"{area} operations"
    back = "1" if window.kind == "max" else f"{area + 1}"
    build.__doc__ = (
        f"The {window.kind} over windows of {window.kernel} × {window.kernel}, stride {window.stride}, padding "
        f"{window.padding}: {what} for each output, {back} back."
    )
    register("kernel", name, group="pooling", phases=DIFFERENTIATED, sizes=_POOL, tiny=_TINY_POOL)(build)


for _name, _pool in _POOLINGS.items():
    _declare_pooling(_name, _pool)


@register("kernel", "global-average-pool", group="pooling", phases=DIFFERENTIATED, sizes=_POOL, tiny=_TINY_POOL)
def global_average_pool(
    device: str, dtype: torch.dtype, /, *, batch: Count = 16, channels: Count = 16, side: Count = 28
) -> Built:
    """The average of each channel over its whole image: one operation for each input, and for each gradient."""
    import torch

    x = leaf(device, dtype, batch, channels, side, side)
    return differentiated(
        lambda x: torch.nn.functional.adaptive_avg_pool2d(x, 1),
        (x,),
        lambda x: x.sum((-2, -1), keepdim=True) / side**2,
        (x.numel(), x.numel()),
        (batch * channels, 0),
    )


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
    return differentiated(
        call, (x, scale, shift), by_moments, (8.0 * count, 9.0 * count), (count, count + shape[1]), slack=2.0
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
