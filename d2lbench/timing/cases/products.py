"""Matrix products and linear layers: the framework's, the book's by hand, and ours for a stack of cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

from d2lbench.core.registry import register
from d2lbench.timing.cases.parts import DIFFERENTIATED, Count, by_phase, leaf, moved, seeded, tolerance
from d2lbench.timing.kernels import Built

if TYPE_CHECKING:
    import torch

_SIZES = {
    "small": {"batch": 64, "inputs": 256, "outputs": 256},
    "large": {"batch": 256, "inputs": 2048, "outputs": 2048},
}
_TINY = {"batch": 3, "inputs": 5, "outputs": 4}


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
    return Built(
        torch.matmul,
        (a, b),
        reference=lambda a, b: torch.einsum("ik,kj->ij", a, b),
        tolerance=tolerance(dtype),
        flops=by_phase(work, 2 * work),
        bytes=moved((a, b), rows * columns, kept=a.numel() + b.numel()),
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
    return Built(
        torch.bmm,
        (a, b),
        reference=lambda a, b: torch.stack([left @ right for left, right in zip(a, b, strict=True)]),
        tolerance=tolerance(dtype),
        flops=by_phase(work, 2 * work),
        bytes=moved((a, b), batch * side**2, kept=a.numel() + b.numel()),
    )


def _affine(x: torch.Tensor, w: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Return x Wᵀ + b: (B, inputs), (outputs, inputs), (outputs,) → (B, outputs)."""
    import torch

    return torch.einsum("bi,oi->bo", x, w) + b


@register("kernel", "linear", group="products", phases=DIFFERENTIATED, sizes=_SIZES, tiny=_TINY)
def linear(
    device: str, dtype: torch.dtype, /, *, batch: Count = 64, inputs: Count = 256, outputs: Count = 256
) -> Built:
    """A linear layer: 2·batch·inputs·outputs operations, twice as many back."""
    import torch

    x, w = leaf(device, dtype, batch, inputs), leaf(device, dtype, outputs, inputs, key="w")
    b, work = leaf(device, dtype, outputs, key="b"), 2.0 * batch * inputs * outputs
    return Built(
        torch.nn.functional.linear,
        (x, w, b),
        reference=_affine,
        tolerance=tolerance(dtype),
        flops=by_phase(work, 2 * work),
        bytes=moved((x, w, b), batch * outputs, kept=x.numel() + w.numel()),
    )


@register("kernel", "linear-scratch", group="products", phases=DIFFERENTIATED, sizes=_SIZES, tiny=_TINY)
def linear_scratch(
    device: str, dtype: torch.dtype, /, *, batch: Count = 64, inputs: Count = 256, outputs: Count = 256
) -> Built:
    """A linear layer as a product and a sum (Dive into Deep Learning, section 5.2.1); counted like ``linear``."""
    from d2lbench.engine.module import ScratchLinear

    x, work = leaf(device, dtype, batch, inputs), 2.0 * batch * inputs * outputs
    with seeded("linear-scratch"):
        layer = ScratchLinear(inputs, outputs).to(device, dtype)
    w, b = layer.weight, layer.bias
    return Built(
        lambda x, *_: layer(x),  # its own weight and bias are the inputs behind x
        (x, w, b),
        reference=_affine,
        tolerance=tolerance(dtype),
        flops=by_phase(work, 2 * work),
        bytes=moved((x, w, b), batch * outputs, kept=x.numel() + w.numel()),
    )
