"""How long an epoch of training takes: rows of a stack against a plain loop on data that is already in memory.

One thread. Both sides train the digits perceptron 64-64-64-10 at batch 32; `extra_info` holds microseconds per cell and
step, so that rows of different width can be compared. Run with `tox -e benchmarks`.
"""

from __future__ import annotations

import pytest
import torch

from d2lbench import catalogue
from d2lbench.engine.plan import Stack
from d2lbench.engine.process import prepare_process
from d2lbench.engine.train import Training
from d2lbench.grid import load

GRID = """
format   = 1
title    = "Digits"
question = "How long is an epoch?"
seeds    = 32
checks   = false
[base]
dataset    = "digits"
model      = {{ name = "mlp", hidden = [64, 64] }}
optimizer  = {{ name = "{optimizer}", lr = 0.01 }}
epochs     = 1
batch_size = 32
"""
STEPS = 29


def cells(optimizer: str, width: int):
    grid = load(GRID.format(optimizer=optimizer), catalogue.load(), file="digits.toml")
    return tuple(grid.cells())[:width]


def note(benchmark, width: int):
    """Put the figure that rows of different width are compared by beside the times; there are none when disabled."""
    if benchmark.stats:
        benchmark.extra_info["microseconds_per_cell_step"] = benchmark.stats["median"] / width / STEPS * 1e6


@pytest.mark.parametrize("width", [1, 8, 32])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_stacked_epoch(benchmark, optimizer, width):
    prepare_process(1)
    training = Training(Stack(cells(optimizer, width)), "cpu")
    benchmark.group = f"one epoch, digits, {optimizer}"
    benchmark(training.train_epoch, 1)
    note(benchmark, width)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_plain_loop_epoch(benchmark, optimizer):
    prepare_process(1)
    (cell,) = cells(optimizer, 1)
    splits = catalogue.datasets.digits(cell.seed)
    x = torch.from_numpy(splits.pool.x[splits.train]).float() * splits.pool.scale
    y = torch.from_numpy(splits.pool.y[splits.train])
    sizes = [(64, 64), (64, 64), (64, 10)]
    layers = [layer for i, o in sizes for layer in (torch.nn.Linear(i, o), torch.nn.ReLU())][:-1]
    model = torch.nn.Sequential(*layers)
    rule = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[optimizer](model.parameters(), lr=0.01)

    def epoch() -> None:
        for rows in torch.randperm(len(x)).split(32):
            rule.zero_grad()
            torch.nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()
            rule.step()

    benchmark.group = f"one epoch, digits, {optimizer}"
    benchmark(epoch)
    note(benchmark, 1)
