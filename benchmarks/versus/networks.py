"""The networks of the baselines: parameters as torch.nn lays them out and starts them, and plain functions of them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

if TYPE_CHECKING:
    from benchmarks.versus.tasks import Task

Forward = Callable[[Sequence[torch.Tensor], torch.Tensor], torch.Tensor]
Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]

LENET_FEATURES = 16 * 5 * 5


def module_of(task: Task, features: int, outputs: int) -> nn.Sequential:
    """Return the network of a task as a module, its parameters in the order of its layers."""
    if task.model == "lenet":
        network = _lenet(outputs)
    else:
        sizes = [features, *task.hidden, outputs]
        layers: list[nn.Module] = []
        for inputs, units in itertools.pairwise(sizes):
            layers += [nn.Linear(inputs, units), nn.ReLU()]
        network = nn.Sequential(*layers[:-1])
    if task.normal_start:
        for layer in network:
            if isinstance(layer, nn.Linear):
                nn.init.normal_(layer.weight, std=task.normal_start)
    return network.to(getattr(torch, task.dtype))


def _lenet(outputs: int) -> nn.Sequential:
    """LeNet for 28 × 28 as section 7.6 of the book describes it: sigmoid, average pooling."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.Sigmoid(), nn.AvgPool2d(2),
        nn.Conv2d(6, 16, 5), nn.Sigmoid(), nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(LENET_FEATURES, 120), nn.Sigmoid(),
        nn.Linear(120, 84), nn.Sigmoid(),
        nn.Linear(84, outputs),
    )  # fmt: skip


def dense(parameters: Sequence[torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """Map inputs (B, features) through linear layers with ReLU between them: weight and bias by turns."""
    *hidden, last = zip(parameters[::2], parameters[1::2], strict=True)
    for weight, bias in hidden:
        x = functional.relu(functional.linear(x, weight, bias))
    return functional.linear(x, *last)


def lenet(parameters: Sequence[torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """Map images (B, 1, 28, 28) to outputs (B, K)."""
    k1, b1, k2, b2, *rest = parameters
    x = functional.avg_pool2d(torch.sigmoid(functional.conv2d(x, k1, b1, padding=2)), 2)
    x = functional.avg_pool2d(torch.sigmoid(functional.conv2d(x, k2, b2)), 2).flatten(1)
    x = torch.sigmoid(functional.linear(x, *rest[:2]))
    x = torch.sigmoid(functional.linear(x, *rest[2:4]))
    return functional.linear(x, *rest[4:])


def forward_of(task: Task) -> Forward:
    """Return the network of a task as a function of its parameters."""
    return lenet if task.model == "lenet" else dense


def loss_of(task: Task) -> Loss:
    """Return the mean loss over a batch: of outputs (B, K) and labels (B,), or outputs (B, 1) and targets (B,)."""
    if task.loss == "cross-entropy":
        return functional.cross_entropy
    scale = {"mse": 1.0, "half-mse": 0.5}[task.loss]
    return lambda o, y: scale * functional.mse_loss(o.squeeze(1), y)
