"""What happens to the gradients of a stack: penalties are added, then every optimizer moves its own rows."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import torch

from d2lbench.catalogue import load
from d2lbench.engine.plan import family_of, regularization_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from d2lbench.catalogue.optimizers import Family
    from d2lbench.engine.stacked import Parameters
    from d2lbench.spec import Cell, Component


def float_options(optimizer: Component) -> dict[str, float]:
    """Return an optimizer's real options by name; those of a tuple as ``betas.0``, ``betas.1``."""
    flat: dict[str, float] = {}
    for name, value in optimizer.options:
        if isinstance(value, tuple):
            flat |= {f"{name}.{index}": float(item) for index, item in enumerate(value)}  # type: ignore[arg-type]
        elif isinstance(value, float):
            flat[name] = value
    return flat


class FamilyRows:
    """The rows of one optimizer family: a slice of the block, its options (m, 1) and its state (m, N)."""

    def __init__(self, rows: slice, optimizers: Sequence[Component], block: torch.Tensor) -> None:
        self.rows = rows
        self.parameters = block[rows]  # (m, N), a view
        first = optimizers[0]
        self.family: Family = load().get("optimizer", first.name).factory(**dict(first.options))
        columns = [float_options(optimizer) for optimizer in optimizers]
        self._hyper = {
            name: torch.tensor([[column[name]] for column in columns], dtype=torch.float64, device=block.device)
            for name in columns[0]
        }
        blank = torch.zeros_like(self.parameters)
        self.state = {slot: blank + self._first(value) for slot, value in self.family.slots.items()}
        self._steps: list[dict[str, torch.Tensor]] = []

    def _first(self, value: str | float) -> Any:
        return self._hyper[value].to(self.parameters.dtype) if isinstance(value, str) else value

    def begin(self, rates: torch.Tensor, first_step: int) -> None:
        """Prepare the numbers of an epoch's steps: ``rates`` (T, M) in float64; steps count from 1.

        Everything is computed in float64 and cast once, and a step then only picks its part: the small tensors of
        every step would otherwise cost more than the update of a small model.
        """
        dtype, steps = self.parameters.dtype, len(rates)
        hyper = {**self._hyper, "lr": rates[:, self.rows, None]}  # (T, m, 1)
        step = torch.arange(first_step, first_step + steps, dtype=torch.float64, device=rates.device)
        varying = {"lr": hyper["lr"], **self.family.per_step(hyper, step[:, None, None])}
        constant = {name: value.to(dtype) for name, value in self._hyper.items()}
        unbound = {name: value.to(dtype).expand(steps, -1, 1).unbind(0) for name, value in varying.items()}
        self._steps = [constant | {name: value[t] for name, value in unbound.items()} for t in range(steps)]

    def update(self, gradients: torch.Tensor, t: int) -> None:
        """Move the rows by step t of the epoch (from 0), given the gradients (M, N) of all rows."""
        self.family.update(self.parameters, gradients[self.rows], self.state, self._steps[t])


def families(cells: Sequence[Cell], block: torch.Tensor) -> list[FamilyRows]:
    """Return the optimizer families of the cells, one for every run of neighbouring rows."""
    return [FamilyRows(rows, optimizers, block) for rows, optimizers in _runs(cells)]


def _runs(cells: Sequence[Cell]) -> Iterator[tuple[slice, list[Component]]]:
    configs: list[Any] = [cell.config for cell in cells]
    first = 0
    for _, run in itertools.groupby(configs, key=lambda config: family_of(config.optimizer)):
        optimizers = [config.optimizer for config in run]
        yield slice(first, first + len(optimizers)), optimizers
        first += len(optimizers)


class Penalties:
    """Gradients of the penalties: λ·sign(w) for l1, λ·w for l2; of the weights, or of the biases too."""

    def __init__(self, cells: Sequence[Cell], parameters: Parameters) -> None:
        numbers: list[Mapping[str, Any]] = [regularization_of(cell.config) for cell in cells]  # type: ignore[arg-type]
        block = parameters.block
        columns = block.shape[1] if numbers[0].get("bias") else parameters.weight_columns
        self._columns = slice(0, columns)
        self._w = block[:, self._columns]
        self._strengths = {
            kind: torch.tensor([[row[kind]] for row in numbers], dtype=torch.float64).to(block.device, block.dtype)
            for kind in ("l1", "l2")
            if kind in numbers[0]
        }

    def add_to(self, gradients: torch.Tensor) -> None:
        """Add the penalties' gradients to those of the loss, (M, N), in place."""
        for kind, strength in self._strengths.items():
            direction = self._w.sign() if kind == "l1" else self._w
            gradients[:, self._columns].addcmul_(direction, strength)
