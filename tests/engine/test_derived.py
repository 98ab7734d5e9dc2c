"""Gradients derived by hand: the bits of autograd's, for every model, activation and loss that they cover."""

from __future__ import annotations

import itertools

import pytest
import torch

from d2lbench.catalogue import load
from d2lbench.catalogue.models import model_of
from d2lbench.engine.plan import plan
from d2lbench.engine.stacked import derived
from d2lbench.engine.train import Training

REGRESSION = ("high-dim-linear", {})
MODELS = {
    "softmax": {"model": ("softmax", {})},
    "mlp": {"model": ("mlp", {"hidden": (20, 12)})},
    "wide": {"model": ("mlp", {"hidden": (300,)}), "batch_size": 64},
    "one-output": {"model": ("linear", {}), "dataset": REGRESSION, "loss": ("half-mse", {})},
    "dropout": {"model": ("mlp", {"hidden": (20, 12)}), "regularizer": ("dropout", {"p": (0.2, 0.5)})},
}
LOSSES = ["cross-entropy", "mse", "half-mse"]


def both(cells):
    """Return losses and gradients of two batches by hand and by autograd."""
    found = []
    for by_hand in (True, False):
        training = Training(plan(cells)[0], "cpu")
        assert training.derived is not None
        if not by_hand:
            training.derived = None
        training.begin(1)
        batches = itertools.islice(training.feed.batches(1), 2)
        found.append([(training.differentiate(x, y), training.gradients.clone()) for x, y in batches])
    return zip(*found, strict=True)


def same(one, other):
    return all(map(torch.equal, one, other))


@pytest.mark.parametrize("width", [1, 3, 40])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("model", MODELS)
def test_gradients_by_hand_are_autograds_to_the_bit(make_cell, model, dtype, width):
    cells = [
        make_cell(seed // 2, dtype=dtype, **MODELS[model], optimizer=("sgd", {"lr": 0.1 + seed}))
        for seed in range(width)
    ]
    for by_hand, by_autograd in both(cells):
        assert same(by_hand, by_autograd)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", ["relu", "sigmoid", "tanh"])
def test_every_activation_and_loss_that_is_derived_has_autograds_bits(make_cell, activation, loss):
    model = ("mlp", {"hidden": (20, 12), "activation": activation})
    cells = [make_cell(seed, model=model, loss=(loss, {}), dtype="float32") for seed in (0, 1)]
    for by_hand, by_autograd in both(cells):
        assert same(by_hand, by_autograd)


@pytest.mark.parametrize("activation", ["relu", "sigmoid", "tanh"])
def test_a_cell_that_is_not_finite_is_derived_like_any_other_and_alone(make_cell, activation):
    model = ("mlp", {"hidden": (20,), "activation": activation})
    training = Training(plan([make_cell(seed, model=model, dtype="float32") for seed in (0, 1, 2)])[0], "cpu")
    training.begin(1)
    x, y = next(training.feed.batches(1))
    whole = training.differentiate(x, y), training.gradients.clone()
    training.parameters.block[1, 5] = torch.nan
    hurt = training.differentiate(x, y), training.gradients.clone()
    training.derived = None
    by_autograd = training.differentiate(x, y), training.gradients.clone()
    assert not hurt[0][1].isfinite()
    for before, after, there in zip(whole, hurt, by_autograd, strict=True):
        assert torch.equal(before[[0, 2]], after[[0, 2]])
        assert torch.equal(after.isfinite(), there.isfinite())


@pytest.mark.parametrize(
    "options",
    [
        {"model": ("mlp", {"hidden": (20,), "activation": "scaled-sigmoid"})},
        {"loss": ("cross-entropy", {"label_smoothing": 0.1})},
        {"loss": ("nll", {})},
        {"model": ("lenet", {}), "dataset": ("fashion-mnist", {})},
        {"model": ("mlp", {"hidden": (20,), "batch_norm": True})},
    ],
    ids=["activation", "smoothing", "loss", "convolutions", "batch-norm"],
)
def test_what_is_not_derived_is_left_to_autograd(make_cell, options):
    config = make_cell(**options).config
    loss = load().get("loss", config.loss.name).factory(**dict(config.loss.options))
    assert derived(model_of(config), loss) is None


def test_a_step_by_hand_leaves_no_graph_behind(make_cell):
    training = Training(plan([make_cell(0)])[0], "cpu")
    training.begin(1)
    loss = training.differentiate(*next(training.feed.batches(1)))
    assert not loss.requires_grad
    assert not training.gradients.requires_grad
