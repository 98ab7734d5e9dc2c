"""What torch itself offers for stacks: torch.func's stack_module_state and vmap, for cells of SGD with own rates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch.func import functional_call, grad, stack_module_state, vmap

from benchmarks.versus.networks import loss_of, module_of

if TYPE_CHECKING:
    from benchmarks.versus.tasks import Data, Task


class Ensemble:
    """M cells of one structure, each with its own data, order and learning rate; plain SGD."""

    def __init__(
        self,
        tasks: Sequence[Task],
        data: Sequence[Data],
        starts: Sequence[Sequence[torch.Tensor]] | None = None,
    ) -> None:
        self.tasks = tasks
        self.x = torch.stack([each["train"][0] for each in data])  # (M, n, features)
        self.y = torch.stack([each["train"][1] for each in data])  # (M, n)
        networks = [module_of(task, self.x.shape[2], 10) for task in tasks]
        if starts is not None:
            with torch.no_grad():
                for network, start in zip(networks, starts, strict=True):
                    for parameter, value in zip(network.parameters(), start, strict=True):
                        parameter.copy_(value)
        parameters, _ = stack_module_state(networks)
        self.parameters = {name: value.detach() for name, value in parameters.items()}
        rates = torch.tensor([task.options["lr"] for task in tasks], dtype=self.x.dtype)
        self._rates = {name: -rates.view(-1, *[1] * (p.ndim - 1)) for name, p in self.parameters.items()}
        base, loss = networks[0].to("meta"), loss_of(tasks[0])

        def loss_at(parameters: dict[str, torch.Tensor], x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return loss(functional_call(base, parameters, (x,)), y)

        self._gradients = vmap(grad(loss_at))

    def train_epoch(self, orders: torch.Tensor) -> None:
        """Take one step for every batch; ``orders`` (M, n) are the rows of an epoch."""
        rows = torch.arange(len(orders))[:, None]
        for batch in torch.split(orders, self.tasks[0].batch_size, dim=1):
            gradients = self._gradients(self.parameters, self.x[rows, batch], self.y[rows, batch])
            for name, parameter in self.parameters.items():
                parameter.addcmul_(gradients[name], self._rates[name])
