"""Losses that are the negative logarithm of a probability: of a class, or of each of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge, Lt

from d2lbench.catalogue.losses.loss import Loss, argmax, frequencies, needs_classes, targets_of
from d2lbench.core.kinds import LossTraits
from d2lbench.core.registry import register

if TYPE_CHECKING:
    import torch


def _one_for_two(classes: int) -> int:
    return 1 if classes == 2 else classes  # noqa: PLR2004  (of two classes one probability is enough)


def _log_frequencies(labels: torch.Tensor, classes: int) -> torch.Tensor:
    return frequencies(labels, classes).log()


@register(LossTraits, "cross-entropy", task="classification", check=needs_classes)
def cross_entropy(*, label_smoothing: Annotated[float, Ge(0), Lt(1)] = 0.0) -> Loss:
    """-log softmax(o)[y] from raw outputs, fused and stable (Dive into Deep Learning, section 4.5.2).

    ``label_smoothing`` gives that share of the target to all classes alike (Szegedy et al. 2016); evaluations leave
    it out, so that the arms' losses can be compared.
    """
    import torch

    def smoothed(outputs: torch.Tensor, labels: torch.Tensor, label_smoothing: float) -> torch.Tensor:
        # Of a stack, the classes go second: over a last dimension of ten, the softmax costs ten times as much.
        return torch.nn.functional.cross_entropy(
            outputs.movedim(-1, 1), labels, reduction="none", label_smoothing=label_smoothing
        )

    def plain(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return smoothed(outputs, labels, 0.0)

    def training(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return smoothed(outputs, labels, label_smoothing)

    if label_smoothing:
        return Loss(training, argmax, _log_frequencies, plain)
    return Loss(plain, argmax, _log_frequencies, plain, _derived_cross_entropy)


def _derived_cross_entropy(outputs: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return -log softmax(o)[y] and (softmax(o) - onehot(y)) / B (Dive into Deep Learning, section 4.1.2)."""
    import torch

    logs, places = torch.log_softmax(outputs.mT, 1), labels.unsqueeze(1)  # (M, K, B), (M, 1, B)
    g = torch.zeros_like(logs).scatter_(1, places, -1 / labels.shape[1])
    g = torch.ops.aten._log_softmax_backward_data(g, logs, 1, logs.dtype)  # noqa: SLF001  (it rounds once, not twice)
    return -logs.gather(1, places).squeeze(1), g.mT


@register(LossTraits, "nll", task="classification", check=needs_classes)
def nll(*, softmax: Literal["log-softmax", "shifted", "naive"] = "log-softmax") -> Loss:
    """The negative log-likelihood in two steps: a logarithm of the softmax, then the label's entry.

    ``log-softmax`` is the framework's; ``shifted`` subtracts the largest output, then exponentiates, divides and takes
    the logarithm; ``naive`` does so without subtracting (Dive into Deep Learning, sections 4.4.1 and 4.5.2).
    """
    import torch

    def log_probabilities(outputs: torch.Tensor) -> torch.Tensor:
        if softmax == "log-softmax":
            return torch.log_softmax(outputs, -1)
        if softmax == "shifted":
            outputs = outputs - outputs.amax(-1, keepdim=True)
        exponentials = outputs.exp()
        return (exponentials / exponentials.sum(-1, keepdim=True)).log()

    def per_example(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return -log_probabilities(outputs).gather(-1, labels.unsqueeze(-1)).squeeze(-1)

    return Loss(per_example, argmax, _log_frequencies)


@register(LossTraits, "bce", task="classification", check=needs_classes, outputs=_one_for_two)
def bce() -> Loss:
    """Binary cross-entropy from raw outputs (torch.nn.BCEWithLogitsLoss): one output for two classes, else one each."""
    import torch

    def per_example(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        single = outputs.shape[-1] == 1
        targets = labels.unsqueeze(-1).to(outputs.dtype) if single else targets_of(outputs, labels)
        return torch.nn.functional.binary_cross_entropy_with_logits(outputs, targets, reduction="none").mean(-1)

    def predict(outputs: torch.Tensor) -> torch.Tensor:
        return (outputs.squeeze(-1) > 0).long() if outputs.shape[-1] == 1 else argmax(outputs)

    def constant(labels: torch.Tensor, classes: int) -> torch.Tensor:
        shares = frequencies(labels, classes)
        # A class that is missing, or alone, has an infinite logit, of which the loss would be NaN: the largest double.
        return (shares[:, 1:] if _one_for_two(classes) == 1 else shares).logit().nan_to_num()

    return Loss(per_example, predict, constant)
