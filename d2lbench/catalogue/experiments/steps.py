"""How far an adaptive optimizer steps, and whether the scale of the gradients matters to it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge

from d2lbench.core.generators import generator
from d2lbench.core.kinds import ExperimentTraits, MetricTraits
from d2lbench.core.registry import register

if TYPE_CHECKING:
    import torch

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
    run = (torch.optim.Adam if optimizer == "adam" else torch.optim.Adamax)([w], lr=1.0)
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
