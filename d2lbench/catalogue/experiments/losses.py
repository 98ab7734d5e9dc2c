"""Losses: the numbers that the notes print, and what large logits do to a softmax that is followed by a logarithm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Gt

from d2lbench.core.generators import generator
from d2lbench.core.kinds import ExperimentTraits, MetricTraits
from d2lbench.core.registry import register

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

#: What the notes print for the binary cross-entropy, and half a unit of its last digit.
PRINTED, HALF_A_DIGIT = -13.8155, 5e-5


@register(
    ExperimentTraits,
    "loss-values",
    metrics={
        "l1": MetricTraits(),
        "smooth_l1": MetricTraits(),
        "squared": MetricTraits(),
        "binary_by_old_formula": MetricTraits(),
        "binary_as_printed": MetricTraits(),
        "cross_entropy_refused": MetricTraits(),
        "likelihood_refused": MetricTraits(),
    },
)
def loss_values(seed: int, /) -> dict[str, float]:
    """The losses of predictions [[1, 1], [1, 1]] for targets [[0, 1], [2, 3]], which the notes print (N3).

    Three are numbers. The other three gave or refused something that has changed since the notes were written:

    - binary cross-entropy: the notes' −13.8155 is the mean of −[t·ln(x + ε) + (1 − t)·ln(1 − x + ε)] with ε = 1e-12
      (``binary_by_old_formula``). Later versions bound the logarithm at −100 instead, which makes it −50; torch 2.15
      refuses targets outside 0…1. ``binary_as_printed`` is 1 where today's function still gives the printed number.
    - cross-entropy: the notes were refused; since torch 1.10 real targets of the predictions' shape are taken as class
      probabilities, and the answer is 2.0794, three times ln 2. ``cross_entropy_refused`` is 1 where it is refused.
    - negative log likelihood: still refused, it takes class indices only.
    """
    import torch
    from torch.nn import functional

    del seed  # nothing is drawn
    x, t = torch.ones(2, 2), torch.tensor([[0.0, 1.0], [2.0, 3.0]])
    binary = _answer(functional.binary_cross_entropy, x, t)
    old = -(t * (x + 1e-12).log() + (1 - t) * (1 - x + 1e-12).log()).mean()
    return {
        "l1": float(functional.l1_loss(x, t)),
        "smooth_l1": float(functional.smooth_l1_loss(x, t)),
        "squared": float(functional.mse_loss(x, t)),
        "binary_by_old_formula": float(old),
        "binary_as_printed": float(binary is not None and abs(binary - PRINTED) < HALF_A_DIGIT),
        "cross_entropy_refused": float(_answer(functional.cross_entropy, x, t) is None),
        "likelihood_refused": float(_answer(functional.nll_loss, x, t) is None),
    }


def _answer(loss: Callable[..., torch.Tensor], x: torch.Tensor, t: torch.Tensor) -> float | None:
    """Return a loss, None where the function refuses its arguments."""
    try:
        return float(loss(x, t))
    except (RuntimeError, ValueError, TypeError):
        return None


@register(ExperimentTraits, "softmax-and-log", metrics={"not_finite": MetricTraits(unit="share")})
def softmax_and_log(
    seed: int, /, *, route: Literal["separate", "shifted", "fused"], scale: Annotated[float, Gt(0)]
) -> dict[str, float]:
    """Share of cross-entropies that are infinite or undefined (Dive into Deep Learning, section 4.5.2).

    2,000 rows of 10 logits from N(0, scale²), float32. ``separate``: exponentials over their sum, then a logarithm,
    which fails above 88.7, where exp overflows. ``shifted``: the same after the row's maximum is subtracted, which
    cannot overflow but still takes the logarithm of 0 where a probability underflows. ``fused``: the framework's
    function, which never forms the probability.
    """
    import torch

    draw = generator(seed, "softmax-and-log")
    logits = scale * torch.randn(2000, 10, generator=draw)
    y = torch.randint(10, (2000,), generator=draw)
    if route == "fused":
        losses = torch.nn.functional.cross_entropy(logits, y, reduction="none")
    else:
        exponentials = (logits - logits.amax(1, keepdim=True) if route == "shifted" else logits).exp()
        losses = -(exponentials / exponentials.sum(1, keepdim=True)).gather(1, y[:, None]).log()
    return {"not_finite": float((~losses.isfinite()).double().mean())}
