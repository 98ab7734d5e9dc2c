"""Losses of raw outputs against labels: one value per example, so that cells of a stack never mix."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from d2lbench.registry import register

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

PerExample: TypeAlias = "Callable[[torch.Tensor, torch.Tensor], torch.Tensor]"


@register("loss", "cross-entropy", task="classification")
def cross_entropy() -> PerExample:
    """-log softmax(o)[y] from raw outputs, fused and stable (Dive into Deep Learning, section 4.5.2)."""
    import torch

    def per_example(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Map outputs (…, B, K) and labels (…, B) to losses (…, B).

        Of a stack, the classes go second: over a last dimension of ten, the softmax costs ten times as much.
        """
        return torch.nn.functional.cross_entropy(outputs.movedim(-1, 1), labels, reduction="none")

    return per_example
