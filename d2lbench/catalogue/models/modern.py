"""Convolutional networks with branches and with sums: GoogLeNet and ResNet-18."""

from __future__ import annotations

from d2lbench.catalogue.layers import (
    Activation,
    BatchNorm,
    Branches,
    Conv,
    GlobalPool,
    Layer,
    Linear,
    Model,
    Pool,
    Residual,
)
from d2lbench.catalogue.models.convolutional import Layers, conv_block, is_large
from d2lbench.catalogue.models.sizing import refuse_misfit
from d2lbench.catalogue.shapes import Shape, shape_behind
from d2lbench.core.kinds import ModelTraits
from d2lbench.core.registry import register

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
        return conv_block(f"{path}.{name}", numbers, "relu", batch_norm=batch_norm)

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
    large = is_large(shape)
    first = (shape[0], 64, 7, 2, 3) if large else (shape[0], 64, 3, 1, 1)
    body: Layers = conv_block("stem1", first, "relu", batch_norm=batch_norm) + ([pool] if large else [])
    body += conv_block("stem2", (64, 64, 1, 1, 0), "relu", batch_norm=batch_norm)
    body += [*conv_block("stem3", (64, 192, 3, 1, 1), "relu", batch_norm=batch_norm), pool]
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
    large = is_large(shape)
    first = (shape[0], 64, 7, 2, 3) if large else (shape[0], 64, 3, 1, 1)
    body: Layers = [*_conv("stem", first, batch_norm=batch_norm), Activation("relu")]
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


def _conv(path: str, conv: tuple[int, int, int, int, int], *, batch_norm: bool) -> tuple[Layer, ...]:
    """Return a convolution and its norm, whose shift stands for the bias."""
    inputs, outputs, kernel, stride, padding = conv
    layer = Conv(f"{path}.conv", inputs, outputs, kernel, stride, padding, bias=not batch_norm)
    return (layer, BatchNorm(f"{path}.norm", outputs, spatial=True)) if batch_norm else (layer,)


def _residual(path: str, inputs: int, units: int, stride: int, *, batch_norm: bool) -> Residual:
    body = (
        *_conv(f"{path}.1", (inputs, units, 3, stride, 1), batch_norm=batch_norm),
        Activation("relu"),
        *_conv(f"{path}.2", (units, units, 3, 1, 1), batch_norm=batch_norm),
    )
    same = stride == 1 and inputs == units
    shortcut = () if same else _conv(f"{path}.shortcut", (inputs, units, 1, stride, 0), batch_norm=batch_norm)
    return Residual(body, shortcut)
