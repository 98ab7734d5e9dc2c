"""One row trained by torch's own optimizer object: for what needs a closure, or sparse gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from d2lbench.catalogue import load
from d2lbench.catalogue.optimizers import Unstacked

if TYPE_CHECKING:
    from d2lbench.core.spec import Component
    from d2lbench.engine.parameters import Parameters

#: Computes at the present parameters the loss (M,), the penalties on it (M,), and the gradients of both by leaf.
Compute = Callable[[], tuple[torch.Tensor, torch.Tensor, tuple[torch.Tensor, ...]]]


def unstacked(optimizer: Component) -> Unstacked | None:
    """Return the torch optimizer behind a component, or None where it works by rows."""
    found = load().get("optimizer", optimizer.name).factory(**dict(optimizer.options))
    return found if isinstance(found, Unstacked) else None


class Borrowed:
    """A torch optimizer over the leaves of a stack of one."""

    def __init__(self, optimizer: Unstacked, parameters: Parameters) -> None:
        self._optimizer, self._parameters = optimizer, parameters
        self._rates: list[float] = []
        self.rebuild()

    @property
    def sparse(self) -> bool:
        """Whether it wants sparse gradients."""
        return self._optimizer.sparse

    def rebuild(self) -> None:
        """Build the optimizer anew: its state is lost."""
        self._torch = self._optimizer.make(list(self._parameters.leaves.values()))

    def snapshot(self) -> dict[str, Any]:
        """Return what the next steps depend on, as torch tells it."""
        return self._torch.state_dict()

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Take over a snapshot."""
        self._torch.load_state_dict(snapshot)

    def begin(self, rates: torch.Tensor) -> None:
        """Take over an epoch's rates, (T, 1)."""
        self._rates = rates[:, 0].tolist()

    def step(self, compute: Compute, t: int) -> torch.Tensor:
        """Take step t of the epoch (from 0) and return the loss (1,) before it, penalties left out.

        The optimizer is told the sum of both: a line search compares it with what the gradients promise.
        """
        for group in self._torch.param_groups:
            group["lr"] = self._rates[t]
        losses: list[torch.Tensor] = []

        def closure() -> float:
            loss, penalty, gradients = compute()
            losses.append(loss)
            for leaf, gradient in zip(self._parameters.leaves.values(), gradients, strict=True):
                leaf.grad = gradient.to_sparse(2) if self.sparse and not gradient.is_sparse else gradient
            return float((loss + penalty).sum())

        with torch.enable_grad():
            self._torch.step(closure)
        for leaf in self._parameters.leaves.values():
            leaf.grad = None
        return losses[0]
