"""What happens to the gradients of a stack: penalties are added, then every optimizer moves its own rows.

What needs a closure or sparse gradients trains one row, by torch's own optimizer object.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from d2lbench.catalogue import load
from d2lbench.catalogue.optimizers import Unstacked
from d2lbench.core.spec import configs
from d2lbench.engine.plan import family_of, regularization_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from d2lbench.catalogue.optimizers import Family
    from d2lbench.core.spec import Cell, Component
    from d2lbench.engine.parameters import Parameters


#: Computes at the present parameters the loss (M,), the penalties on it (M,), and the gradients of both by leaf.
Compute = Callable[[], tuple[torch.Tensor, torch.Tensor, tuple[torch.Tensor, ...]]]


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
        self.state = {slot: self._blank(value) for slot, value in self.family.slots.items()}
        self._built = torch.zeros(len(optimizers), 1, dtype=torch.float64, device=block.device)  # steps before it
        self._steps: list[dict[str, torch.Tensor]] = []

    def _blank(self, value: str | float) -> torch.Tensor:
        """Return a slot's first value, (m, N)."""
        first: Any = self._hyper[value].to(self.parameters.dtype) if isinstance(value, str) else value
        blank: torch.Tensor = torch.zeros_like(self.parameters) + first
        return blank

    @property
    def averages(self) -> bool:
        """Whether the networks are to be judged at an average instead of at the parameters."""
        return self.family.averaged is not None and bool(self._steps)

    def rebuild(self, rows: Sequence[int], steps: int) -> None:
        """Build the optimizer of some rows (of the stack) anew after that many steps: its state is lost."""
        own = [row - self.rows.start for row in rows if self.rows.start <= row < self.rows.stop]
        if own:
            for slot, value in self.family.slots.items():
                self.state[slot][own] = self._blank(value)[own]
            self._built[own] = steps

    def snapshot(self) -> dict[str, Any]:
        """Return what the next steps depend on."""
        return {"state": self.state, "built": self._built}

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Take over a snapshot."""
        for slot, values in self.state.items():
            values.copy_(snapshot["state"][slot])
        self._built.copy_(snapshot["built"])

    def begin(self, rates: torch.Tensor, first_step: int) -> None:
        """Prepare the numbers of an epoch's steps: ``rates`` (T, M) in float64; steps count from 1.

        Everything is computed in float64 and cast once, and a step then only picks its part: the small tensors of
        every step would otherwise cost more than the update of a small model.
        """
        dtype, steps = self.parameters.dtype, len(rates)
        hyper = {**self._hyper, "lr": rates[:, self.rows, None]}  # (T, m, 1)
        step = torch.arange(first_step, first_step + steps, dtype=torch.float64, device=rates.device)  # (T,)
        varying = {"lr": hyper["lr"], **self.family.per_step(hyper, step[:, None, None] - self._built)}
        constant = {name: value.to(dtype) for name, value in self._hyper.items()}  # (m, 1) each
        unbound = {name: value.to(dtype).expand(steps, -1, 1).unbind(0) for name, value in varying.items()}  # T of them
        self._steps = [constant | {name: value[t] for name, value in unbound.items()} for t in range(steps)]

    def update(self, gradients: torch.Tensor, t: int) -> None:
        """Move the rows by step t of the epoch (from 0), given the gradients (M, N) of all rows."""
        self.family.update(self.parameters, gradients[self.rows], self.state, self._steps[t])


def optimizers(cells: Sequence[Cell], parameters: Parameters) -> tuple[list[FamilyRows], Borrowed | None]:
    """Return the optimizer families of the cells, one for each run of neighbouring rows; or torch's own of one cell."""
    named = [config.optimizer for config in configs(cells)]
    first = named[0]
    alone = load().get("optimizer", first.name).factory(**dict(first.options))
    if isinstance(alone, Unstacked):
        return [], Borrowed(alone, parameters)
    families, begin = [], 0
    for _, run in itertools.groupby(named, key=family_of):
        own = list(run)
        families.append(FamilyRows(slice(begin, begin + len(own)), own, parameters.block))
        begin += len(own)
    return families, None


def evaluated_block(families: Sequence[FamilyRows], block: torch.Tensor, returned: NDArray[np.bool_]) -> torch.Tensor:
    """Return the parameters at which the networks are judged, (M, N): an averaging optimizer's rows at its average.

    But not those rows, ``returned`` (M,), that early stopping has put back to their best average.
    """
    averaging = [each for each in families if each.averages]
    if not averaging:
        return block
    shown = block.clone()
    for each in averaging:
        shown[each.rows] = each.state[str(each.family.averaged)]
    back = np.flatnonzero(returned).tolist()
    shown[back] = block[back]
    return shown


class Penalties:
    """What changes gradients before the optimizer sees them: penalties of the loss, clipping, the optimizer's decay.

    Penalties give λ·sign(w) for l1 and λ·w for l2, of the weights, or of the biases too; clipping scales a cell's
    whole gradient down to a norm (Pascanu et al. 2013; book section 9.5.3); a decay, λ·w, comes after clipping.
    """

    def __init__(self, cells: Sequence[Cell], parameters: Parameters) -> None:
        trained = configs(cells)
        bounds = [config.clip_norm for config in trained if config.clip_norm is not None]  # one structure: all or none
        numbers = [regularization_of(config) for config in trained]
        block = parameters.block
        columns = block.shape[1] if numbers[0].get("bias") else parameters.weight_columns
        self._columns = slice(0, columns)
        self._w = block[:, self._columns]

        def column(values: list[float]) -> torch.Tensor:
            return torch.tensor(values, dtype=torch.float64)[:, None].to(block.device, block.dtype)  # (M, 1)

        self._strengths = {
            kind: column([row[kind] for row in numbers]) for kind in ("l1", "l2", "decay") if kind in numbers[0]
        }
        self._most = column(bounds) if bounds else None

    def apply(self, gradients: torch.Tensor) -> None:
        """Turn the gradients of the loss (M, N) into what the optimizers get, in place."""
        for kind in ("l1", "l2"):
            self._add(kind, gradients)
        if self._most is not None:
            norms = torch.linalg.vector_norm(gradients, dim=1, keepdim=True)  # (M, 1)
            gradients.mul_((self._most / (norms + 1e-6)).clamp_(max=1.0))  # 1e-6 as in torch.nn.utils
        self._add("decay", gradients)

    def sizes(self) -> torch.Tensor:
        """Return what the penalties and the decay add to each cell's loss, (M,): λ·Σ|w| and λ/2·Σw²."""
        total = self._w.new_zeros(len(self._w))
        for kind, strength in self._strengths.items():
            size = self._w.abs().sum(1) if kind == "l1" else self._w.square().sum(1) / 2
            total += strength[:, 0] * size
        return total

    def _add(self, kind: str, gradients: torch.Tensor) -> None:
        if kind in self._strengths:
            direction = self._w.sign() if kind == "l1" else self._w
            gradients[:, self._columns].addcmul_(direction, self._strengths[kind])


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
