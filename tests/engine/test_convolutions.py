"""Convolutional networks in training, on real images: the stacked program against torch.nn and torch.optim."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from d2lbench.catalogue.models import model_of
from d2lbench.engine.parameters import initial
from d2lbench.engine.plan import Stack, default_width, plan
from d2lbench.engine.train import Training

FASHION_MNIST = Path(os.environ.get("D2LBENCH_DATA", "nowhere")) / "FashionMNIST" / "raw"
needs_images = pytest.mark.skipif(
    not (FASHION_MNIST / "t10k-labels-idx1-ubyte.gz").is_file(), reason="D2LBENCH_DATA names no Fashion-MNIST"
)
FEW = {"dataset": ("fashion-mnist", {"train_size": 80}), "batch_size": 32, "epochs": 2}
LENETS = [
    {},
    {"activation": "relu", "pooling": "max"},
    {"batch_norm": True},
]
IDS = ["book", "relu-max", "batch-norm"]


class Trained(Training):
    """Training without evaluations, which would look at fifteen thousand images for these few."""

    def observe(self, epoch):
        if self.journal.ends(epoch):
            self.journal.note(epoch, {})


@needs_images
@pytest.mark.parametrize("options", LENETS, ids=IDS)
@pytest.mark.parametrize("width", [1, 2])
def test_lenet_trains_like_its_module_alone_and_in_a_stack(options, width, make_cell, by_the_book, difference):
    # Not Adam: a bias in front of a norm has a gradient of rounding errors alone, which Adam would scale up.
    optimizer = ("sgd", {"lr": 0.1, "momentum": 0.9})
    cells = [
        make_cell(seed, model=("lenet", options), optimizer=optimizer, init=("xavier-uniform", {}), **FEW)
        for seed in (0, 1)[:width]
    ]
    training = Trained(Stack(tuple(cells)), "cpu")
    training.run()
    for row, cell in zip(training.parameters.block, cells, strict=True):
        assert difference(row, by_the_book(cell).block()) <= 1e-9


def test_a_convolutional_network_trains_alone_on_a_cpu_and_stacked_elsewhere(make_cell):
    cells = [make_cell(seed, model=("lenet", {}), dataset=("fashion-mnist", {})) for seed in range(4)]
    assert default_width(cells[0].config) == 1
    assert [len(stack) for stack in plan(cells)] == [1, 1, 1, 1]
    assert default_width(cells[0].config, "cuda") > 100


def test_what_trains_alone_stays_alone_at_every_width(make_cell):
    cells = [make_cell(seed, optimizer=("lbfgs", {}), batch_size=100) for seed in range(3)]
    assert [len(stack) for stack in plan(cells, width=8)] == [1, 1, 1]


def test_a_start_is_keyed_by_path_not_by_what_else_the_network_has(make_cell):
    plain, normed = (
        make_cell(5, model=("lenet", {"batch_norm": norm}), dataset=("fashion-mnist", {})) for norm in (False, True)
    )
    one, other = (initial([cell], model_of(cell.config), torch.float64).leaves for cell in (plain, normed))
    assert set(one) < set(other)
    assert all(torch.equal(one[path], other[path]) for path in one)
