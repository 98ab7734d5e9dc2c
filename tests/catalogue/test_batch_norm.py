"""Facts about batch norm's batches: one example has no variance, and such a batch is refused before it trains."""

from __future__ import annotations

import pytest
import torch

from d2lbench import catalogue
from d2lbench.core.errors import GridError
from d2lbench.grid import load

REGISTRY = catalogue.load()
GRID = """
format   = 1
title    = "t"
question = "q"
seeds    = 2
base     = {{ dataset = {dataset}, model = {model}, optimizer = "sgd", epochs = 1, batch_size = {batch_size} }}
"""
DIGITS = '{ name = "digits", train_size = 65 }'
NORMED = '{ name = "mlp", hidden = [4], batch_norm = true }'


def loaded(dataset=DIGITS, model=NORMED, batch_size=32):
    return load(GRID.format(dataset=dataset, model=model, batch_size=batch_size), REGISTRY, file="grid.toml")


def test_torch_itself_cannot_normalize_a_single_example():
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        torch.nn.BatchNorm1d(4)(torch.ones(1, 4))


@pytest.mark.parametrize("batch_size", [1, 2, 4, 8, 16, 32, 64])
def test_a_last_batch_of_one_is_refused(batch_size):
    with pytest.raises(GridError) as error:
        loaded(batch_size=batch_size)
    assert (error.value.key, error.value.given) == ("base.batch_size", batch_size)
    assert "a single example" in error.value.problem
    assert error.value.allowed == "2 or more that leave no 1 of 65 training examples"


@pytest.mark.parametrize("batch_size", [3, 5, 33, 63, 65, 100])
def test_a_last_batch_of_more_is_not(batch_size):
    assert loaded(batch_size=batch_size).arms


def test_a_model_without_batch_norm_may_end_on_one_example():
    assert loaded(model='{ name = "mlp", hidden = [4] }').arms


@pytest.mark.parametrize("model", ["lenet", "googlenet"])
def test_networks_of_convolutions_are_held_to_it_too(model):
    dataset = '{ name = "fashion-mnist", train_size = 65 }'
    assert loaded(dataset, f'{{ name = "{model}" }}').arms
    with pytest.raises(GridError, match="a single example"):
        loaded(dataset, f'{{ name = "{model}", batch_norm = true }}')


def test_folds_count_as_what_they_leave_to_train():
    """Of 66 examples in two folds each half trains: 33 = 32 + 1."""
    with pytest.raises(GridError, match="of 33 training examples"):
        loaded('{ name = "digits", train_size = 66, folds = 2 }')
    assert loaded('{ name = "digits", train_size = 66 }').arms
