"""Convolutional networks of plain stacks: LeNet, AlexNet, VGG-11, NiN. Sized for small images and for 224 × 224."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

from d2lbench.catalogue.layers import (
    Activation,
    BatchNorm,
    Conv,
    Dropout,
    Flatten,
    GlobalPool,
    Layer,
    Linear,
    Model,
    Pool,
)
from d2lbench.catalogue.models.sizing import refuse_misfit
from d2lbench.catalogue.shapes import Shape, shape_behind
from d2lbench.core.kinds import ModelTraits
from d2lbench.core.registry import register

ActivationName = Literal["relu", "sigmoid", "tanh", "identity", "scaled-sigmoid"]
Pooling = Literal["max", "average"]
Layers: TypeAlias = list[Layer]

#: Images with shorter sides get the small variant of a network that was drawn for 224 × 224.
LARGE: Final = 64


def is_large(shape: Shape) -> bool:
    """Whether images of this shape, (channels, height, width), get the network as it was published."""
    return min(shape[1:]) >= LARGE


def conv_block(path: str, conv: tuple[int, int, int, int, int], activation: str, *, batch_norm: bool) -> Layers:
    """Return a convolution (inputs, outputs, kernel, stride, padding), maybe a norm, and an activation."""
    inputs, outputs, kernel, stride, padding = conv
    layers: Layers = [Conv(f"{path}.conv", inputs, outputs, kernel, stride, padding)]
    layers += [BatchNorm(f"{path}.norm", outputs, spatial=True)] if batch_norm else []
    return [*layers, Activation(activation)]


def classifier(
    features: int, hidden: tuple[int, ...], outputs: int, activation: str, *, batch_norm: bool, dropout: bool
) -> Layers:
    """Return flatten, hidden linear layers and the output layer."""
    layers: Layers = [Flatten()]
    for index, units in enumerate(hidden):
        layers += [Linear(f"hidden{index + 1}", features, units)]
        layers += [BatchNorm(f"hidden{index + 1}.norm", units)] if batch_norm else []
        layers += [Activation(activation)]
        layers += [Dropout(index, units)] if dropout else []
        features = units
    return [*layers, Linear("output", features, outputs)]


def closed(
    body: Layers, shape: Shape, hidden: tuple[int, ...], outputs: int, activation: str = "relu", **also: bool
) -> Model:
    """Put a classifier behind a convolutional body, sized for what the body puts out."""
    channels, height, width = shape_behind(tuple(body), shape)
    return (*body, *classifier(channels * height * width, hidden, outputs, activation, **also))


@register(ModelTraits, "lenet", images=True, check=refuse_misfit)
def lenet(
    shape: Shape,
    outputs: int,
    /,
    *,
    activation: ActivationName = "sigmoid",
    pooling: Pooling = "average",
    batch_norm: bool = False,
) -> Model:
    """LeNet-5 as the book draws it: sigmoid and average pooling (Dive into Deep Learning, section 7.6).

    ``activation = "relu"`` with ``pooling = "max"`` is the variant that the book's schedules train (section 12.11).
    """
    body: Layers = []
    for index, conv in enumerate([(shape[0], 6, 5, 1, 2), (6, 16, 5, 1, 0)]):
        body += conv_block(f"block{index + 1}", conv, activation, batch_norm=batch_norm)
        body += [Pool(pooling, 2, 2)]
    return closed(body, shape, (120, 84), outputs, activation, batch_norm=batch_norm, dropout=False)


@register(ModelTraits, "alexnet", images=True, check=refuse_misfit)
def alexnet(shape: Shape, outputs: int, /, *, batch_norm: bool = False) -> Model:
    """AlexNet (Krizhevsky et al. 2012; Dive into Deep Learning, section 8.1).

    Images with sides under 64 get a first kernel of 3 instead of 11, no strides, windows of 2 instead of 3 to pool,
    and hidden layers of 1,024 instead of 4,096.
    """
    large = is_large(shape)
    pool = Pool("max", 3, 2) if large else Pool("max", 2, 2)
    first = (shape[0], 96, 11, 4, 1) if large else (shape[0], 96, 3, 1, 1)
    body = [*conv_block("conv1", first, "relu", batch_norm=batch_norm), pool]
    body += [*conv_block("conv2", (96, 256, 5, 1, 2), "relu", batch_norm=batch_norm), pool]
    for index, (inputs, units) in enumerate([(256, 384), (384, 384), (384, 256)]):
        body += conv_block(f"conv{index + 3}", (inputs, units, 3, 1, 1), "relu", batch_norm=batch_norm)
    hidden = (4096, 4096) if large else (1024, 1024)
    return closed([*body, pool], shape, hidden, outputs, batch_norm=batch_norm, dropout=True)


@register(ModelTraits, "vgg-11", images=True, check=refuse_misfit)
def vgg11(shape: Shape, outputs: int, /, *, batch_norm: bool = False) -> Model:
    """VGG-11: five blocks of 3 × 3 convolutions (Simonyan and Zisserman 2015; Dive into Deep Learning, section 8.2).

    Images with sides under 64 are not halved a fifth time where nothing would be left, and their hidden layers have
    512 instead of 4,096 units.
    """
    body: Layers = []
    inputs, height = shape[0], min(shape[1:])
    for block, (repeats, units) in enumerate([(1, 64), (1, 128), (2, 256), (2, 512), (2, 512)], 1):
        for repeat in range(1, repeats + 1):
            conv = (inputs, units, 3, 1, 1)
            body += conv_block(f"block{block}.{repeat}", conv, "relu", batch_norm=batch_norm)
            inputs = units
        if height > 1:
            body += [Pool("max", 2, 2)]
            height //= 2
    hidden = (4096, 4096) if is_large(shape) else (512, 512)
    return closed(body, shape, hidden, outputs, batch_norm=batch_norm, dropout=True)


@register(ModelTraits, "nin", images=True, check=refuse_misfit)
def nin(shape: Shape, outputs: int, /, *, batch_norm: bool = False) -> Model:
    """Network in network: 1 × 1 convolutions instead of linear layers (Lin et al. 2014; book section 8.3).

    Images with sides under 64 get a first kernel of 5 without stride instead of 11 with a stride of 4.
    """
    first = (96, 11, 4, 0) if is_large(shape) else (96, 5, 1, 2)
    body: Layers = []
    inputs = shape[0]
    for block, (units, kernel, stride, padding) in enumerate([first, (256, 5, 1, 2), (384, 3, 1, 1)], 1):
        body += _nin_block(block, (inputs, units, kernel, stride, padding), batch_norm=batch_norm)
        body += [Pool("max", 3, 2)]
        inputs = units
    shape_behind(tuple(body), shape)  # refuses images that the windows do not fit on
    return (*body, *_nin_block(4, (inputs, outputs, 3, 1, 1), batch_norm=batch_norm), GlobalPool())


def _nin_block(block: int, conv: tuple[int, int, int, int, int], *, batch_norm: bool) -> Layers:
    units = conv[1]
    layers = conv_block(f"block{block}.1", conv, "relu", batch_norm=batch_norm)
    for repeat in (2, 3):
        layers += conv_block(f"block{block}.{repeat}", (units, units, 1, 1, 0), "relu", batch_norm=batch_norm)
    return layers
