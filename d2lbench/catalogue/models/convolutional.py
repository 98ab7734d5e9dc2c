"""Convolutional networks, from LeNet to ResNet-18. Sized for small images and for 224 × 224."""

from __future__ import annotations

import functools
import math
from typing import Final, Literal, TypeAlias

from d2lbench.catalogue.layers import (
    Activation,
    BatchNorm,
    Branches,
    Conv,
    Dropout,
    Flatten,
    GlobalPool,
    Layer,
    Linear,
    Model,
    Pool,
    Residual,
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


def _is_large(shape: Shape) -> bool:
    """Whether images of this shape, (channels, height, width), get the network as it was published."""
    return min(shape[1:]) >= LARGE


def _conv_block(path: str, conv: tuple[int, int, int, int, int], activation: str, *, batch_norm: bool) -> Layers:
    """Return a convolution (inputs, outputs, kernel, stride, padding), maybe a norm, and an activation."""
    return [*_conv(path, conv, batch_norm=batch_norm), Activation(activation)]


def _conv(path: str, conv: tuple[int, int, int, int, int], *, batch_norm: bool, bias: bool = True) -> tuple[Layer, ...]:
    inputs, outputs, kernel, stride, padding = conv
    layer = Conv(f"{path}.conv", inputs, outputs, kernel, stride, padding, bias=bias)
    return (layer, BatchNorm(f"{path}.norm", outputs, spatial=True)) if batch_norm else (layer,)


def _closed(
    body: Layers,
    shape: Shape,
    hidden: tuple[int, ...],
    outputs: int,
    activation: str = "relu",
    *,
    batch_norm: bool,
    dropout: bool,
) -> Model:
    """Put hidden linear layers and an output layer behind a convolutional body, sized for what the body puts out."""
    features = math.prod(shape_behind(tuple(body), shape))
    layers: Layers = [*body, Flatten()]
    for index, units in enumerate(hidden):
        layers += [Linear(f"hidden{index + 1}", features, units)]
        layers += [BatchNorm(f"hidden{index + 1}.norm", units)] if batch_norm else []
        layers += [Activation(activation)]
        layers += [Dropout(index, units)] if dropout else []
        features = units
    return (*layers, Linear("output", features, outputs))


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
        body += _conv_block(f"block{index + 1}", conv, activation, batch_norm=batch_norm)
        body += [Pool(pooling, 2, 2)]
    return _closed(body, shape, (120, 84), outputs, activation, batch_norm=batch_norm, dropout=False)


@register(ModelTraits, "alexnet", images=True, check=refuse_misfit)
def alexnet(shape: Shape, outputs: int, /, *, batch_norm: bool = False) -> Model:
    """AlexNet (Krizhevsky et al. 2012; Dive into Deep Learning, section 8.1).

    Images with sides under 64 get a first kernel of 3 instead of 11, no strides, windows of 2 instead of 3 to pool,
    and hidden layers of 1,024 instead of 4,096.
    """
    large = _is_large(shape)
    pool = Pool("max", 3, 2) if large else Pool("max", 2, 2)
    first = (shape[0], 96, 11, 4, 1) if large else (shape[0], 96, 3, 1, 1)
    body = [*_conv_block("conv1", first, "relu", batch_norm=batch_norm), pool]
    body += [*_conv_block("conv2", (96, 256, 5, 1, 2), "relu", batch_norm=batch_norm), pool]
    for index, (inputs, units) in enumerate([(256, 384), (384, 384), (384, 256)]):
        body += _conv_block(f"conv{index + 3}", (inputs, units, 3, 1, 1), "relu", batch_norm=batch_norm)
    hidden = (4096, 4096) if large else (1024, 1024)
    return _closed([*body, pool], shape, hidden, outputs, batch_norm=batch_norm, dropout=True)


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
            body += _conv_block(f"block{block}.{repeat}", conv, "relu", batch_norm=batch_norm)
            inputs = units
        if height > 1:
            body += [Pool("max", 2, 2)]
            height //= 2
    hidden = (4096, 4096) if _is_large(shape) else (512, 512)
    return _closed(body, shape, hidden, outputs, batch_norm=batch_norm, dropout=True)


@register(ModelTraits, "nin", images=True, check=refuse_misfit)
def nin(shape: Shape, outputs: int, /, *, batch_norm: bool = False) -> Model:
    """Network in network: 1 × 1 convolutions instead of linear layers (Lin et al. 2014; book section 8.3).

    Images with sides under 64 get a first kernel of 5 without stride instead of 11 with a stride of 4.
    """
    first = (96, 11, 4, 0) if _is_large(shape) else (96, 5, 1, 2)
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
    layers = _conv_block(f"block{block}.1", conv, "relu", batch_norm=batch_norm)
    for repeat in (2, 3):
        layers += _conv_block(f"block{block}.{repeat}", (units, units, 1, 1, 0), "relu", batch_norm=batch_norm)
    return layers


#: Each inception block's outputs: the 1 × 1 path, the 3 × 3 path and the 5 × 5 path (reduced, then whole), the pooled.
INCEPTIONS = (
    ((64, (96, 128), (16, 32), 32), (128, (128, 192), (32, 96), 64)),
    (
        (192, (96, 208), (16, 48), 64),
        (160, (112, 224), (24, 64), 64),
        (128, (128, 256), (24, 64), 64),
        (112, (144, 288), (32, 64), 64),
        (256, (160, 320), (32, 128), 128),
    ),
    ((256, (160, 320), (32, 128), 128), (384, (192, 384), (48, 128), 128)),
)


def _inception(
    path: str, inputs: int, sizes: tuple[int, tuple[int, int], tuple[int, int], int], *, batch_norm: bool
) -> Branches:
    """Return four paths side by side (Dive into Deep Learning, section 8.4.1)."""
    plain, three, five, pooled = sizes

    def conv(name: str, numbers: tuple[int, int, int, int, int]) -> Layers:
        return _conv_block(f"{path}.{name}", numbers, "relu", batch_norm=batch_norm)

    return Branches(
        (
            tuple(conv("one", (inputs, plain, 1, 1, 0))),
            (*conv("three1", (inputs, three[0], 1, 1, 0)), *conv("three2", (*three, 3, 1, 1))),
            (*conv("five1", (inputs, five[0], 1, 1, 0)), *conv("five2", (*five, 5, 1, 2))),
            (Pool("max", 3, 1, 1), *conv("pooled", (inputs, pooled, 1, 1, 0))),
        )
    )


@register(ModelTraits, "googlenet", images=True, check=refuse_misfit)
def googlenet(shape: Shape, outputs: int, /, *, batch_norm: bool = False) -> Model:
    """GoogLeNet: nine blocks of four paths, without the side classifiers (Szegedy et al. 2015; book section 8.4).

    Images with sides under 64 get a first kernel of 3 without stride and no pooling behind it.
    """
    pool = Pool("max", 3, 2, 1)
    large = _is_large(shape)
    first = (shape[0], 64, 7, 2, 3) if large else (shape[0], 64, 3, 1, 1)
    body: Layers = _conv_block("stem1", first, "relu", batch_norm=batch_norm) + ([pool] if large else [])
    body += _conv_block("stem2", (64, 64, 1, 1, 0), "relu", batch_norm=batch_norm)
    body += [*_conv_block("stem3", (64, 192, 3, 1, 1), "relu", batch_norm=batch_norm), pool]
    channels = 192
    for stage, blocks in enumerate(INCEPTIONS, 1):
        for index, sizes in enumerate(blocks, 1):
            body += [_inception(f"stage{stage}.{index}", channels, sizes, batch_norm=batch_norm)]
            channels = sizes[0] + sizes[1][1] + sizes[2][1] + sizes[3]
        body += [pool] if stage < len(INCEPTIONS) else []
    shape_behind(tuple(body), shape)  # refuses images that the windows do not fit on
    return (*body, GlobalPool(), Linear("output", channels, outputs))


@register(ModelTraits, "resnet-18", images=True, check=refuse_misfit)
def resnet18(shape: Shape, outputs: int, /, *, batch_norm: bool = True) -> Model:
    """ResNet-18: eight blocks that add their input (He et al. 2016; Dive into Deep Learning, section 8.6).

    Images with sides under 64 get a first kernel of 3 without stride and no pooling behind it.
    """
    large = _is_large(shape)
    first = (shape[0], 64, 7, 2, 3) if large else (shape[0], 64, 3, 1, 1)
    body: Layers = [*_conv("stem", first, batch_norm=batch_norm, bias=not batch_norm), Activation("relu")]
    body += [Pool("max", 3, 2, 1)] if large else []
    channels = 64
    for stage, units in enumerate((64, 128, 256, 512), 1):
        for block in (1, 2):
            stride = 2 if stage > 1 and block == 1 else 1
            path = f"stage{stage}.{block}"
            body += [_residual(path, channels, units, stride, batch_norm=batch_norm), Activation("relu")]
            channels = units
    shape_behind(tuple(body), shape)  # refuses images that the windows do not fit on
    return (*body, GlobalPool(), Linear("output", channels, outputs))


def _residual(path: str, inputs: int, units: int, stride: int, *, batch_norm: bool) -> Residual:
    conv = functools.partial(_conv, batch_norm=batch_norm, bias=not batch_norm)  # a norm's shift stands for the bias
    body = (
        *conv(f"{path}.1", (inputs, units, 3, stride, 1)),
        Activation("relu"),
        *conv(f"{path}.2", (units, units, 3, 1, 1)),
    )
    same = stride == 1 and inputs == units
    return Residual(body, () if same else conv(f"{path}.shortcut", (inputs, units, 1, stride, 0)))
