"""Facts on real data: the book's multilayer perceptron on all of Fashion-MNIST lands where the book's does."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from d2lbench import catalogue
from d2lbench.engine.plan import plan
from d2lbench.engine.process import prepare_process
from d2lbench.engine.train import train
from d2lbench.grid import load

pytestmark = pytest.mark.slow

IMAGES = Path(os.environ.get("D2LBENCH_DATA", "nowhere")) / "FashionMNIST" / "raw" / "train-images-idx3-ubyte.gz"

BOOK = """
format   = 1
title    = "The book's multilayer perceptron"
question = "Does it end where the book's ends?"
seeds    = 1
checks   = false
[base]
dataset    = { name = "fashion-mnist", validation = 0 }
model      = { name = "mlp", hidden = [256], activation = "relu" }
optimizer  = { name = "sgd", lr = 0.1 }
epochs     = 10
eval_every = 10
batch_size = 256
"""


@pytest.fixture(autouse=True)
def _as_in_a_worker():
    prepare_process(threads=1)
    yield
    torch.set_flush_denormal(False)


@pytest.mark.skipif(not IMAGES.is_file(), reason="D2LBENCH_DATA names no Fashion-MNIST")
def test_the_books_perceptron_on_all_sixty_thousand_images_lands_between_082_and_088():
    """Dive into Deep Learning 1.0.3, section 5.2, publishes about 0.845 with the framework's default start."""
    grid = load(BOOK, catalogue.load(), scale="full", file="book.toml")
    (stack,) = plan(grid.cells())
    (outcome,) = train(stack)
    epochs, accuracy = outcome.series["test_accuracy"]
    assert outcome.status == "done"
    assert list(epochs) == [0, 10]
    assert outcome.correctness["test"][1] == 10_000
    assert 0.82 <= accuracy[-1] <= 0.88
