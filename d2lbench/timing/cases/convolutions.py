"""Convolutions of square kernels, with and without padding and stride."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from d2lbench.catalogue.layers import Conv
from d2lbench.catalogue.shapes import side as side_behind
from d2lbench.core.registry import register
from d2lbench.timing.cases.parts import DIFFERENTIATED, Count, by_phase, leaf, moved, tolerance
from d2lbench.timing.kernels import Built

if TYPE_CHECKING:
    import torch

#: Name → kernel, stride, padding.
_WINDOWS: Final = {
    "conv-1x1": (1, 1, 0),
    "conv-1x1-stride-2": (1, 2, 0),
    "conv-3x3": (3, 1, 1),
    "conv-3x3-unpadded": (3, 1, 0),
    "conv-3x3-stride-2": (3, 2, 1),
    "conv-5x5": (5, 1, 2),
    "conv-5x5-unpadded": (5, 1, 0),
    "conv-5x5-stride-2": (5, 2, 2),
}
_SIZES = {
    "small": {"batch": 16, "channels": 16, "outputs": 16, "side": 28},
    "large": {"batch": 32, "channels": 64, "outputs": 128, "side": 28},
}
_TINY = {"batch": 2, "channels": 3, "outputs": 4, "side": 6}


def by_windows(x: torch.Tensor, w: torch.Tensor, b: torch.Tensor, stride: int, padding: int) -> torch.Tensor:
    """Return a convolution as one product with all its windows side by side: what a convolution is checked against.

    Inputs (B, channels, height, width), weights (outputs, channels, k, k), biases (outputs,).
    """
    import torch

    kernel = w.shape[-1]
    height, width = ((size + 2 * padding - kernel) // stride + 1 for size in x.shape[2:])
    windows = torch.nn.functional.unfold(x, kernel, padding=padding, stride=stride)  # (B, channels·k², places)
    return (w.flatten(1) @ windows + b[:, None]).view(len(x), len(w), height, width)


def _declare(name: str, kernel: int, stride: int, padding: int) -> None:
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

        return Built(
            call,
            (x, w, b),
            reference=lambda x, w, b: by_windows(x, w, b, stride, padding),
            tolerance=tolerance(dtype),
            flops=by_phase(work, 2 * work),
            bytes=moved((x, w, b), results, kept=x.numel() + w.numel()),
        )

    build.__doc__ = (
        f"A {kernel} × {kernel} convolution, stride {stride}, padding {padding}: "
        f"2·channels·{kernel**2} operations for each output, twice as many back (products with padding count, too)."
    )
    register("kernel", name, group="convolutions", phases=DIFFERENTIATED, sizes=_SIZES, tiny=_TINY)(build)


for _name, _window in _WINDOWS.items():
    _declare(_name, *_window)
