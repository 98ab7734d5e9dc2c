"""Whether hidden units that start equal stay equal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge, Gt

from d2lbench.core.generators import generator
from d2lbench.core.kinds import ExperimentTraits, MetricTraits
from d2lbench.core.registry import register

if TYPE_CHECKING:
    import torch

INPUTS, EXAMPLES, BATCH = 20, 200, 20
#: Divided by the width, so that the output moves as fast in a wide layer as in a narrow one.
RATE = 6.4
DECAY = 0.01


@register(ExperimentTraits, "hidden-symmetry", metrics={"relative_spread": MetricTraits()})
def hidden_symmetry(
    seed: int,
    /,
    *,
    technique: Literal["none", "dropout", "l2"] = "none",
    width: Annotated[int, Ge(2)] = 64,
    steps: Annotated[int, Ge(1)] = 400,
    start: Annotated[float, Gt(0)] = 0.1,
) -> dict[str, float]:
    """Relative spread of hidden units that start from one constant, after steps of SGD (the book's section 5.4.1.3).

    One hidden layer of tanh units fits the sine of a random projection of 20 Gaussian inputs: 200 examples, batches
    of 20, squared error, float32, rate 6.4/width; weights start at ``start``, biases at 0. ``technique`` adds dropout
    at one half, or an L2 penalty of ½·0.01·‖w‖². The spread is the largest range over units of any incoming or
    outgoing weight, over that weight's largest magnitude: 0 while the units are equal to the last bit.

    In exact arithmetic only what treats units differently can part them. In floating point a matrix product may sum a
    unit's terms in another order than its neighbour's where the width does not fill the processor's vectors, and what
    rounding has parted training drives further apart: which widths do so depends on processor and library.
    """
    import torch

    draw = generator(seed, "hidden-symmetry")
    x = torch.randn(EXAMPLES, INPUTS, generator=draw)
    y = torch.sin(2 * x @ torch.randn(INPUTS, 1, generator=draw) / INPUTS**0.5)
    net = (torch.full((INPUTS, width), start), torch.zeros(width), torch.full((width, 1), start), torch.zeros(1))
    epoch = EXAMPLES // BATCH
    for step in range(steps):
        if step % epoch == 0:
            order = torch.randperm(EXAMPLES, generator=draw).view(epoch, BATCH)
        batch = order[step % epoch]
        kept = 2.0 * (torch.rand(BATCH, width, generator=draw) > 0.5) if technique == "dropout" else None  # noqa: PLR2004
        found = gradients(net, x[batch], y[batch], kept=kept, decay=DECAY if technique == "l2" else 0.0)
        for parameter, gradient in zip(net, found, strict=True):
            parameter.sub_(gradient, alpha=RATE / width)
    units = torch.cat([net[0], net[1][None], net[2].T])  # (22, width)
    spread = units.amax(1) - units.amin(1)
    return {"relative_spread": float((spread / units.abs().amax(1)).max())}


def gradients(
    net: tuple[torch.Tensor, ...], x: torch.Tensor, y: torch.Tensor, *, kept: torch.Tensor | None, decay: float
) -> tuple[torch.Tensor, ...]:
    """Return the gradients of mean squared error + ½·decay·‖w‖² for the weights and biases of a net of tanh units.

    ``net``: (inputs, width), (width,), (width, 1), (1,); ``x``: (B, inputs); ``y``: (B, 1); ``kept``: dropout's
    factors, (B, width). By hand, as thousands of steps of so small a net are mostly what automatic differentiation
    costs: 0.04 ms a step against 0.15.
    """
    import torch

    w, b, v, c = net
    tanh = torch.addmm(b, x, w).tanh_()  # (B, width)
    h = tanh if kept is None else tanh * kept
    e = (torch.addmm(c, h, v) - y).mul_(2 / len(x))  # (B, 1)
    d = (e * v[:, 0]).mul_(1 - tanh * tanh)  # (B, width)
    if kept is not None:
        d.mul_(kept)
    gradient_w, gradient_v = x.T @ d, h.T @ e
    if decay:
        gradient_w.add_(w, alpha=decay)
        gradient_v.add_(v, alpha=decay)
    return gradient_w, d.sum(0), gradient_v, e.sum(0)
