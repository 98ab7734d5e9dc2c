"""What a model does to shapes, and what that costs: outputs, parameters and operations, counted from its records."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TypeAlias

from d2lbench.catalogue.layers import (
    Branches,
    Conv,
    EmbeddingBag,
    Flatten,
    GlobalPool,
    Layer,
    Linear,
    Model,
    Pool,
    Residual,
    parameters,
)

Shape: TypeAlias = tuple[int, ...]


def side(size: int, layer: Conv | Pool) -> int:
    """Return the side of an image behind a sliding window; 0 or less where the window does not fit."""
    return (size + 2 * layer.padding - layer.kernel) // layer.stride + 1


def output_shape(layer: Layer, shape: Shape) -> Shape:
    """Return the shape of one example behind a layer.

    Raises
    ------
    ValueError
        The image is too small for the layer's window, or has another number of channels or features.
    """
    if isinstance(layer, Conv | Pool):
        return _window(layer, shape)
    if isinstance(layer, Residual):
        return shape_behind(layer.body, shape)
    if isinstance(layer, Branches):
        outputs = [shape_behind(body, shape) for body in layer.bodies]
        return (sum(output[0] for output in outputs), *outputs[0][1:])
    return _vector(layer, shape)


def _window(layer: Conv | Pool, shape: Shape) -> Shape:
    channels, height, width = shape
    behind = (side(height, layer), side(width, layer))
    if min(behind) < 1:
        problem = f"{type(layer).__name__} with a window of {layer.kernel} does not fit on {height} × {width}"
        raise ValueError(problem)
    return (layer.outputs if isinstance(layer, Conv) else channels, *behind)


def _vector(layer: Layer, shape: Shape) -> Shape:
    """Return the shape behind a layer that makes a vector of an example or keeps its shape."""
    if isinstance(layer, Flatten):
        return (math.prod(shape),)
    if isinstance(layer, Linear):
        return (layer.outputs,)
    if isinstance(layer, EmbeddingBag):
        return (layer.features,)
    return shape[:1] if isinstance(layer, GlobalPool) else shape


def shape_behind(model: Model, shape: Shape) -> Shape:
    """Return the shape of one example behind a whole model."""
    for layer in model:
        shape = output_shape(layer, shape)
    return shape


def steps(model: Model, shape: Shape) -> Iterator[tuple[Layer, Shape, Shape]]:
    """Iterate over the layers that are no containers, each with the shapes of an example before and behind it."""
    for layer in model:
        behind = output_shape(layer, shape)
        if isinstance(layer, Residual):
            yield from steps(layer.body, shape)
            yield from steps(layer.shortcut, shape)
        elif isinstance(layer, Branches):
            for body in layer.bodies:
                yield from steps(body, shape)
        else:
            yield layer, shape, behind
        shape = behind


def parameter_count(model: Model) -> int:
    """Return how many numbers a model learns."""
    return sum(math.prod(parameter.shape) for parameter in parameters(model))


def multiplications(model: Model, shape: Shape) -> int:
    """Return the multiply-adds of linear layers and convolutions in one example's forward pass; biases left out."""
    total = 0
    for layer, _, behind in steps(model, shape):
        if isinstance(layer, Linear):
            total += layer.inputs * layer.outputs
        elif isinstance(layer, Conv):
            total += layer.inputs * layer.kernel**2 * math.prod(behind)
    return total


def widest(model: Model, shape: Shape) -> int:
    """Return the largest number of values of one example that any layer computes; to flatten computes none."""
    return max(math.prod(behind) for layer, _, behind in steps(model, shape) if not isinstance(layer, Flatten))
