"""Facts about counted architectures, beside torch's own counters."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from d2lbench import catalogue
from d2lbench.catalogue.shapes import multiplications, parameter_count
from d2lbench.engine.module import module

REGISTRY = catalogue.load()


@pytest.mark.parametrize("name", ["lenet", "alexnet", "vgg-11", "nin", "googlenet", "resnet-18"])
def test_parameters_and_multiplications_are_those_that_torch_counts(name):
    shape = (1, 28, 28)
    model = REGISTRY.get("model", name).factory(shape, 10)
    network = module(model).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, *shape))
    assert multiplications(model, shape) == counter.get_total_flops() // 2  # a multiply-add is two operations to it
    assert parameter_count(model) == sum(value.numel() for value in network.parameters())


def test_alexnet_and_lenet_have_the_books_sizes():
    """Dive into Deep Learning, sections 7.6 and 8.1, added up by hand: weights plus biases, layer by layer."""
    lenet = 6 * 26 + 16 * 151 + 120 * 401 + 84 * 121 + 10 * 85
    alexnet = 96 * 122 + 256 * (96 * 25 + 1) + 384 * (256 * 9 + 1) + 384 * (384 * 9 + 1) + 256 * (384 * 9 + 1)
    alexnet += 4096 * (256 * 25 + 1) + 4096 * 4097 + 10 * 4097
    entry = REGISTRY.get("experiment", "architecture-counts")
    found = entry.factory(0, **entry.resolve({}))
    assert found["parameters"] == alexnet
    assert found["parameter_ratio"] == pytest.approx(alexnet / lenet, rel=1e-12)
    assert (
        found["multiplications"] / found["multiplication_ratio"] == 6 * 25 * 784 + 16 * 150 * 100 + 48000 + 10080 + 840
    )
