"""Architectures side by side: what each learns and what one image costs it, counted from its records."""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Ge

from d2lbench.catalogue.shapes import multiplications, parameter_count
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
