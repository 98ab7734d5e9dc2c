"""The ordinary interpreter: layer records as a plain ``nn.Module``, for reference, timing and export."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import nn

from d2lbench.catalogue import load
from d2lbench.catalogue.layers import (
    Activation,
    BatchNorm,
    Branches,
    Conv,
    Dropout,
    EmbeddingBag,
    Flatten,
    GlobalPool,
    Learned,
    Linear,
    Model,
    Pool,
    Residual,
)

if TYPE_CHECKING:
    from d2lbench.engine.parameters import Parameters


class Function(nn.Module):
    """An element-wise function as a module."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._function = load().get("activation", name).factory()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply it."""
        result: torch.Tensor = self._function(x)
        return result


class Sum(nn.Module):
    """The output of a body plus that of a shortcut."""

    def __init__(self, body: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.body, self.shortcut = body, shortcut

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, …) to (B, …)."""
        total: torch.Tensor = self.body(x) + self.shortcut(x)
        return total


class Joined(nn.Module):
    """The channels of several bodies side by side."""

    def __init__(self, bodies: Sequence[nn.Module]) -> None:
        super().__init__()
        self.bodies = nn.ModuleList(bodies)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, C, …) to (B, C', …)."""
        return torch.cat([body(x) for body in self.bodies], dim=1)


class Embeddings(nn.EmbeddingBag):
    """An embedding bag over tokens that come as numbers of any dtype."""

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        """Map (B, length) to (B, features)."""
        bags: torch.Tensor = super().forward(tokens.long())
        return bags


#: How to make the module of a layer that holds no others, by the layer's type.
_MAKERS: Final[Mapping[type, Callable[[Any], nn.Module]]] = {
    Linear: lambda layer: (ScratchLinear if layer.scratch else nn.Linear)(layer.inputs, layer.outputs),
    Conv: lambda layer: nn.Conv2d(
        layer.inputs, layer.outputs, layer.kernel, layer.stride, layer.padding, bias=layer.bias
    ),
    BatchNorm: lambda layer: (nn.BatchNorm2d if layer.spatial else nn.BatchNorm1d)(
        layer.features, eps=layer.eps, momentum=layer.momentum
    ),
    EmbeddingBag: lambda layer: Embeddings(layer.count, layer.features, mode="mean"),
    Activation: lambda layer: Function(layer.name),
    Pool: lambda layer: (nn.MaxPool2d if layer.kind == "max" else nn.AvgPool2d)(
        layer.kernel, layer.stride, layer.padding
    ),
    Flatten: lambda _: nn.Flatten(),
    GlobalPool: lambda _: nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
}


def module(model: Model, dropout: Callable[[Dropout], nn.Module] | None = None) -> nn.Sequential:
    """Return a model as a plain module; ``dropout`` makes what stands at dropout's places, else they are left out."""
    named: OrderedDict[str, nn.Module] = OrderedDict()
    for layer in model:
        made: nn.Module
        if isinstance(layer, Dropout):
            if dropout is None:
                continue
            made = dropout(layer)
        elif isinstance(layer, Residual):
            made = Sum(module(layer.body, dropout), module(layer.shortcut, dropout))
        elif isinstance(layer, Branches):
            made = Joined([module(body, dropout) for body in layer.bodies])
        else:
            made = _MAKERS[type(layer)](layer)
        name = f"{type(layer).__name__.lower()}{len(named)}"
        named[layer.path.replace(".", "_") if isinstance(layer, Learned) else name] = made  # names hold no dots
    return nn.Sequential(named)


def pairs(model: Model, network: nn.Sequential) -> Iterator[tuple[Learned, nn.Module]]:
    """Iterate over the layers that learn, each with its module in a network built from these records."""
    layers = (layer for layer in model if not isinstance(layer, Dropout))
    children = (child for name, child in network.named_children() if not name.startswith("dropout"))
    for layer, child in zip(layers, children, strict=True):
        if isinstance(layer, Residual):
            yield from pairs(layer.body, child.body)  # type: ignore[arg-type]
            yield from pairs(layer.shortcut, child.shortcut)  # type: ignore[arg-type]
        elif isinstance(layer, Branches):
            for body, part in zip(layer.bodies, child.bodies, strict=True):  # type: ignore[arg-type]
                yield from pairs(body, part)
        elif isinstance(layer, Learned):
            yield layer, child


def packed_row(parameters: Parameters, row: int) -> bytes:
    """Return one row of stacked parameters as a safetensors file, named as :func:`module` names them."""
    from safetensors.torch import save

    network = module(parameters.model)
    load_row(network, parameters, row)
    return save({name: tensor.contiguous() for name, tensor in network.state_dict().items()})


@torch.no_grad()
def load_row(network: nn.Sequential, parameters: Parameters, row: int) -> None:
    """Copy one row of stacked parameters into a module built from the same records, and take over its dtype."""
    network.to(parameters.block.dtype)
    for layer, part in pairs(parameters.model, network):
        for parameter in layer.parameters:
            values = parameters.leaves[parameter.path][row]
            transposed = isinstance(layer, Linear) and parameter.is_weight
            part.get_parameter(parameter.path.rpartition(".")[2]).copy_(values.t() if transposed else values)
        if isinstance(layer, BatchNorm):
            for name in ("running_mean", "running_var"):
                part.get_buffer(name).copy_(parameters.buffers[f"{layer.path}.{name}"][row])


class ScratchLinear(nn.Module):
    """``x W^T + b`` as a product and a sum (Dive into Deep Learning, sections 3.4 and 5.2.1)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) * 0.01)
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, inputs) to (B, outputs)."""
        return torch.matmul(x, self.weight.t()) + self.bias


class ScratchDropout(nn.Module):
    """Dropout as a comparison, a product and a division (Dive into Deep Learning, section 5.6.2)."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, …) to (B, …); the identity in evaluation mode."""
        if not self.training or self.p == 0:
            return x
        if self.p == 1:
            return torch.zeros_like(x)
        mask = (torch.rand_like(x) > self.p).to(x.dtype)
        return mask * x / (1 - self.p)


def softmax(outputs: torch.Tensor) -> torch.Tensor:
    """Return exponentials over their sum, (…, K) → (…, K); overflows for outputs near 89 (section 4.4.1)."""
    exponentials = torch.exp(outputs)
    return exponentials / exponentials.sum(-1, keepdim=True)


def cross_entropy(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the mean of -log softmax(o)[y]: outputs (B, K), labels (B,) (section 4.4.3)."""
    return -torch.log(softmax(outputs)[torch.arange(len(outputs)), labels]).mean()


def l2_penalty(w: torch.Tensor) -> torch.Tensor:
    """Return half the squared norm (section 3.7.3.2)."""
    return (w**2).sum() / 2
