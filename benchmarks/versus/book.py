"""The way of *Dive into Deep Learning*: DataLoaders, modules, a step at a time, one cell after the other.

The loops do what those of edition 0.17 do: softmax regression and the perceptron (sections 3.6 and 4.3), polynomials
(4.4), weight decay (4.5). The drawing of curves while training is left out, and losses are evaluated without a graph:
both make the loops faster.
"""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.versus.networks import module_of
from benchmarks.versus.resident import OPTIMIZERS, Curves

if TYPE_CHECKING:
    from benchmarks.versus.tasks import Data, Task

Loader = Iterable[tuple[torch.Tensor, torch.Tensor]]


def unpacked(folder: Path) -> Path:
    """Unpack Fashion-MNIST's files below ``folder``, where torchvision looks for them, and return that root."""
    from d2lbench.catalogue.datasets.files import data_folder

    raw = folder / "FashionMNIST" / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    for packed in (data_folder() / "FashionMNIST" / "raw").glob("*.gz"):
        with gzip.open(packed) as source, (raw / packed.stem).open("wb") as target:
            shutil.copyfileobj(source, target)
    return folder


def fashion_loaders(root: Path, batch_size: int, workers: int) -> tuple[Loader, Loader]:
    """Return the loaders of the training and the test images, by torchvision and its ToTensor."""
    import torchvision
    from torchvision import transforms

    def loader(*, train: bool) -> Loader:
        images = torchvision.datasets.FashionMNIST(root, train=train, transform=transforms.ToTensor())
        return DataLoader(images, batch_size, shuffle=train, num_workers=workers)

    return loader(train=True), loader(train=False)


def array_loaders(data: Data, batch_size: int) -> tuple[Loader, Loader]:
    """Return the loaders of tensors: targets as a column, as the book has them."""
    parts = {}
    for name in ("train", "test"):
        x, y = data[name]
        parts[name] = TensorDataset(x, y[:, None] if y.is_floating_point() else y)
    return DataLoader(parts["train"], batch_size, shuffle=True), DataLoader(parts["test"], batch_size, shuffle=False)


def classifier(task: Task, features: int) -> nn.Sequential:
    """Return a classifier of images that it flattens itself."""
    return nn.Sequential(nn.Flatten(), module_of(task, features, 10))


def train_classifier(network: nn.Module, train: Loader, test: Loader, task: Task) -> Curves:
    """Train with cross entropy; after each epoch the test accuracy, and loss and accuracy as they were in training."""
    loss = nn.CrossEntropyLoss(reduction="none")
    trainer = OPTIMIZERS[task.optimizer](network.parameters(), **dict(task.options))
    curves: Curves = {"train_loss": {}, "train_accuracy": {}, "test_accuracy": {}}
    for epoch in range(1, task.epochs + 1):
        total, hits, count = 0.0, 0.0, 0
        network.train()
        for x, y in train:
            o = network(x)
            losses = loss(o, y)
            trainer.zero_grad()
            losses.mean().backward()
            trainer.step()
            total += float(losses.detach().sum())
            hits += _hits(o, y)
            count += y.numel()
        curves["train_loss"][epoch], curves["train_accuracy"][epoch] = total / count, hits / count
        curves["test_accuracy"][epoch] = accuracy(network, test)
    return curves


def _hits(o: torch.Tensor, y: torch.Tensor) -> float:
    return float((o.argmax(dim=1) == y).type(y.dtype).sum())


@torch.no_grad()
def accuracy(network: nn.Module, examples: Loader) -> float:
    """Return the share of examples that a network gets right, in evaluation mode."""
    network.eval()
    hits, count = 0.0, 0
    for x, y in examples:
        hits += _hits(network(x), y)
        count += y.numel()
    return hits / count


def regression(task: Task, features: int) -> nn.Sequential:
    """Return a linear model of the features."""
    return module_of(task, features, 1)


def train_regression(network: nn.Sequential, train: Loader, test: Loader, task: Task) -> Curves:
    """Train a linear model with SGD, maybe with a decay of its weights; evaluate both splits as often as asked.

    The loss is ``mse``, or half of it, as the book has it for linear regression.
    """
    scale = {"mse": 1.0, "half-mse": 0.5}[task.loss]
    loss = nn.MSELoss(reduction="none")
    (layer,) = network
    groups: list[Any] = [{"params": [layer.weight], "weight_decay": task.decay}, {"params": [layer.bias]}]
    trainer = torch.optim.SGD(groups, **dict(task.options))
    curves: Curves = {"train_loss": {}, "test_loss": {}}
    for epoch in range(1, task.epochs + 1):
        for x, y in train:
            trainer.zero_grad()
            (scale * loss(network(x), y)).mean().backward()
            trainer.step()
        if task.evaluates(epoch):
            curves["train_loss"][epoch] = scale * mean_loss(network, train, loss)
            curves["test_loss"][epoch] = scale * mean_loss(network, test, loss)
    return curves


@torch.no_grad()
def mean_loss(network: nn.Module, examples: Loader, loss: nn.Module) -> float:
    """Return the mean loss over all examples."""
    total, count = 0.0, 0
    for x, y in examples:
        losses = loss(network(x), y.reshape(-1, 1))
        total += float(losses.sum())
        count += losses.numel()
    return total / count
