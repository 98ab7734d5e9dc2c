"""A penalty in the loss beside an optimizer's weight decay."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from d2lbench.core.generators import generator
from d2lbench.core.kinds import ExperimentTraits, MetricTraits
from d2lbench.core.registry import register

if TYPE_CHECKING:
    import torch

STRENGTH, STEPS = 0.1, 50


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
    runs = [_optimizer(optimizer, pair[0], 0.0), _optimizer(optimizer, pair[1], STRENGTH)]
    gap = 0.0
    for _ in range(STEPS):
        for w, run, penalty in zip(pair, runs, (STRENGTH, 0.0), strict=True):
            run.zero_grad()
            ((x @ w - y).square().mean() + penalty / 2 * w.square().sum()).backward()  # type: ignore[no-untyped-call]
            run.step()
        gap = max(gap, float((pair[0] - pair[1]).detach().abs().max()))
    return {"largest_gap": gap}


def _optimizer(name: str, w: torch.Tensor, decay: float) -> torch.optim.Optimizer:
    from torch import optim

    if name == "sgd":
        return optim.SGD([w], lr=0.05, weight_decay=decay)
    if name == "momentum":
        return optim.SGD([w], lr=0.05, momentum=0.9, weight_decay=decay)
    if name == "adamw" and decay:
        return optim.AdamW([w], lr=0.05, weight_decay=decay)
    return optim.Adam([w], lr=0.05, weight_decay=decay)
