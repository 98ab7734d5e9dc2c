"""What optimizers remember, counted in torch's own state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from d2lbench.core.kinds import ExperimentTraits, MetricTraits
from d2lbench.core.registry import register

if TYPE_CHECKING:
    import torch

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
    run = _optimizer(optimizer, w)

    def closure() -> float:
        run.zero_grad()
        loss = (curvature * w * w).sum() / 2
        loss.backward()  # type: ignore[no-untyped-call]
        return float(loss.detach())

    run.step(closure)
    return {"state_bytes": _bytes(dict(run.state)) / PARAMETERS}


def _optimizer(name: str, w: torch.Tensor) -> torch.optim.Optimizer:
    from torch import optim

    if name == "lbfgs":  # tolerances of 0: it must not stop before its history is full
        return optim.LBFGS(
            [w], max_iter=FILLING, max_eval=10 * FILLING, history_size=100, tolerance_grad=0, tolerance_change=0
        )
    if name in ("sgd", "momentum"):
        return optim.SGD([w], lr=0.001, momentum=0.9 if name == "momentum" else 0.0)
    if name == "asgd":
        return optim.ASGD([w], lr=0.001)
    return optim.Adam([w], lr=0.001) if name == "adam" else optim.Adamax([w], lr=0.001)


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
