"""A model is data: records of layers, from which two interpreters make a module or a stacked program."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias


@dataclass(frozen=True)
class Parameter:
    """One block of numbers that a layer learns.

    Attributes
    ----------
    path
        Its name in the model, ``hidden1.weight``: what keys its initial draw.
    shape
        Its shape in ``torch.nn``'s layout, (outputs, inputs, …).
    role
        ``weight`` is drawn by the cell's initializer and penalized; ``embedding`` is drawn from N(0, 1) and
        penalized; ``bias`` is drawn by the initializer; a batch norm's ``scale`` starts at 1 and its ``shift`` at 0.
    fan_in, fan_out
        How many inputs a unit sums over, and how many units an input feeds; of the layer's weight for its bias.
    """

    path: str
    shape: tuple[int, ...]
    role: Literal["weight", "embedding", "bias", "scale", "shift"]
    fan_in: int = 1
    fan_out: int = 1

    @property
    def is_weight(self) -> bool:
        """Whether it multiplies: what norms are taken of and penalties fall on."""
        return self.role in ("weight", "embedding")


@dataclass(frozen=True)
class Flatten:
    """Turns ``(B, *shape)`` into ``(B, features)``."""


@dataclass(frozen=True)
class Linear:
    """``x W^T + b`` with W of shape (outputs, inputs); ``path`` keys its initial draw.

    ``scratch`` spells it as a product and a sum, as the book does by hand, instead of the framework's one call.
    """

    path: str
    inputs: int
    outputs: int
    scratch: bool = False

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Weight and bias."""
        return _weight_and_bias(self.path, (self.outputs, self.inputs), self.inputs, self.outputs, bias=True)


@dataclass(frozen=True)
class Conv:
    """Cross-correlation over images (inputs, height, width) with square kernels (Dive into Deep Learning, 7.2)."""

    path: str
    inputs: int
    outputs: int
    kernel: int
    stride: int = 1
    padding: int = 0
    bias: bool = True

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Weight (outputs, inputs, kernel, kernel) and, where it has one, bias."""
        area = self.kernel**2
        shape = (self.outputs, self.inputs, self.kernel, self.kernel)
        return _weight_and_bias(self.path, shape, self.inputs * area, self.outputs * area, bias=self.bias)


def _weight_and_bias(
    path: str, shape: tuple[int, ...], fan_in: int, fan_out: int, *, bias: bool
) -> tuple[Parameter, ...]:
    weight = Parameter(f"{path}.weight", shape, "weight", fan_in, fan_out)
    return (weight, Parameter(f"{path}.bias", shape[:1], "bias", fan_in, fan_out)) if bias else (weight,)


@dataclass(frozen=True)
class BatchNorm:
    """Batch normalization of features, or of an image's channels (Ioffe and Szegedy 2015; book section 8.5)."""

    path: str
    features: int
    spatial: bool = False
    momentum: float = 0.1
    eps: float = 1e-5

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Scale γ and shift β."""
        scale = Parameter(f"{self.path}.weight", (self.features,), "scale")
        return (scale, Parameter(f"{self.path}.bias", (self.features,), "shift"))


@dataclass(frozen=True)
class EmbeddingBag:
    """The mean of the ``features`` learned numbers of every token in a bag; tokens are 0 to ``count`` - 1."""

    path: str
    count: int
    features: int

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """One row for every token."""
        return (Parameter(f"{self.path}.weight", (self.count, self.features), "embedding"),)


@dataclass(frozen=True)
class Activation:
    """An element-wise function, by its registered name."""

    name: str


@dataclass(frozen=True)
class Dropout:
    """A place where units may be dropped: ``index`` counts hidden layers from 0; the rate is data of the cell."""

    index: int
    width: int


@dataclass(frozen=True)
class Pool:
    """The maximum or the average over windows of an image (Dive into Deep Learning, section 7.5)."""

    kind: Literal["max", "average"]
    kernel: int
    stride: int
    padding: int = 0


@dataclass(frozen=True)
class GlobalPool:
    """The average of each channel over the whole image, as a vector."""


@dataclass(frozen=True)
class Residual:
    """``body(x) + shortcut(x)``; an empty shortcut is the identity (He et al. 2016; book section 8.6)."""

    body: Model
    shortcut: Model = ()


@dataclass(frozen=True)
class Branches:
    """Several bodies side by side, their channels joined (Szegedy et al. 2015; book section 8.4)."""

    bodies: tuple[Model, ...]


Learned: TypeAlias = Linear | Conv | BatchNorm | EmbeddingBag
Layer: TypeAlias = "Flatten | Activation | Dropout | Pool | GlobalPool | Residual | Branches | Learned"
Model: TypeAlias = "tuple[Layer, ...]"


def walk(model: Model) -> Iterator[Layer]:
    """Iterate over all layers that are no containers, from the input to the output."""
    for layer in model:
        if isinstance(layer, Residual):
            yield from walk(layer.body)
            yield from walk(layer.shortcut)
        elif isinstance(layer, Branches):
            for body in layer.bodies:
                yield from walk(body)
        else:
            yield layer


def learned(model: Model) -> tuple[Learned, ...]:
    """Return the layers that learn something, from the input to the output."""
    return tuple(layer for layer in walk(model) if isinstance(layer, Learned))


def parameters(model: Model) -> tuple[Parameter, ...]:
    """Return everything that a model learns: all that is penalized first, each part from input to output."""
    inward = (parameter for layer in learned(model) for parameter in layer.parameters)
    return tuple(sorted(inward, key=lambda parameter: not parameter.is_weight))


def linears(model: Model) -> tuple[Linear, ...]:
    """Return the linear layers, from the input to the output."""
    return tuple(layer for layer in walk(model) if isinstance(layer, Linear))


def norms(model: Model) -> tuple[BatchNorm, ...]:
    """Return the batch norms, from the input to the output."""
    return tuple(layer for layer in walk(model) if isinstance(layer, BatchNorm))


def dropouts(model: Model) -> tuple[Dropout, ...]:
    """Return the places where units may be dropped, from the input to the output."""
    return tuple(layer for layer in walk(model) if isinstance(layer, Dropout))
