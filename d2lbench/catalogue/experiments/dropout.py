"""What dropout leaves of an activation on average."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Gt, Lt

from d2lbench.core.generators import generator
from d2lbench.core.kinds import ExperimentTraits, MetricTraits
from d2lbench.core.registry import register
from d2lbench.core.seeding import key_integer

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
