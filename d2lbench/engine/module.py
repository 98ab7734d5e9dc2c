"""The ordinary interpreter: layer records as a plain ``nn.Module``, for reference, timing and export."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import nn

from d2lbench.catalogue import load
from d2lbench.catalogue.layers import Activation, Dropout, Flatten, Layer, Linear, Model

if TYPE_CHECKING:
    from d2lbench.engine.stacked import Parameters

#: Gives the uniforms (B, H) that a dropout layer compares with its rate.
Provider = Callable[[Dropout, int], torch.Tensor]


class Function(nn.Module):
    """An element-wise function as a module."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self._function = load().get("activation", name).factory()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply it."""
        result: torch.Tensor = self._function(x)
        return result

    def extra_repr(self) -> str:
        """Say which function it is."""
        return self.name


class InjectedDropout(nn.Module):
    """Dropout whose uniforms come from outside: a unit is kept where u ≥ p and then divided by 1 - p."""

    def __init__(self, layer: Dropout, p: float, uniforms: Provider) -> None:
        super().__init__()
        self.p, self._layer, self._uniforms = p, layer, uniforms

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, H) to (B, H); the identity in evaluation mode."""
        if not self.training:
            return x
        kept = self._uniforms(self._layer, len(x)) >= torch.tensor(self.p, dtype=torch.float32)
        return x * kept / (1 - self.p)


def module(model: Model, rates: Sequence[float] = (), uniforms: Provider | None = None) -> nn.Sequential:
    """Return a model as a plain module.

    ``rates`` are the dropout rates, one for every place, or none at all: then the places are left out. Without
    ``uniforms`` they are torch's own dropout.
    """
    named: OrderedDict[str, nn.Module] = OrderedDict()
    for layer in model:
        if not isinstance(layer, Dropout) or rates:
            named[_name(layer, len(named))] = _module_of(layer, rates, uniforms)
    return nn.Sequential(named)


def _name(layer: Layer, position: int) -> str:
    if isinstance(layer, Linear):
        return layer.path
    return f"{type(layer).__name__.lower()}{position}"


def _module_of(layer: Layer, rates: Sequence[float], uniforms: Provider | None) -> nn.Module:
    if isinstance(layer, Flatten):
        return nn.Flatten()
    if isinstance(layer, Linear):
        return nn.Linear(layer.inputs, layer.outputs)
    if isinstance(layer, Activation):
        return Function(layer.name)
    p = rates[layer.index]
    return nn.Dropout(p) if uniforms is None else InjectedDropout(layer, p, uniforms)


def packed_row(parameters: Parameters, row: int) -> bytes:
    """Return one row of stacked parameters as a safetensors file, named as :func:`module` names them."""
    from safetensors.torch import save

    network = module(parameters.model)
    load_row(network, parameters, row)
    return save({name: tensor.contiguous() for name, tensor in network.state_dict().items()})


@torch.no_grad()
def load_row(network: nn.Module, parameters: Parameters, row: int) -> None:
    """Copy one row of stacked parameters into a module built from the same records, and take over its dtype."""
    network.to(parameters.block.dtype)
    layers = [part for part in network.modules() if isinstance(part, nn.Linear)]
    for linear, W, b in zip(layers, parameters.weights, parameters.biases, strict=True):  # noqa: N806
        linear.weight.copy_(W[row].t())
        linear.bias.copy_(b[row])
