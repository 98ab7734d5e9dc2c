"""A model is data: records of layers, from which two interpreters make a module or a stacked program."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True)
class Flatten:
    """Turns ``(B, *shape)`` into ``(B, features)``."""


@dataclass(frozen=True)
class Linear:
    """``x W^T + b`` with W of shape (outputs, inputs); ``path`` keys its initial draw."""

    path: str
    inputs: int
    outputs: int


@dataclass(frozen=True)
class Activation:
    """An element-wise function, by its registered name."""

    name: str


@dataclass(frozen=True)
class Dropout:
    """A place where units may be dropped: ``index`` counts hidden layers from 0; the rate is data of the cell."""

    index: int
    width: int


Layer: TypeAlias = Flatten | Linear | Activation | Dropout
Model: TypeAlias = tuple[Layer, ...]


def linears(model: Model) -> tuple[Linear, ...]:
    """Return the layers that have weights, from the input to the output."""
    return tuple(layer for layer in model if isinstance(layer, Linear))


def dropouts(model: Model) -> tuple[Dropout, ...]:
    """Return the places where units may be dropped, from the input to the output."""
    return tuple(layer for layer in model if isinstance(layer, Dropout))
