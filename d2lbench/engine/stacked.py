"""The stacked program: M cells of one structure as one model with a leading dimension M.

Weights are kept as (M, inputs, outputs), the transpose of torch.nn's layout: then neither the forward product nor the
two products of the backward pass need a transposed copy, and gradients come out laid out like the weights.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from d2lbench.catalogue import load
from d2lbench.catalogue.layers import Activation, Dropout, Linear, Model, linears
from d2lbench.seeding import generator

if TYPE_CHECKING:
    from d2lbench.catalogue.initializers import Scale
    from d2lbench.spec import Cell, Component

DTYPES = {"float32": torch.float32, "float64": torch.float64}

#: Gives a dropout layer its factors for a batch of B: (M, B, H), 0 or 1 / (1 - p).
Masks = Callable[[Dropout, int], torch.Tensor]


@dataclass(frozen=True)
class Parameters:
    """The parameters of M cells as one block, weights first, with a view of it for every layer.

    Attributes
    ----------
    block
        (M, N): what the optimizers update; its first ``weights`` columns are weights, the others biases.
    leaves
        Views of the block that autograd differentiates by, in the order of the block's columns: every layer's weight
        (M, inputs, outputs), then every layer's bias (M, outputs).
    """

    model: Model
    block: torch.Tensor
    leaves: tuple[torch.Tensor, ...]

    @classmethod
    def of_block(cls, model: Model, block: torch.Tensor) -> Parameters:
        """Return the parameters whose numbers are those of ``block``, of shape (M, N)."""
        shapes = [(layer.inputs, layer.outputs) for layer in linears(model)]
        shapes_of_biases = [(layer.outputs,) for layer in linears(model)]
        leaves, first = [], 0
        for shape in (*shapes, *shapes_of_biases):
            size = torch.Size(shape).numel()
            columns = block[:, first : first + size].view(-1, *shape)
            leaves.append(columns.detach().requires_grad_())
            first += size
        return cls(model, block, tuple(leaves))

    @property
    def weights(self) -> tuple[torch.Tensor, ...]:
        """Every linear layer's weight, (M, inputs, outputs), from the input to the output."""
        return self.leaves[: len(self.leaves) // 2]

    @property
    def biases(self) -> tuple[torch.Tensor, ...]:
        """Every linear layer's bias, (M, outputs)."""
        return self.leaves[len(self.leaves) // 2 :]

    @property
    def weight_columns(self) -> int:
        """How many columns of the block are weights."""
        return sum(layer.inputs * layer.outputs for layer in linears(self.model))


def initial(cells: Sequence[Cell], model: Model, dtype: torch.dtype, device: str = "cpu") -> Parameters:
    """Return the parameters before the first step, each row drawn by its own cell's keys."""
    rows = torch.stack([initial_row(cell, model) for cell in cells])  # (M, N)
    return Parameters.of_block(model, rows.to(device, dtype))


def initial_row(cell: Cell, model: Model) -> torch.Tensor:
    """Return one cell's initial parameters, (N,) in float32 whatever the cell's dtype: the draw is common."""
    config: Any = cell.config
    drawn = [draw_layer(layer, config.init, cell.seed, config.replica) for layer in linears(model)]
    return torch.cat([weight.t().flatten() for weight, _ in drawn] + [bias for _, bias in drawn])


def draw_layer(layer: Linear, init: Component, seed: int, replica: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a layer's weight (outputs, inputs) and bias (outputs,): a keyed base draw times the scheme's scale."""
    scale: Scale = load().get("init", init.name).factory(layer.inputs, layer.outputs, **dict(init.options))
    weight = torch.empty(layer.outputs, layer.inputs)
    bias = torch.empty(layer.outputs)
    numbers = generator(seed, replica, "init", f"{layer.path}.weight")
    if scale.distribution == "normal":
        torch.nn.init.normal_(weight, generator=numbers)
    elif scale.distribution == "uniform":
        torch.nn.init.uniform_(weight, -1.0, 1.0, generator=numbers)
    else:
        torch.nn.init.ones_(weight)
    torch.nn.init.uniform_(bias, -1.0, 1.0, generator=generator(seed, replica, "init", f"{layer.path}.bias"))
    return weight * scale.weight, bias * scale.bias


class Stacked:
    """The forward program of a model over stacked parameters."""

    def __init__(self, model: Model) -> None:
        self.model = model
        registry = load()
        names = {layer.name for layer in model if isinstance(layer, Activation)}
        self._functions = {name: registry.get("activation", name).factory() for name in names}

    def __call__(
        self,
        parameters: Parameters,
        x: torch.Tensor,
        masks: Masks | None = None,
        hidden: list[torch.Tensor] | None = None,
    ) -> torch.Tensor:
        """Map inputs (M, B, features) to raw outputs (M, B, classes).

        ``masks`` is given in training mode only; ``hidden`` collects the output of every activation, (M, B, H).
        """
        layers = zip(parameters.weights, parameters.biases, strict=True)
        h = x.flatten(2)  # (M, B, features)
        for layer in self.model:
            if isinstance(layer, Linear):
                h = affine(h, *next(layers))
            elif isinstance(layer, Activation):
                h = self._functions[layer.name](h)
                if hidden is not None:
                    hidden.append(h)
            elif isinstance(layer, Dropout) and masks is not None:
                h = h * masks(layer, h.shape[1])
        return h


def affine(x: torch.Tensor, W: torch.Tensor, b: torch.Tensor) -> torch.Tensor:  # noqa: N803  (the paper's symbol)
    """Return x W + b: (M, B, inputs), (M, inputs, outputs), (M, outputs) → (M, B, outputs)."""
    if len(W) == 1:  # the sequential case: one plain product costs half of a batched one
        return torch.addmm(b.squeeze(0), x.squeeze(0), W.squeeze(0)).unsqueeze(0)
    return torch.baddbmm(b.unsqueeze(1), x, W)
