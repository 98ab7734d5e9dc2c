"""The parameters of a stack: one block for the optimizers, with a view of it for every layer, and how they begin."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import torch

from d2lbench.catalogue import load
from d2lbench.catalogue.layers import Model, Parameter, linears, norms, parameters
from d2lbench.core.generators import generator
from d2lbench.core.spec import Config

if TYPE_CHECKING:
    from d2lbench.catalogue.initializers import Scale
    from d2lbench.core.spec import Cell, Component

DTYPES = {"float32": torch.float32, "float64": torch.float64}
#: What a scheme's scale multiplies: draws of variance 1 or within ±1, or ones.
_BASE_DRAWS: Final[Mapping[str, Callable[..., torch.Tensor]]] = {
    "normal": torch.nn.init.normal_,
    "uniform": functools.partial(torch.nn.init.uniform_, a=-1.0, b=1.0),
    "orthogonal": torch.nn.init.orthogonal_,
    "constant": lambda values, generator: values.fill_(1.0),  # noqa: ARG005  (draws nothing)
}


@dataclass(frozen=True)
class Parameters:
    """The parameters of M cells as one block, weights first, with a view of it for every layer.

    Attributes
    ----------
    block
        (M, N): what the optimizers update; its first ``weight_columns`` columns are weights, the others biases and
        the scales and shifts of batch norms.
    leaves
        Views of the block that autograd differentiates by, under their paths and in the order of the block's columns.
    buffers
        Running means and variances of batch norms, (M, features), under their paths.
    """

    model: Model
    block: torch.Tensor
    leaves: Mapping[str, torch.Tensor]
    buffers: Mapping[str, torch.Tensor] = field(default_factory=dict)

    @classmethod
    def of_block(
        cls, model: Model, block: torch.Tensor, buffers: Mapping[str, torch.Tensor] | None = None
    ) -> Parameters:
        """Return the parameters whose numbers are those of ``block``, of shape (M, N)."""
        transposed = {f"{layer.path}.weight" for layer in linears(model)}
        leaves, first = {}, 0
        for parameter in parameters(model):
            shape = parameter.shape[::-1] if parameter.path in transposed else parameter.shape
            size = math.prod(shape)
            leaves[parameter.path] = block[:, first : first + size].view(-1, *shape).detach().requires_grad_()
            first += size
        return cls(model, block, leaves, fresh_buffers(model, block) if buffers is None else buffers)

    @property
    def weights(self) -> tuple[torch.Tensor, ...]:
        """Every layer's weight, (M, inputs, outputs) of a linear one, from the input to the output."""
        return tuple(self.leaves[parameter.path] for parameter in parameters(self.model) if parameter.is_weight)

    @property
    def hidden_weights(self) -> tuple[torch.Tensor, ...]:
        """The weights (M, inputs, outputs) of all linear layers but the last."""
        return tuple(self.leaves[f"{layer.path}.weight"] for layer in linears(self.model)[:-1])

    @property
    def weight_columns(self) -> int:
        """How many columns of the block are weights."""
        return sum(math.prod(parameter.shape) for parameter in parameters(self.model) if parameter.is_weight)

    def turned(self) -> Parameters:
        """Return the same numbers with copies of the linear weights that lie unit by unit: for many products."""
        turned = {f"{layer.path}.weight" for layer in linears(self.model)}
        leaves = {path: leaf.mT.contiguous().mT if path in turned else leaf for path, leaf in self.leaves.items()}
        return replace(self, leaves=leaves)

    def with_rows(self, rows: torch.Tensor) -> Parameters:
        """Return the same network at another block (M, N), sharing the buffers."""
        return Parameters.of_block(self.model, rows, self.buffers)


def fresh_buffers(model: Model, block: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return every batch norm's running mean 0 and variance 1, (M, features)."""
    buffers = {}
    for layer in norms(model):
        buffers[f"{layer.path}.running_mean"] = block.new_zeros(len(block), layer.features)
        buffers[f"{layer.path}.running_var"] = block.new_ones(len(block), layer.features)
    return buffers


def initial(cells: Sequence[Cell], model: Model, dtype: torch.dtype, device: str = "cpu") -> Parameters:
    """Return the parameters before the first step, each row drawn by its own cell's keys."""
    rows = torch.stack([initial_row(cell, model) for cell in cells])  # (M, N)
    return Parameters.of_block(model, rows.to(device, dtype))


def initial_row(cell: Cell, model: Model) -> torch.Tensor:
    """Return one cell's initial parameters, (N,) in float32 whatever the cell's dtype: the draw is common."""
    assert isinstance(cell.config, Config)
    transposed = {f"{layer.path}.weight" for layer in linears(model)}
    row = []
    for parameter in parameters(model):
        values = draw(parameter, cell.config.init, cell.seed, cell.config.replica)
        row.append((values.t() if parameter.path in transposed else values).flatten())
    return torch.cat(row)


def draw(parameter: Parameter, init: Component, seed: int, replica: int) -> torch.Tensor:
    """Return a parameter's first values in torch.nn's layout: a keyed base draw times the scheme's scale."""
    values = torch.empty(parameter.shape)
    if parameter.role in ("scale", "shift"):
        return values.fill_(1.0 if parameter.role == "scale" else 0.0)
    numbers = generator(seed, replica, "init", parameter.path)
    if parameter.role == "embedding":  # N(0, 1), as torch.nn.EmbeddingBag begins: schemes speak of sums over inputs
        return torch.nn.init.normal_(values, generator=numbers)
    scale: Scale = load().get("init", init.name).factory(parameter.fan_in, parameter.fan_out, **dict(init.options))
    if parameter.role == "bias":
        return _BASE_DRAWS["uniform"](values, generator=numbers) * scale.bias
    return _BASE_DRAWS[scale.distribution](values, generator=numbers) * scale.weight
