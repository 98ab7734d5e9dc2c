"""The products of linear layers: x W + b for M cells at once, by the fastest routine that the machine has for a shape.

Large products of single precision on a CPU go to oneDNN, cell by cell. The BLAS that torch takes for linear layers
knows the vector units of one vendor only: on another's processor, with AVX-512, oneDNN reached 2.3 times its
operations a second. Small products stay with the BLAS, whose call is shorter; where a stack has few outputs, it gets
the transposed product, as its vectors run along the outputs and would be all but empty.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import torch
from torch.autograd.function import once_differentiable

if TYPE_CHECKING:
    from collections.abc import Callable

#: The multiplications of one cell from which oneDNN's longer calls, 60 µs with its gradient's, pay.
LARGE: Final = 1_500_000
#: With so many outputs the BLAS fills its vectors; with fewer it is at a quarter of its speed, and oneDNN pays from
#: fewer multiplications on.
VECTOR: Final = 16
LARGE_AND_NARROW: Final = 500_000
#: Inputs, and examples where there are several outputs, from which the transposed product of a stack is faster: the
#: product of 64 × 64 × 10 takes 1.3 µs a cell instead of 4.3, its gradient by the weights 1.2 instead of 4.5.
LONG_ROW, LONG_COLUMN = 32, 32


def _routine() -> Any:
    """Return oneDNN's product x Wᵀ + b of dense tensors, or None where this build of torch lacks it."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return None
    return getattr(torch.ops.mkldnn, "_linear_pointwise", None)


_ONEDNN: Final = _routine()


def affine(x: torch.Tensor, W: torch.Tensor, b: torch.Tensor) -> torch.Tensor:  # noqa: N803  (the paper's symbol)
    """Return x W + b: (M, B, inputs), (M, inputs, outputs), (M, outputs) → (M, B, outputs)."""
    if is_large(x, W):
        return _by(_ONE_BY_ONE, x, W, b)
    if len(W) == 1:  # the sequential case: one plain product costs half of a batched one
        return torch.addmm(b.squeeze(0), x.squeeze(0), W.squeeze(0)).unsqueeze(0)
    if _is_narrow(x, W):  # autograd's own gradient by x would come out in columns, which the layer before then pays for
        return _by(_TRANSPOSED, x, W, b) if x.requires_grad else _transposed_product(x, W, b)
    return torch.baddbmm(b.unsqueeze(1), x, W)


def is_large(x: torch.Tensor, W: torch.Tensor) -> bool:  # noqa: N803
    """Say whether oneDNN takes the products: by nothing that depends on M, which would move a cell's bits."""
    if _ONEDNN is None or x.dtype != torch.float32 or x.device.type != "cpu":
        return False
    outputs = W.shape[2]
    return x.shape[1] * W.shape[1] * outputs >= (LARGE_AND_NARROW if 1 < outputs < VECTOR else LARGE)


def _is_narrow(x: torch.Tensor, W: torch.Tensor) -> bool:  # noqa: N803
    """Say whether the transposed product is the faster one: on a CPU, as a GPU's vectors run over all cells."""
    examples, (inputs, outputs) = x.shape[1], W.shape[1:]
    return (
        x.device.type == "cpu"
        and inputs >= LONG_ROW
        and (outputs == 1 or (outputs < VECTOR and examples >= LONG_COLUMN))
    )


class _Way(NamedTuple):
    """How the product of a layer is computed, and the two of its gradient g (M, B, outputs)."""

    forward: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]  # x, W, b
    of_x: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]  # g, W
    of_W: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]  # x, g  # noqa: N815


class _By(torch.autograd.Function):
    """x W + b by a way of one's own."""

    @staticmethod
    def forward(ctx: Any, way: _Way, x: torch.Tensor, W: torch.Tensor, b: torch.Tensor) -> torch.Tensor:  # noqa: N803
        ctx.way = way
        ctx.save_for_backward(x, W)
        return way.forward(x, W, b)

    @staticmethod
    @once_differentiable  # oneDNN's routine has no gradient: a second one is refused
    def backward(ctx: Any, g: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (x, W), way, (_, of_x, of_W, of_b) = ctx.saved_tensors, ctx.way, ctx.needs_input_grad  # noqa: N806
        return None, way.of_x(g, W) if of_x else None, way.of_W(x, g) if of_W else None, g.sum(1) if of_b else None


def _by(way: _Way, x: torch.Tensor, W: torch.Tensor, b: torch.Tensor) -> torch.Tensor:  # noqa: N803
    o: torch.Tensor = _By.apply(way, x, W, b)
    return o


def _transposed(x: torch.Tensor) -> torch.Tensor:
    """Return xᵀ in rows, (M, B, inputs) → (M, inputs, B): once for all cells where they share one x."""
    if x.stride(0) == 0:
        return x[:1].mT.contiguous().expand(len(x), -1, -1)
    return x.mT  # oneDNN's call copies each when its turn comes, while it is at hand


def multiply(a: torch.Tensor, c: torch.Tensor, b: torch.Tensor | None = None) -> torch.Tensor:
    """Return a cᵀ + b for every cell by oneDNN: (M, n, k), (M, p, k), (M, p) → (M, n, p)."""
    biases = [None] * len(a) if b is None else b.unbind()
    rows = [_ONEDNN(*operands, "none", [], "") for operands in zip(a.unbind(), c.unbind(), biases, strict=True)]
    return rows[0].unsqueeze(0) if len(rows) == 1 else torch.stack(rows)


def _transposed_product(x: torch.Tensor, W: torch.Tensor, b: torch.Tensor) -> torch.Tensor:  # noqa: N803
    return torch.baddbmm(b.unsqueeze(2), W.mT, x.mT).mT


_ONE_BY_ONE: Final = _Way(
    forward=lambda x, W, b: multiply(x, W.mT, b),  # noqa: N803
    of_x=multiply,
    of_W=lambda x, g: multiply(_transposed(x), g.mT),
)
_TRANSPOSED: Final = _Way(
    forward=_transposed_product,
    of_x=lambda g, W: torch.bmm(g, W.mT),  # noqa: N803
    of_W=lambda x, g: torch.bmm(g.mT, x).mT,
)
