"""Average pooling by rows: the framework's means and gradients, and the framework itself elsewhere."""

from __future__ import annotations

import pytest
import torch

from d2lbench.catalogue.layers import Pool
from d2lbench.engine.routines import average_pool


def expected(layer, images):
    return torch.nn.functional.avg_pool2d(images, layer.kernel, layer.stride, layer.padding)


@pytest.mark.parametrize("kernel", [2, 3, 4])
def test_windows_that_tile_the_images_have_the_frameworks_means_and_gradients(kernel):
    layer = Pool("average", kernel, kernel, 0)
    images = torch.randn(3, 2, 12, 24, dtype=torch.float64, requires_grad=True)
    found, there = average_pool(layer, images), expected(layer, images)
    assert torch.allclose(found, there, rtol=0, atol=1e-15)
    gradient = torch.randn_like(there)
    ours, theirs = (torch.autograd.grad(pooled, images, gradient)[0] for pooled in (found, there))
    assert torch.allclose(ours, theirs, rtol=0, atol=1e-15)


def test_its_gradient_is_that_of_finite_differences():
    images = torch.randn(2, 1, 4, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: average_pool(Pool("average", 2, 2, 0), x), (images,))


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (Pool("average", 2, 2, 0), (1, 1, 5, 6)),  # a row is left over
        (Pool("average", 3, 2, 0), (1, 1, 7, 7)),  # windows overlap
        (Pool("average", 2, 2, 1), (1, 1, 6, 6)),  # padded
        (Pool("average", 1, 1, 0), (1, 1, 3, 3)),  # nothing to add
    ],
)
def test_other_windows_are_left_to_the_framework(layer, shape):
    images = torch.randn(shape)
    assert torch.equal(average_pool(layer, images), expected(layer, images))


def test_images_in_another_order_of_memory_have_the_same_means():
    images = torch.randn(2, 3, 4, 4, dtype=torch.float64).to(memory_format=torch.channels_last)
    layer = Pool("average", 2, 2, 0)
    assert torch.allclose(average_pool(layer, images), average_pool(layer, images.contiguous()), rtol=0, atol=1e-15)


def test_a_window_with_a_nan_is_nan_and_its_neighbours_are_not():
    images = torch.ones(1, 1, 2, 4)
    images[0, 0, 1, 1] = torch.nan
    assert average_pool(Pool("average", 2, 2, 0), images).isnan().flatten().tolist() == [True, False]
