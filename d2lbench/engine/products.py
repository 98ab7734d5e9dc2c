"""The products of linear layers: x W + b for M cells at once, by the fastest routine that the machine has for a shape.

Large products of single precision on a CPU go to oneDNN, cell by cell. The BLAS that torch takes for linear layers
knows the vector units of one vendor only: on another's processor oneDNN reached 2.3 times its operations a second, and
nothing was lost where both use the same units. Small products stay with the BLAS, whose call is shorter.
"""

from __future__ import annotations

from typing import Any, Final

import torch

#: From so many inputs on, a stack of layers with one output each is computed the other way round.
LONG_ROW: Final = 32
#: The multiplications of one cell from which oneDNN's longer calls, 60 µs with its gradient's, pay.
LARGE: Final = 1_500_000
#: And those with at most so many outputs, where the BLAS is at a quarter of its speed.
NARROW: Final = 16
LARGE_AND_NARROW: Final = 500_000


def _routine() -> Any:
    """Return oneDNN's product x Wᵀ + b of dense tensors, or None where this build of torch lacks it."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return None
    return getattr(torch.ops.mkldnn, "_linear_pointwise", None)


_ONEDNN: Final = _routine()


def affine(x: torch.Tensor, W: torch.Tensor, b: torch.Tensor) -> torch.Tensor:  # noqa: N803  (the paper's symbol)
    """Return x W + b: (M, B, inputs), (M, inputs, outputs), (M, outputs) → (M, B, outputs)."""
    if is_large(x, W):
        o: torch.Tensor = _Large.apply(x, W, b)
        return o
    if len(W) == 1:  # the sequential case: one plain product costs half of a batched one
        return torch.addmm(b.squeeze(0), x.squeeze(0), W.squeeze(0)).unsqueeze(0)
    if W.shape[2] == 1 and W.shape[1] >= LONG_ROW:  # as rows times matrices: a third of the time of a column each
        return torch.bmm(W.transpose(1, 2), x.transpose(1, 2)).transpose(1, 2) + b.unsqueeze(1)
    return torch.baddbmm(b.unsqueeze(1), x, W)


def is_large(x: torch.Tensor, W: torch.Tensor) -> bool:  # noqa: N803
    """Say whether oneDNN takes the products: by nothing that depends on M, which would move a cell's bits."""
    if _ONEDNN is None or x.dtype != torch.float32 or x.device.type != "cpu":
        return False
    outputs = W.shape[2]
    return x.shape[1] * W.shape[1] * outputs >= (LARGE_AND_NARROW if 1 < outputs <= NARROW else LARGE)


class _Large(torch.autograd.Function):
    """x W + b by oneDNN, one cell after the other, and the two products of its gradient."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, W: torch.Tensor, b: torch.Tensor) -> torch.Tensor:  # noqa: N803
        ctx.save_for_backward(x, W)
        return multiply(x, W.transpose(1, 2), b)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, W = ctx.saved_tensors  # noqa: N806
        of_x, of_W, of_b = ctx.needs_input_grad  # noqa: N806
        return (
            multiply(gradient, W) if of_x else None,
            multiply(_transposed(x), gradient.transpose(1, 2)) if of_W else None,
            gradient.sum(1) if of_b else None,
        )


def _transposed(x: torch.Tensor) -> torch.Tensor:
    """Return xᵀ in rows, (M, B, inputs) → (M, inputs, B): once for all cells where they share one x."""
    if x.stride(0) == 0:
        return x[:1].transpose(1, 2).contiguous().expand(len(x), -1, -1)
    return x.transpose(1, 2)  # oneDNN's call copies each when its turn comes, while it is at hand


def multiply(a: torch.Tensor, c: torch.Tensor, b: torch.Tensor | None = None) -> torch.Tensor:
    """Return a cᵀ + b for every cell by oneDNN: (M, n, k), (M, p, k), (M, p) → (M, n, p)."""
    biases = [None] * len(a) if b is None else b.unbind()
    rows = [_ONEDNN(*operands, "none", [], "") for operands in zip(a.unbind(), c.unbind(), biases, strict=True)]
    return rows[0].unsqueeze(0) if len(rows) == 1 else torch.stack(rows)
