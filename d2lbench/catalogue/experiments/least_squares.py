"""A few steps on a convex problem whose solution is known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge

from d2lbench.core.generators import generator
from d2lbench.core.kinds import ExperimentTraits, MetricTraits
from d2lbench.core.registry import register

if TYPE_CHECKING:
    import torch


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
    run = _optimizer(method, w, steps, rate=2 / float(curvatures[0] + curvatures[-1]))

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


def _optimizer(method: str, w: torch.Tensor, steps: int, rate: float) -> torch.optim.Optimizer:
    from torch import optim

    if method == "lbfgs":
        return optim.LBFGS([w], max_iter=steps, line_search_fn="strong_wolfe", tolerance_grad=0, tolerance_change=0)
    return optim.SGD([w], lr=rate)
