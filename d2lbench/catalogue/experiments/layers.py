"""What passes through layers: how it grows and varies, slopes, and whether units that are equal stay so."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge, Gt, Lt

from d2lbench.core.generators import generator
from d2lbench.core.kinds import ExperimentTraits, MetricTraits
from d2lbench.core.registry import register
from d2lbench.core.seeding import key_integer

if TYPE_CHECKING:
    import torch

UNITS = 64


@register(
    ExperimentTraits,
    "dropout-mean",
    metrics={"standard_errors": MetricTraits(unit="standard errors"), "kept": MetricTraits()},
)
def dropout_mean(
    seed: int, /, *, p: Annotated[float, Gt(0), Lt(1)], draws: Annotated[int, Ge(1)] = 2000
) -> dict[str, float]:
    """Mean activation under dropout minus the mean without, in standard errors (Srivastava et al. 2014).

    A layer of 64 positive activations h is dropped ``draws`` times by :func:`torch.nn.functional.dropout`: each unit
    becomes h/(1 − p) or 0, with mean h and variance h²·p/(1 − p). ``standard_errors`` divides the deviation of the
    grand mean by what that variance predicts for it; ``kept`` is the grand mean over the undropped one.
    """
    import torch

    h = torch.randn(UNITS, generator=generator(seed, "dropout-mean"), dtype=torch.float64).abs()
    with torch.random.fork_rng(devices=[]):  # the function takes no generator of its own
        torch.manual_seed(key_integer(seed, "dropout-mean", "masks"))
        mean = torch.nn.functional.dropout(h.expand(draws, UNITS), p).mean()
    error = (p / (1 - p) / draws * h.square().sum()).sqrt() / UNITS
    return {"standard_errors": float((mean - h.mean()) / error), "kept": float(mean / h.mean())}


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
    losses = [float(lowest.min())]
    for _ in range(200):
        w = w + (torch.sigmoid(-y * (w @ x.T)) * y) @ x / 4
        losses.append(float(loss(w)))
    return {"lowest_loss": min(losses)}


#: A slope counts as "far out" from here on: sigmoid's is 4.5e-5 there, a 5,500th of its largest.
FAR_OUT = 10.0


@register(
    ExperimentTraits, "activation-slopes", metrics={"largest_slope": MetricTraits(), "slope_far_out": MetricTraits()}
)
def activation_slopes(seed: int, /, *, function: Literal["sigmoid", "tanh"]) -> dict[str, float]:
    """Largest slope of an activation function, anywhere and at |x| ≥ 10 (Dive into Deep Learning, section 5.1.2).

    Slopes are automatic differentiation's, in float64, at 4,001 points from −20 to 20 with 0 among them.
    """
    import torch

    del seed  # nothing is drawn
    x = torch.linspace(-20.0, 20.0, 4001, dtype=torch.float64)
    x[2000] = 0.0  # linspace may miss it by a rounding
    x.requires_grad_()
    (slopes,) = torch.autograd.grad(getattr(torch, function)(x).sum(), x)
    far_out = slopes[x.abs() >= FAR_OUT]
    return {"largest_slope": float(slopes.max()), "slope_far_out": float(far_out.abs().max())}


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
        changes = gradients(net, x[batch], y[batch], kept=kept, decay=DECAY if technique == "l2" else 0.0)
        for parameter, gradient in zip(net, changes, strict=True):
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


@register(
    ExperimentTraits, "xavier-variance", metrics={"variance_ratio": MetricTraits(), "over_formula": MetricTraits()}
)
def xavier_variance(
    seed: int, /, *, inputs: Annotated[int, Ge(1)], outputs: Annotated[int, Ge(1)] = 256, examples: int = 1000
) -> dict[str, float]:
    """Variance of a linear layer's outputs over that of its inputs after Xavier's uniform draw (Glorot, Bengio 2010).

    Each of a inputs has variance 1 and each weight 2/(a + b), b the number of outputs: the sum has 2a/(a + b), which
    is 1 only where a = b. ``variance_ratio`` is measured on Gaussian inputs, ``over_formula`` divides it by that.
    With 1,000 examples its standard error is below 0.7 % from 64 inputs on.
    """
    import torch

    draw = generator(seed, "xavier-variance")
    weight = torch.empty(outputs, inputs)
    torch.nn.init.xavier_uniform_(weight, generator=draw)
    ratio = float((torch.randn(examples, inputs, generator=draw) @ weight.T).double().square().mean())
    return {"variance_ratio": ratio, "over_formula": ratio * (inputs + outputs) / (2 * inputs)}
