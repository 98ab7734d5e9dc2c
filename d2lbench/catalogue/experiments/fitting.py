"""How parameters are found: in closed form and step by step, what optimizers remember, and how far they step."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from annotated_types import Ge, Le

from d2lbench.catalogue.datasets.regression import CUBIC, polynomial
from d2lbench.core.generators import generator
from d2lbench.core.kinds import ExperimentTraits, MetricTraits
from d2lbench.core.registry import register

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import torch


def _optimizer(name: str, w: torch.Tensor, lr: float, **options: float) -> torch.optim.Optimizer:
    """Return torch's optimizer of one tensor; ``momentum`` is SGD with a momentum of 0.9."""
    from torch import optim

    known: Mapping[str, Callable[..., optim.Optimizer]] = {
        "sgd": optim.SGD,
        "momentum": functools.partial(optim.SGD, momentum=0.9),
        "asgd": optim.ASGD,
        "adam": optim.Adam,
        "adamw": optim.AdamW,
        "adamax": optim.Adamax,
    }
    return known[name]([w], lr=lr, **options)


@register(ExperimentTraits, "least-squares", metrics={"gap": MetricTraits()})
def least_squares(
    seed: int, /, *, method: Literal["lbfgs", "gradient-descent"], steps: Annotated[int, Ge(1)] = 10
) -> dict[str, float]:
    """Share of the way to the closed-form optimum that is left after some steps from zero.

    1,500 examples of 5 Gaussian features, the shape of the book's airfoil data (section 12.5.3), with deviations from
    1 to 10, so that curvatures span a factor of 100; noise of deviation 0.1; float64. L-BFGS searches its steps by
    strong Wolfe conditions; gradient descent has the best constant rate, 2 over the sum of the extreme curvatures.
    ``gap`` is (loss − lowest)/(loss at zero − lowest), the loss ½·MSE.
    """
    import torch

    draw = generator(seed, "least-squares")
    x = torch.randn(1500, 5, generator=draw, dtype=torch.float64) * torch.logspace(0, 1, 5, dtype=torch.float64)
    y = x @ torch.randn(5, generator=draw, dtype=torch.float64)
    y = y + 0.1 * torch.randn(1500, generator=draw, dtype=torch.float64)

    def loss(w: torch.Tensor) -> torch.Tensor:
        return (x @ w - y).square().mean() / 2

    w = torch.zeros(5, dtype=torch.float64, requires_grad=True)
    curvatures = torch.linalg.eigvalsh(x.T @ x / len(x))
    run: torch.optim.Optimizer = torch.optim.SGD([w], lr=2 / float(curvatures[0] + curvatures[-1]))
    if method == "lbfgs":
        run = torch.optim.LBFGS(
            [w], max_iter=steps, line_search_fn="strong_wolfe", tolerance_grad=0, tolerance_change=0
        )

    def closure() -> float:
        run.zero_grad()
        value = loss(w)
        value.backward()  # type: ignore[no-untyped-call]
        return float(value.detach())

    for _ in range(1 if method == "lbfgs" else steps):  # one call of L-BFGS takes all of its steps
        run.step(closure)
    with torch.no_grad():
        lowest = loss(torch.linalg.lstsq(x, y[:, None]).solution[:, 0])
        return {"gap": float((loss(w) - lowest) / (loss(torch.zeros_like(w)) - lowest))}


PARAMETERS = 2000
#: Steps of L-BFGS that fill its history of 100 pairs, with some to spare.
FILLING = 110


@register(ExperimentTraits, "optimizer-memory", metrics={"state_bytes": MetricTraits(unit="bytes per parameter")})
def optimizer_memory(
    seed: int, /, *, optimizer: Literal["sgd", "momentum", "asgd", "adam", "adamax", "lbfgs"]
) -> dict[str, float]:
    """Bytes of state that an optimizer of torch.optim keeps for each float32 parameter, once it has all it will have.

    2,000 parameters in one tensor of a convex quadratic whose curvatures span five decades. L-BFGS keeps a history of
    100 pairs, the notes' setting, and is counted when it is full; the others are counted after one step. Counters and
    scalars are counted, too, which is why the numbers are not quite whole. BFGS proper would keep a number for every
    pair of parameters: 8,000 bytes for each of these 2,000.
    """
    import torch

    del seed  # nothing is drawn
    w = torch.ones(PARAMETERS, requires_grad=True)
    curvature = torch.logspace(-3, 2, PARAMETERS)
    if optimizer == "lbfgs":  # tolerances of 0: it must not stop before its history is full
        run: torch.optim.Optimizer = torch.optim.LBFGS(
            [w], max_iter=FILLING, max_eval=10 * FILLING, history_size=100, tolerance_grad=0, tolerance_change=0
        )
    else:
        run = _optimizer(optimizer, w, 0.001)

    def closure() -> float:
        run.zero_grad()
        loss = (curvature * w * w).sum() / 2
        loss.backward()  # type: ignore[no-untyped-call]
        return float(loss.detach())

    run.step(closure)
    return {"state_bytes": _bytes(dict(run.state)) / PARAMETERS}


def _bytes(value: Any) -> int:
    """Return the bytes of all tensors in a state, however nested."""
    import torch

    if torch.is_tensor(value):
        return value.numel() * value.element_size()
    if isinstance(value, dict):
        return sum(map(_bytes, value.values()))
    return sum(map(_bytes, value)) if isinstance(value, list | tuple) else 0


@register(ExperimentTraits, "changed-rate", metrics={"state_bytes": MetricTraits(unit="bytes per parameter")})
def changed_rate(seed: int, /, *, way: Literal["in-place", "rebuilt"]) -> dict[str, float]:
    """Bytes of state for each float32 parameter that Adam still has after its rate was changed (N1, section 3.3).

    ``in-place`` sets the rate of the parameter group, ``rebuilt`` makes a new optimizer of the same parameters.
    """
    import torch

    del seed  # nothing is drawn
    w = torch.ones(PARAMETERS, requires_grad=True)
    run = torch.optim.Adam([w], lr=0.1)
    w.grad = torch.ones_like(w)
    run.step()
    if way == "in-place":
        run.param_groups[0]["lr"] = 0.01
    else:
        run = torch.optim.Adam([w], lr=0.01)
    return {"state_bytes": _bytes(dict(run.state)) / PARAMETERS}


STRENGTH = 0.1


@register(ExperimentTraits, "penalty-or-decay", metrics={"largest_gap": MetricTraits()})
def penalty_or_decay(seed: int, /, *, optimizer: Literal["sgd", "momentum", "adam", "adamw"]) -> dict[str, float]:
    """Largest distance of any weight between a run with an L2 penalty in the loss and one with weight decay.

    Least squares on 40 Gaussian examples of 10 features, 50 full-batch steps from one start, float64. The penalty is
    ½·λ·‖w‖² with λ = 0.1, whose gradient λ·w is what torch's ``weight_decay`` = λ adds; the loss is the same on both
    sides. (A penalty of λ·‖w‖², as some write it, is a decay of 2λ, and a loss halved, ½·MSE for MSE, needs a λ
    halved for the same optimum.) ``adamw`` takes its decay from the weights instead, and is compared with Adam and
    the penalty (Loshchilov and Hutter 2019).
    """
    import torch

    draw = generator(seed, "penalty-or-decay")
    x = torch.randn(40, 10, generator=draw, dtype=torch.float64)
    y = x @ torch.randn(10, generator=draw, dtype=torch.float64)
    start = torch.randn(10, generator=draw, dtype=torch.float64)
    pair = [start.clone().requires_grad_() for _ in range(2)]
    penalized = _optimizer("adam" if optimizer == "adamw" else optimizer, pair[0], 0.05)
    runs = [penalized, _optimizer(optimizer, pair[1], 0.05, weight_decay=STRENGTH)]
    gap = 0.0
    for _ in range(50):
        for w, run, penalty in zip(pair, runs, (STRENGTH, 0.0), strict=True):
            run.zero_grad()
            ((x @ w - y).square().mean() + penalty / 2 * w.square().sum()).backward()  # type: ignore[no-untyped-call]
            run.step()
        gap = max(gap, float((pair[0] - pair[1]).detach().abs().max()))
    return {"largest_gap": gap}


#: Errors span decades, so sides differ by ratio; a twentieth matters, as of losses.
_ERROR: Final = MetricTraits(as_="ratio", margins={"quick": 0.05, "full": 0.05}, better="lower")


@register(
    ExperimentTraits,
    "polynomial-least-squares",
    metrics={"train_error": _ERROR, "test_error": _ERROR, "coefficient_error": MetricTraits()},
)
def polynomial_least_squares(seed: int, /, *, degree: Annotated[int, Ge(3), Le(50)] = 3) -> dict[str, float]:
    """Mean squared errors of the least-squares polynomial of a degree, on the data of ``polynomial``; float64.

    100 examples train, 100 test, as in Dive into Deep Learning 0.17, section 4.4, which trains by descent instead.
    The fit is made in Legendre's polynomials on the range of the training inputs: the powers of x are so nearly
    dependent at degree 19 that double precision would lose the fit. ``coefficient_error`` is the largest distance of
    any coefficient of x^i/i! from the one behind the data, 0 beyond the cubic.
    """
    import numpy as np
    from numpy.polynomial import Legendre, Polynomial
    from numpy.polynomial.legendre import legvander

    splits = polynomial(seed, degree=1)
    x, y = (part.astype(np.float64) for part in (splits.pool.x[:, 0], splits.pool.y))
    ends = [float(x[splits.train].min()), float(x[splits.train].max())]
    inside = (2 * x - ends[0] - ends[1]) / (ends[1] - ends[0])  # the training inputs' range becomes -1 to 1
    design = legvander(inside, degree)  # (N, degree + 1)
    fit = np.linalg.lstsq(design[splits.train], y[splits.train])[0]
    errors = (design @ fit - y) ** 2
    powers = Legendre(fit, domain=ends).convert(kind=Polynomial, domain=[-1, 1], window=[-1, 1]).coef
    coefficients = powers * [float(math.factorial(i)) for i in range(len(powers))]
    truth = np.pad(np.array(CUBIC), (0, degree + 1 - len(CUBIC)))
    return {
        "train_error": float(errors[splits.train].mean()),
        "test_error": float(errors[splits.test].mean()),
        "coefficient_error": float(np.abs(np.pad(coefficients, (0, degree + 1 - len(coefficients))) - truth).max()),
    }


BETA1, BETA2 = 0.9, 0.999
#: Steps looked at; after 300 what is left of Adam's first moment before them is 2e-14 of it.
STEPS = 300
#: Steps with no gradient before them: enough for the correction of the second moment to be over (0.999^10,000 = 5e-5).
SILENT = 10_000


@register(
    ExperimentTraits,
    "step-bound",
    metrics={
        "largest_step": MetricTraits(unit="rates"),
        "beyond_bound": MetricTraits(),
        "beyond_published": MetricTraits(),
    },
)
def step_bound(seed: int, /, *, optimizer: Literal["adam", "adamax"]) -> dict[str, float]:
    """Largest step of any parameter in units of the rate, beside two bounds, over gradients made to be hard.

    Parameters get, after 10,000 steps without any gradient: noise, a constant, one spike at the last step, gradients
    that grow by β2/β1 a step, and gradients that shrink by β2 a step; float64, torch's defaults, rate 1.

    Adam: with m a weighted sum of past gradients and v one of their squares, Cauchy and Schwarz give |m|/√v ≤
    (1 − β1)/√((1 − β2)·(1 − β1²/β2)), 7.27 at the defaults, which the growing gradients approach; the bound published
    with it, (1 − β1)/√(1 − β2) = 3.16, is that of the spike (Kingma and Ba 2015, section 2.1). Adamax: |m|/u ≤
    (1 − β1)/(1 − β1/β2) = 1.0091, which the shrinking gradients attain; published: 1 (section 7.1).
    ``beyond_bound`` and ``beyond_published`` are the shares by which the largest step passes either, 0 if it does not.
    """
    import torch

    streams = _hard_gradients(seed)  # (STEPS, parameters)
    w = torch.zeros(streams.shape[1], dtype=torch.float64, requires_grad=True)
    run = _optimizer(optimizer, w, 1.0)
    w.grad = torch.zeros_like(w)
    run.step()
    run.state[w]["step"].fill_(SILENT)  # a step without gradient changes nothing but this count
    largest = 0.0
    for gradient in streams:
        before = w.detach().clone()
        w.grad = gradient
        run.step()
        largest = max(largest, float((w.detach() - before).abs().max()))
    if optimizer == "adam":
        published = (1 - BETA1) / math.sqrt(1 - BETA2)
        bound = published / math.sqrt(1 - BETA1**2 / BETA2)
    else:
        published, bound = 1.0, (1 - BETA1) / (1 - BETA1 / BETA2)
    return {
        "largest_step": largest,
        "beyond_bound": max(0.0, largest / bound - 1),
        "beyond_published": max(0.0, largest / published - 1),
    }


def _hard_gradients(seed: int) -> torch.Tensor:
    """Return gradients, (steps, parameters): 100 columns of noise, then constant, spike, growing and shrinking."""
    import torch

    noise = torch.randn(STEPS, 100, generator=generator(seed, "step-bound"), dtype=torch.float64)
    t = torch.arange(STEPS, dtype=torch.float64)
    spike = torch.zeros_like(t)
    spike[-1] = 1.0
    made = torch.stack([torch.ones_like(t), spike, (BETA2 / BETA1) ** (t - STEPS), BETA2**t], dim=1)
    return torch.cat([noise, made], dim=1)


@register(ExperimentTraits, "rescaled-gradients", metrics={"largest_change": MetricTraits(unit="rates")})
def rescaled_gradients(seed: int, /, *, eps: Annotated[float, Ge(0)] = 1e-8) -> dict[str, float]:
    """Largest change of any step of Adam, in units of the rate, when each parameter's gradients are rescaled.

    100 parameters get 100 steps of Gaussian gradients, once as they are and once multiplied, each parameter by a
    constant of its own between 10⁻⁴ and 10⁴ (log-uniform); float64. m and √v scale alike, so only ε, which does not,
    can change a step (Kingma and Ba 2015, section 1).
    """
    import torch

    draw = generator(seed, "rescaled-gradients")
    gradients = torch.randn(100, 100, generator=draw, dtype=torch.float64)
    scale = 10.0 ** (8 * torch.rand(100, generator=draw, dtype=torch.float64) - 4)
    pair = [torch.zeros(100, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    runs = [torch.optim.Adam([w], lr=1.0, eps=eps) for w in pair]
    largest = 0.0
    for gradient in gradients:
        before = [w.detach().clone() for w in pair]
        for w, run, factor in zip(pair, runs, (torch.ones_like(scale), scale), strict=True):
            w.grad = gradient * factor
            run.step()
        first, second = (w.detach() - old for w, old in zip(pair, before, strict=True))
        largest = max(largest, float((first - second).abs().max()))
    return {"largest_change": largest}
