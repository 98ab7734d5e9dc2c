"""Products of matrices: of many Gaussian ones, of a net's layers, and what a single one cannot tell apart."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from annotated_types import Ge

from d2lbench.core.generators import generator
from d2lbench.core.kinds import ExperimentTraits, MetricTraits
from d2lbench.core.registry import register

#: The largest entry, in magnitude, of the product that the source notes print (N4, section 4.8).
PRINTED = 5.1784e27


@register(
    ExperimentTraits,
    "matrix-product",
    metrics={
        "growth": MetricTraits(unit="decades per factor"),
        "expected_growth": MetricTraits(unit="decades per factor"),
        "largest_entry": MetricTraits(unit="decades"),
        "share_beyond_printed": MetricTraits(),
    },
)
def matrix_product(
    seed: int, /, *, factors: Annotated[int, Ge(1)] = 100, size: Annotated[int, Ge(1)] = 4, draws: int = 1000
) -> dict[str, float]:
    """Growth of a product of Gaussian matrices, a factor at a time (Dive into Deep Learning, section 5.4.1.2).

    A row of a Gaussian (k, k) matrix is turned by the next factor into a Gaussian vector again, its squared length
    multiplied by an independent χ² with k degrees of freedom. So each factor adds ½·log10(χ²) to the length's log10,
    on average ½·(ψ(k/2) + ln 2)/ln 10: 0.2423 decades for k = 4 (ψ: digamma). The deviation of one factor's addition
    is 0.174 decades, so the mean over 1,000 draws of 100 factors is known to 0.0006.

    ``growth`` is that mean as measured, ``expected_growth`` the formula; ``largest_entry`` the median over draws of
    the whole product's largest entry (log10 of its magnitude), and ``share_beyond_printed`` the share of draws in
    which it is larger than the notes' 5.2e27.
    """
    import torch

    draw = generator(seed, "matrix-product")
    product = torch.randn(draws, size, size, generator=draw, dtype=torch.float64)
    first = product[:, 0].norm(dim=1)
    for _ in range(factors):
        product = product @ torch.randn(draws, size, size, generator=draw, dtype=torch.float64)
    largest = product.abs().amax((1, 2))
    growth = (product[:, 0].norm(dim=1) / first).log10() / factors
    expected = (float(torch.digamma(torch.tensor(size / 2, dtype=torch.float64))) + math.log(2)) / math.log(10) / 2
    return {
        "growth": float(growth.mean()),
        "expected_growth": expected,
        "largest_entry": float(largest.log10().median()),
        "share_beyond_printed": float((largest > PRINTED).double().mean()),
    }


@register(ExperimentTraits, "stacked-layers", metrics={"unexplained": MetricTraits()})
def stacked_layers(
    seed: int, /, *, activation: Literal["identity", "relu", "tanh"] = "identity", depth: Annotated[int, Ge(2)] = 4
) -> dict[str, float]:
    """How much of a stack of fully connected layers the best single layer leaves unexplained.

    Layers of 16 units on 8 inputs, weights N(0, 1/16), biases N(0, 1), 400 Gaussian examples, float64. The single
    layer with bias is the least-squares fit to the stack's own outputs; ``unexplained`` is the norm of what is left
    over that of the outputs about their mean: 0 if and only if the stack is one such layer (on these examples).
    (Dive into Deep Learning, section 5.1.1.)
    """
    import torch

    draw = generator(seed, "stacked-layers")

    def gaussian(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=draw, dtype=torch.float64)

    x = h = gaussian(400, 8)
    for layer in range(depth):
        h = h @ gaussian(h.shape[1], 16) / 4 + gaussian(16)
        if activation != "identity" and layer < depth - 1:
            h = getattr(torch, activation)(h)
    inputs = torch.cat([x, torch.ones(len(x), 1, dtype=x.dtype)], dim=1)  # (400, 9)
    rest = h - inputs @ torch.linalg.lstsq(inputs, h).solution
    return {"unexplained": float(rest.norm() / (h - h.mean(0)).norm())}


@register(ExperimentTraits, "line-on-xor", metrics={"lowest_loss": MetricTraits(unit="nats")})
def line_on_xor(seed: int, /, *, guesses: Annotated[int, Ge(1)] = 10_000) -> dict[str, float]:
    """Lowest logistic loss that one linear layer reaches on the four points of XOR.

    With classes y = ±1 the four values y·f(x) of an affine f sum to 0, and ln(1 + exp(−z)) is convex: the mean loss is
    at least its value at the mean, ln 2, and f = 0 attains it. Looked for among random affine functions, and by 200
    steps of gradient descent from the best of them; float64.
    """
    import torch

    x = torch.tensor([[1.0, a, b] for a in (-1.0, 1.0) for b in (-1.0, 1.0)], dtype=torch.float64)  # (4, 3)
    y = -x[:, 1] * x[:, 2]

    def loss(w: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.softplus(-y * (w @ x.T)).mean(-1)

    w = torch.randn(guesses, 3, generator=generator(seed, "line-on-xor"), dtype=torch.float64)
    lowest = loss(w)
    w = w[lowest.argmin()]
    found = [float(lowest.min())]
    for _ in range(200):
        w = w + (torch.sigmoid(-y * (w @ x.T)) * y) @ x / 4
        found.append(float(loss(w)))
    return {"lowest_loss": min(found)}
