"""How steep activation functions are."""

from __future__ import annotations

from typing import Literal

from d2lbench.core.kinds import ExperimentTraits, MetricTraits
from d2lbench.core.registry import register

#: From here on outward a slope is looked at "far out": sigmoid's is 4.5e-5 there, a 5,500th of its largest.
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
