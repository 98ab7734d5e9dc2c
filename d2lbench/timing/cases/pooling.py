"""Pooling: the maximum or the average over windows of an image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from d2lbench.catalogue.layers import Pool
from d2lbench.catalogue.shapes import side as side_behind
from d2lbench.core.registry import register
from d2lbench.timing.cases.parts import DIFFERENTIATED, Count, by_phase, leaf, moved, tolerance
from d2lbench.timing.kernels import Built

if TYPE_CHECKING:
    import torch

#: Name → which pooling, kernel, stride, padding.
_WINDOWS: Final = {
    "max-pool-2x2": Pool("max", 2, 2),
    "max-pool-3x3-stride-2": Pool("max", 3, 2, 1),
    "average-pool-2x2": Pool("average", 2, 2),
    "average-pool-3x3-stride-2": Pool("average", 3, 2, 1),
}
_SIZES = {"small": {"batch": 16, "channels": 16, "side": 28}, "large": {"batch": 64, "channels": 64, "side": 56}}
_TINY = {"batch": 2, "channels": 3, "side": 6}


def _by_windows(x: torch.Tensor, window: Pool) -> torch.Tensor:
    """Cut (B, C, height, width) into windows and reduce each: no pooling kernel is used."""
    import torch

    outside = float("-inf") if window.kind == "max" else 0.0
    padded = torch.nn.functional.pad(x, (window.padding,) * 4, value=outside)
    windows = padded.unfold(2, window.kernel, window.stride).unfold(3, window.kernel, window.stride).flatten(-2)
    return windows.max(-1).values if window.kind == "max" else windows.mean(-1)


def _declare(name: str, window: Pool) -> None:
    area = window.kernel**2

    def build(
        device: str, dtype: torch.dtype, /, *, batch: Count = 16, channels: Count = 16, side: Count = 28
    ) -> Built:
        import torch

        x = leaf(device, dtype, batch, channels, side, side)
        results = batch * channels * side_behind(side, window) ** 2
        pool = torch.nn.functional.max_pool2d if window.kind == "max" else torch.nn.functional.avg_pool2d
        forward, backward = (area - 1, 1) if window.kind == "max" else (area, area + 1)
        return Built(
            lambda x: pool(x, window.kernel, window.stride, window.padding),
            (x,),
            reference=lambda x: _by_windows(x, window),
            tolerance=tolerance(dtype),
            flops=by_phase(float(forward * results), float(backward * results)),
            bytes=moved((x,), results, kept=results if window.kind == "max" else 0),
        )

    what = f"{area - 1} comparisons" if window.kind == "max" else f"{area} operations"
    back = "1" if window.kind == "max" else f"{area + 1}"
    build.__doc__ = (
        f"The {window.kind} over windows of {window.kernel} × {window.kernel}, stride {window.stride}, padding "
        f"{window.padding}: {what} for each output, {back} back."
    )
    register("kernel", name, group="pooling", phases=DIFFERENTIATED, sizes=_SIZES, tiny=_TINY)(build)


for _name, _window in _WINDOWS.items():
    _declare(_name, _window)


@register("kernel", "global-average-pool", group="pooling", phases=DIFFERENTIATED, sizes=_SIZES, tiny=_TINY)
def global_average_pool(
    device: str, dtype: torch.dtype, /, *, batch: Count = 16, channels: Count = 16, side: Count = 28
) -> Built:
    """The average of each channel over its whole image: one operation for each input, and for each gradient."""
    import torch

    x = leaf(device, dtype, batch, channels, side, side)
    return Built(
        lambda x: torch.nn.functional.adaptive_avg_pool2d(x, 1),
        (x,),
        reference=lambda x: x.sum((-2, -1), keepdim=True) / side**2,
        tolerance=tolerance(dtype),
        flops=by_phase(float(x.numel()), float(x.numel())),
        bytes=moved((x,), batch * channels, kept=0),
    )
