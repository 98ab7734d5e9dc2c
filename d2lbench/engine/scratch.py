"""Layers as the book first writes them by hand, beside the framework's: for comparisons of results and of time."""

from __future__ import annotations

import torch
from torch import nn


class ScratchLinear(nn.Module):
    """``x W^T + b`` as a product and a sum (Dive into Deep Learning, sections 3.4 and 5.2.1)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) * 0.01)
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, inputs) to (B, outputs)."""
        return torch.matmul(x, self.weight.t()) + self.bias


class ScratchDropout(nn.Module):
    """Dropout as a comparison, a product and a division (Dive into Deep Learning, section 5.6.2)."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, …) to (B, …); the identity in evaluation mode."""
        if not self.training or self.p == 0:
            return x
        if self.p == 1:
            return torch.zeros_like(x)
        mask = (torch.rand_like(x) > self.p).to(x.dtype)
        return mask * x / (1 - self.p)


def softmax(outputs: torch.Tensor) -> torch.Tensor:
    """Return exponentials over their sum, (…, K) → (…, K); overflows for outputs near 89 (section 4.4.1)."""
    exponentials = torch.exp(outputs)
    return exponentials / exponentials.sum(-1, keepdim=True)


def cross_entropy(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the mean of -log softmax(o)[y]: outputs (B, K), labels (B,) (section 4.4.3)."""
    return -torch.log(softmax(outputs)[torch.arange(len(outputs)), labels]).mean()


def l2_penalty(w: torch.Tensor) -> torch.Tensor:
    """Return half the squared norm (section 3.7.3.2)."""
    return (w**2).sum() / 2
