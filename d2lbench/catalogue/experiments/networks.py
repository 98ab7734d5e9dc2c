"""Networks, counted: what each learns and costs, the sizes that convolutions make, and which inputs an output sees."""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Ge

from d2lbench.catalogue.shapes import multiplications, parameter_count
from d2lbench.core.generators import generator
from d2lbench.core.kinds import ExperimentTraits, MetricTraits
from d2lbench.core.registry import REGISTRY, register

Architecture = Literal["lenet", "alexnet", "vgg-11", "nin", "googlenet", "resnet-18"]
Side = Annotated[int, Ge(28)]


@register(
    ExperimentTraits,
    "architecture-counts",
    metrics={
        "parameters": MetricTraits(unit="parameters"),
        "multiplications": MetricTraits(unit="multiplications"),
        "parameter_ratio": MetricTraits(),
        "multiplication_ratio": MetricTraits(),
    },
)
def architecture_counts(
    seed: int,
    /,
    *,
    model: Architecture = "alexnet",
    side: Side = 224,
    channels: Annotated[int, Ge(1)] = 1,
    classes: Annotated[int, Ge(1)] = 10,
    beside: Architecture = "lenet",
    beside_side: Side = 28,
) -> dict[str, float]:
    """Parameters of a network and multiplications of one image's forward pass, and their ratio to another's.

    By convention a multiply-add counts once, in linear layers and convolutions only; biases count as parameters. Each
    network gets images of its own side: AlexNet was drawn for 224 × 224, LeNet for 28 × 28 (Dive into Deep Learning,
    sections 7.6 and 8.1).
    """
    del seed  # nothing is drawn
    counts = []
    for name, pixels in ((model, side), (beside, beside_side)):
        shape = (channels, pixels, pixels)
        layers = REGISTRY.get("model", name).factory(shape, classes)
        counts.append((parameter_count(layers), multiplications(layers, shape)))
    (learned, cost), (learned_beside, cost_beside) = counts
    return {
        "parameters": float(learned),
        "multiplications": float(cost),
        "parameter_ratio": learned / learned_beside,
        "multiplication_ratio": cost / cost_beside,
    }


#: A Fashion-MNIST image's side.
SIDE = 28


@register(
    ExperimentTraits,
    "convolution-shape",
    metrics={
        "side": MetricTraits(unit="pixels"),
        "multiplications": MetricTraits(unit="multiplications"),
        "cost": MetricTraits(),
    },
)
def convolution_shape(
    seed: int,
    /,
    *,
    kernel: Annotated[int, Ge(1)],
    padding: Annotated[int, Ge(0)] = 0,
    stride: Annotated[int, Ge(1)] = 1,
) -> dict[str, float]:
    """Side and multiplications of a convolution's output on a 28 × 28 image (Dive into Deep Learning, section 7.3).

    ``padding`` counts the rows that are added above and below together, as the book counts them; an odd one goes
    below. (torch's own ``padding`` is per side: k − 1 there adds 2·(k − 1).) Three channels in, eight out. ``cost``
    divides the multiplications, counted by torch's operation counter, by those at stride 1.
    """
    import torch
    from torch.nn.functional import conv2d, pad
    from torch.utils.flop_counter import FlopCounterMode

    del seed  # nothing is drawn
    before, after = padding // 2, padding - padding // 2
    x = pad(torch.zeros(1, 3, SIDE, SIDE), (before, after, before, after))
    weight = torch.zeros(8, 3, kernel, kernel)
    counted = []
    for step in (stride, 1):
        with FlopCounterMode(display=False) as counter:
            out = conv2d(x, weight, stride=step)
        counted.append((out.shape[-1], counter.get_total_flops() // 2))  # a multiplication and an addition are two
    (side, multiplications), (_, at_stride_one) = counted
    return {
        "side": float(side),
        "multiplications": float(multiplications),
        "cost": multiplications / at_stride_one,
    }


@register(
    ExperimentTraits,
    "pixel-mixing",
    metrics={"off_the_pixel": MetricTraits(), "beside_channel_product": MetricTraits()},
)
def pixel_mixing(seed: int, /, *, kernel: Annotated[int, Ge(1)] = 1) -> dict[str, float]:
    """How much a convolution's output at a pixel depends on other pixels (Dive into Deep Learning, section 7.4.3).

    ``off_the_pixel``: the largest derivative of the middle output pixel by another pixel's inputs over the largest
    derivative of all, 4 channels in, 6 out, 9 × 9 pixels, float64. ``beside_channel_product``: the largest difference
    of the output from the (6, 4) matrix of the kernel's middle weights applied to each pixel's channels.
    """
    import torch
    from torch.nn.functional import conv2d

    draw = generator(seed, "pixel-mixing")
    x = torch.randn(1, 4, 9, 9, generator=draw, dtype=torch.float64)
    weight = torch.randn(6, 4, kernel, kernel, generator=draw, dtype=torch.float64)

    def middle_pixel(image: torch.Tensor) -> torch.Tensor:
        return conv2d(image, weight, padding=kernel // 2)[0, :, 4, 4]

    jacobian = torch.autograd.functional.jacobian(middle_pixel, x)  # type: ignore[no-untyped-call]
    jacobian = jacobian[:, 0].abs()  # (6, 4, 9, 9)
    largest = float(jacobian.max())
    jacobian[..., 4, 4] = 0.0
    middle = weight[:, :, kernel // 2, kernel // 2]
    apart = conv2d(x, weight, padding=kernel // 2) - torch.einsum("oi,nihw->nohw", middle, x)
    return {"off_the_pixel": float(jacobian.max()) / largest, "beside_channel_product": float(apart.abs().max())}
