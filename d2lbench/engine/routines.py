"""The fastest routine that a CPU has for a shape: for products of linear layers, x W + b for M cells, and for pooling.

The BLAS that torch takes for linear layers knows the vector units of one vendor only: on another's processor, with
AVX-512, oneDNN reached 2.3 times its operations a second. torch hands products of single precision to oneDNN where they
may be rounded to bfloat16, and oneDNN rounds where the processor has matrix units for such numbers alone: elsewhere the
permission costs no bit. It is given for the length of a product, where a first one has shown that. Small products stay
with the BLAS, whose call is shorter; where a stack has few outputs, it gets the transposed product, as its vectors run
along the outputs and would be all but empty.

The framework's average pooling walks through each window number by number. Where windows lie side by side, as those of
the book's LeNet, whole rows are summed and then every second column: a step of LeNet takes 0.85 of the time and an
evaluation 0.72.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import torch
from torch.autograd.function import once_differentiable

from d2lbench.core.environment import cpu_model

if TYPE_CHECKING:
    from collections.abc import Callable

    from d2lbench.catalogue.layers import Pool

#: With so many outputs the BLAS fills its vectors; with fewer it is at a quarter of its speed.
VECTOR: Final = 16
#: The multiplications of a stack from which oneDNN's longer call, 12 µs, pays: of many outputs; of few, where the BLAS
#: has the transposed product; and of few where it has not, with one cell.
LARGE, LARGE_AND_NARROW, LARGE_AND_ALONE = 1_000_000, 2_500_000, 500_000
#: Numbers in a matrix from which a call for each cell pays where the cells' matrices do not lie end to end: one call
#: for all copies weights out of the parameters' block, and a batch that cells share once for each.
WIDE: Final = 2**16
#: Inputs, and examples where there are several outputs, from which the transposed product of a stack is faster: the
#: product of 64 × 64 × 10 takes 1.3 µs a cell instead of 4.3, its gradient by the weights 1.2 instead of 4.5.
LONG_ROW, LONG_COLUMN = 32, 32


class Way(NamedTuple):
    """How the product of a layer is computed, and the two of its gradient g (M, B, outputs).

    That by the weights is put where the caller wants it, (M, inputs, outputs), or comes as a new tensor.
    """

    forward: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]  # x, W, b
    of_x: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]  # g, W
    of_W: Callable[[torch.Tensor, torch.Tensor, torch.Tensor | None], torch.Tensor]  # x, g, into


def affine(x: torch.Tensor, W: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Return x W + b: (M, B, inputs), (M, inputs, outputs), (M, outputs) → (M, B, outputs), for autograd to follow.

    Of one output, x may be (S, B, inputs): every M/S neighbouring cells share their inputs, and their weights are one
    matrix.
    """
    way = way_of(x, W)
    if torch.is_grad_enabled() and (way is _PERMITTED or (way is _TRANSPOSED and x.requires_grad)):
        # autograd's own gradient by x of the transposed product would come out in columns: the layer before would pay
        o: torch.Tensor = _By.apply(way, x, W, b)
        return o
    return way.forward(x, W, b)


def way_of(x: torch.Tensor, W: torch.Tensor) -> Way:
    """Return the fastest way to compute a layer's products."""
    if len(x) < len(W):
        return _SHARED
    if is_large(x, W):
        return _PERMITTED
    if len(W) == 1:
        return _ALONE
    return _TRANSPOSED if _is_narrow(x, W) else _BATCHED


def is_large(x: torch.Tensor, W: torch.Tensor) -> bool:
    """Say whether oneDNN takes the products; where the BLAS does at another width, a cell's may differ by rounding."""
    outputs = W.shape[2]
    if outputs == 1 or x.dtype != torch.float32 or x.device.type != "cpu":
        return False
    enough = LARGE if outputs >= VECTOR else LARGE_AND_NARROW if len(W) > 1 else LARGE_AND_ALONE
    return len(W) * x.shape[1] * W.shape[1] * outputs >= enough and has_exact_onednn()


@functools.cache
def has_exact_onednn() -> bool:
    """Say whether oneDNN multiplies faster than the BLAS here and, where it may round, does not."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    if torch.backends.cpu.get_cpu_capability() != "AVX512" or "Intel" in cpu_model():
        return False
    x = torch.linspace(1, 2, 2 * 128 * 128).view(2, 128, 128)  # 24 bits each, of which bfloat16 would keep 8
    return torch.equal(multiply(x, torch.eye(128).repeat(2, 1, 1)), x)


def multiply(a: torch.Tensor, c: torch.Tensor, into: torch.Tensor | None = None) -> torch.Tensor:
    """Return a c for every cell by oneDNN: (M, n, k), (M, k, p) → (M, n, p), written to ``into`` if given."""
    setting: Any = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
    before = setting.fp32_precision
    setting.fp32_precision = "bf16"
    try:
        if any(t[0].numel() >= WIDE and t.stride(0) != t[0].numel() for t in (a, c)):
            o = a.new_empty(len(a), a.shape[1], c.shape[2]) if into is None else into
            for cell in zip(a, c, o, strict=True):
                torch.mm(cell[0], cell[1], out=cell[2])
            return o
        return torch.bmm(a, c, out=into)
    finally:
        setting.fp32_precision = before


def _is_narrow(x: torch.Tensor, W: torch.Tensor) -> bool:
    """Say whether the transposed product is the faster one: on a CPU, as a GPU's vectors run over all cells."""
    examples, (inputs, outputs) = x.shape[1], W.shape[1:]
    return (
        x.device.type == "cpu"
        and inputs >= LONG_ROW
        and (outputs == 1 or (outputs < VECTOR and examples >= LONG_COLUMN))
    )


class _By(torch.autograd.Function):
    """x W + b by a way of one's own."""

    @staticmethod
    def forward(ctx: Any, way: Way, x: torch.Tensor, W: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        ctx.way = way
        ctx.save_for_backward(x, W)
        return way.forward(x, W, b)

    @staticmethod
    @once_differentiable  # nothing here tells autograd of a second gradient: it is refused
    def backward(ctx: Any, g: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (x, W), way, (_, of_x, of_W, of_b) = ctx.saved_tensors, ctx.way, ctx.needs_input_grad
        return (
            None,
            way.of_x(g, W) if of_x else None,
            way.of_W(x, g, None) if of_W else None,
            g.sum(1) if of_b else None,
        )


def _grouped(rows: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Put cells that share their inputs side by side: (M, 1, n) → (S, M/S, n)."""
    return rows.view(len(x), -1, rows.shape[2])


def _of_data(*_: torch.Tensor) -> torch.Tensor:
    raise AssertionError  # what cells share are examples: nothing before them learns


def _permitted_product(x: torch.Tensor, W: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    if len(x) > 1 and x.stride(0) == 0 and W.mT.is_contiguous():  # one batch for all: their units are one wide layer's
        units, batch = W.mT.flatten(0, 1), x[0].T  # (M·outputs, inputs), (inputs, B)
        return multiply(units[None], batch[None]).view(*W.mT.shape[:2], -1).add_(b.unsqueeze(2)).mT
    if W.shape[2] < VECTOR:  # turned like the narrow products of the BLAS: what follows runs along the examples
        return multiply(W.mT, x.mT).add_(b.unsqueeze(2)).mT
    return multiply(x, W).add_(b.unsqueeze(1))


def _put(product: torch.Tensor, into: torch.Tensor | None) -> torch.Tensor:
    return product if into is None else into.copy_(product)


def _permitted_of_W(x: torch.Tensor, g: torch.Tensor, into: torch.Tensor | None) -> torch.Tensor:
    return _put(multiply(g.mT, x).mT, into) if g.shape[2] < VECTOR else multiply(x.mT, g, into)


def _of_W_alone(x: torch.Tensor, g: torch.Tensor, into: torch.Tensor | None) -> torch.Tensor:
    row = None if into is None else into.squeeze(0)
    return torch.mm(x.squeeze(0).T, g.squeeze(0), out=row).unsqueeze(0)


_PERMITTED: Final = Way(
    forward=_permitted_product,
    of_x=lambda g, W: multiply(g, W.mT),
    of_W=_permitted_of_W,
)
#: The sequential case: one plain product costs half of a batched one.
_ALONE: Final = Way(
    forward=lambda x, W, b: torch.addmm(b.squeeze(0), x.squeeze(0), W.squeeze(0)).unsqueeze(0),
    of_x=lambda g, W: torch.mm(g.squeeze(0), W.squeeze(0).T).unsqueeze(0),
    of_W=_of_W_alone,
)
_BATCHED: Final = Way(
    forward=lambda x, W, b: torch.baddbmm(b.unsqueeze(1), x, W),
    of_x=lambda g, W: torch.bmm(g, W.mT),
    of_W=lambda x, g, into: _put(torch.bmm(x.mT, g), into),
)
_TRANSPOSED: Final = Way(
    forward=lambda x, W, b: torch.baddbmm(b.unsqueeze(2), W.mT, x.mT).mT,
    of_x=lambda g, W: torch.bmm(g, W.mT),
    of_W=lambda x, g, into: _put(torch.bmm(g.mT, x).mT, into),
)
_SHARED: Final = Way(
    # (S, M/S, inputs) times (S, inputs, B)
    forward=lambda x, W, b: torch.baddbmm(_grouped(b.unsqueeze(2), x), _grouped(W.mT, x), x.mT).view(len(W), -1, 1),
    of_x=_of_data,
    of_W=lambda x, g, into: _put(torch.bmm(_grouped(g.mT, x), x).view(len(g), -1, 1), into),
)


def average_pool(layer: Pool, images: torch.Tensor) -> torch.Tensor:
    """Return the mean of every window: (B, C, height, width) → (B, C, height', width')."""
    k, (height, width) = layer.kernel, images.shape[-2:]
    tiled = layer.stride == k > 1 and layer.padding == 0 and height % k == width % k == 0
    if tiled and images.device.type == "cpu" and images.is_contiguous():
        pooled: torch.Tensor = _Tiled.apply(images, layer.kernel)
        return pooled
    return torch.nn.functional.avg_pool2d(images, layer.kernel, layer.stride, layer.padding)


class _Tiled(torch.autograd.Function):
    """The mean over windows of ``kernel`` × ``kernel`` that tile the images."""

    @staticmethod
    def forward(ctx: Any, images: torch.Tensor, kernel: int) -> torch.Tensor:
        ctx.kernel, ctx.shape = kernel, images.shape
        count, channels, height, width = images.shape
        rows = images.view(count, channels, height // kernel, kernel, width)
        total = rows[:, :, :, 0] + rows[:, :, :, 1]  # (B, C, height', width)
        for row in range(2, kernel):
            total += rows[:, :, :, row]
        pooled = total[..., ::kernel] + total[..., 1::kernel]  # (B, C, height', width')
        for column in range(2, kernel):
            pooled += total[..., column::kernel]
        return pooled.div_(kernel**2)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        kernel, (count, channels, height, width) = ctx.kernel, ctx.shape
        share = gradient / kernel**2
        row = share.unsqueeze(-1).expand(*share.shape, kernel).reshape(count, channels, height // kernel, 1, width)
        whole = row.expand(count, channels, height // kernel, kernel, width)
        return whole.reshape(count, channels, height, width), None
