"""The best plain loop that we know: one cell after the other, the data in memory, torch.nn.functional, torch.optim.

What a good engineer would write: tensors are prepared once; an epoch draws one permutation; nothing is read back from
a step; optimizers update all tensors in one call; evaluation takes large batches under inference_mode.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch

from benchmarks.versus.networks import forward_of, loss_of, module_of

if TYPE_CHECKING:
    from benchmarks.versus.tasks import Data, Task

#: Training inputs up to this many bytes are shuffled once an epoch and cut into views; larger ones batch by batch.
SHUFFLED_AT_ONCE = 4 * 2**20
#: How many examples an evaluation takes at once.
EVALUATED = 10_000

OPTIMIZERS: dict[str, type[torch.optim.Optimizer]] = {
    "sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "adamax": torch.optim.Adamax,
    "adagrad": torch.optim.Adagrad, "rmsprop": torch.optim.RMSprop, "adadelta": torch.optim.Adadelta,
}  # fmt: skip

#: What a way of updating the tensors asks of torch.optim.
WAYS: dict[str, dict[str, Any]] = {
    "foreach": {"foreach": True},
    "fused": {"fused": True},
    "one by one": {"foreach": False},
}
#: Which rows make up an epoch: epoch (from 1) → permutation (n,).
Order = Callable[[int], torch.Tensor]
Curves = dict[str, dict[int, float]]


class Resident:
    """The training of one cell; ``start`` and ``order`` replace torch's own draws, for tests."""

    def __init__(
        self,
        task: Task,
        data: Data,
        *,
        way: str = "foreach",
        start: Sequence[torch.Tensor] | None = None,
        order: Order | None = None,
    ) -> None:
        self.task, self.data = task, data
        x, y = data["train"]
        self.classes = 10 if not y.is_floating_point() else 0
        network = module_of(task, x.shape[1], self.classes or 1)
        self.parameters = [p.detach() for p in network.parameters()]
        for parameter, value in zip(self.parameters, start or (), strict=bool(start)):
            parameter.copy_(value)
        for parameter in self.parameters:
            parameter.requires_grad_()
        self.optimizer = optimizer_of(task, self.parameters, way)
        self.forward, self.loss = forward_of(task), loss_of(task)
        self._order = order or (lambda _: torch.randperm(len(y)))

    def train(self) -> Curves:
        """Train to the last epoch and return each split's loss and accuracy by epoch."""
        curves: Curves = {}
        self.evaluate(0, curves)
        for epoch in range(1, self.task.epochs + 1):
            self.train_epoch(epoch)
            if self.task.evaluates(epoch):
                self.evaluate(epoch, curves)
        return curves

    def train_epoch(self, epoch: int) -> None:
        """Take one step for every batch."""
        for x, y in self._batches(self._order(epoch)):
            self.optimizer.zero_grad()
            self.loss(self.forward(self.parameters, x), y).backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()

    def _batches(self, order: torch.Tensor) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        x, y = self.data["train"]
        size = self.task.batch_size
        if x.nbytes <= SHUFFLED_AT_ONCE:
            return zip(torch.split(x[order], size), torch.split(y[order], size), strict=True)
        return ((x[rows], y[rows]) for rows in torch.split(order, size))

    @torch.inference_mode()
    def evaluate(self, epoch: int, curves: Curves) -> None:
        """Note the mean loss of every split that is due and, where there are classes, the share of hits."""
        for name, (x, y) in self.data.items():
            if name == "train" and not self.task.evaluates_training(epoch):
                continue
            outputs = torch.cat([self.forward(self.parameters, part) for part in torch.split(x, EVALUATED)])
            curves.setdefault(f"{name}_loss", {})[epoch] = float(self.loss(outputs, y))
            if self.classes:
                curves.setdefault(f"{name}_accuracy", {})[epoch] = int((outputs.argmax(1) == y).sum()) / len(y)


def optimizer_of(task: Task, parameters: Sequence[torch.Tensor], way: str) -> torch.optim.Optimizer:
    """Return torch's optimizer for a task; weights decay, biases do not."""
    options: dict[str, Any] = dict(task.options)
    how = WAYS[way]
    if not task.decay:
        return OPTIMIZERS[task.optimizer](list(parameters), **options, **how)
    weights: dict[str, Any] = {"params": [p for p in parameters if p.ndim > 1], "weight_decay": task.decay}
    biases: dict[str, Any] = {"params": [p for p in parameters if p.ndim == 1]}
    return OPTIMIZERS[task.optimizer]([weights, biases], **options, **how)
