"""Evaluations look at splits where they lie, and find what a look at each example by itself would find."""

from __future__ import annotations

import math

import pytest
import torch

from d2lbench.catalogue import load
from d2lbench.catalogue.losses import largest_at
from d2lbench.engine import batches, evaluation
from d2lbench.engine.batches import HELD_OUT, SPLITS
from d2lbench.engine.plan import plan
from d2lbench.engine.stacked import Pass
from d2lbench.engine.train import Training

LINEAR = {"model": ("linear", {}), "loss": ("half-mse", {}), "dataset": ("high-dim-linear", {"validation": 7})}
FOLDS = {"dataset": ("digits", {"train_size": 100, "folds": 4, "fold": 1})}
WHOLE = {"dataset": ("digits", {})}
TASKS = {
    "a part of a pool": {},
    "a whole pool": WHOLE,
    "folds": FOLDS,
    "a pool for every seed": LINEAR,
    "splits that are one": LINEAR | {"dataset": ("least-squares", {"copies": 2})},
}


def stack_of(make_cell, seeds, **options):
    rates = enumerate(seeds)
    return plan([make_cell(seed, optimizer=("sgd", {"lr": 0.1 + k}), **options) for k, seed in rates], width=99)[0]


def one_by_one(training, split):
    """Return losses and hits of a split's examples, each gathered by its row and looked at by itself."""
    losses, hits = [], []
    for rows in training.feed.rows[split].split(1, dim=1):
        x, y = training.feed.gather(rows)
        o = training.program(Pass(training.parameters), x)
        losses.append(training.loss.per_example(o, y).detach())
        hits.append(training.loss.predict(o) == y)
    return torch.cat(losses, 1).double(), torch.cat(hits, 1)


@pytest.mark.parametrize("splits", [SPLITS, HELD_OUT], ids=["all", "held-out"])
@pytest.mark.parametrize("seeds", [(0,), (0, 1, 2), (0, 0, 1, 1), (0, 0), (0, 1, 1)], ids=str)
@pytest.mark.parametrize("task", TASKS)
def test_splits_are_evaluated_like_examples_one_by_one(make_cell, monkeypatch, task, seeds, splits):
    monkeypatch.setattr(evaluation, "_CHUNK", 5000)  # several chunks, the last a smaller one
    training = Training(stack_of(make_cell, seeds, **TASKS[task]), "cpu")
    found = training.evaluation(training.parameters, splits)
    for split in (name for name in splits if training.feed.rows[name].shape[1]):
        losses, hits = one_by_one(training, split)
        torch.testing.assert_close(found[f"{split}_loss"], losses.mean(1), rtol=1e-12, atol=0)
        if training.feed.classes:
            assert torch.equal(training.evaluation.hits[split], hits)
            assert torch.equal(found[f"{split}_accuracy"], hits.double().mean(1))


def test_inputs_that_stay_bytes_are_evaluated_like_those_converted_at_once(make_cell, monkeypatch):
    results = []
    for few in (batches.FEW, 0):
        monkeypatch.setattr(batches, "FEW", few)
        training = Training(stack_of(make_cell, (0, 1), **WHOLE), "cpu")
        results.append(training.evaluation(training.parameters) | {"x": next(training.feed.batches(1))[0]})
    assert results[0].keys() == results[1].keys()
    assert all(torch.equal(results[0][name], results[1][name]) for name in results[0])


def test_a_pool_that_holds_the_splits_whole_is_never_gathered(make_cell, monkeypatch):
    training = Training(stack_of(make_cell, (0, 1), **WHOLE), "cpu")
    monkeypatch.setattr(training.feed, "gather", lambda _: pytest.fail("rows were gathered"))
    training.evaluation(training.parameters)


@pytest.mark.parametrize("options", [{}, LINEAR], ids=["digits", "linear"])
@pytest.mark.parametrize("seeds", [(0, 1), (0, 0, 1, 1)], ids=str)
def test_batches_gathered_at_once_are_those_gathered_one_by_one(make_cell, monkeypatch, options, seeds):
    feed = Training(stack_of(make_cell, seeds, **options), "cpu").feed
    at_once = list(feed.batches(3))
    monkeypatch.setattr(batches, "FEW", 0)
    one_by_one = list(feed.batches(3))
    assert [len(y[0]) for _, y in at_once] == feed.batch_sizes()
    for (x, y), (x_alone, y_alone) in zip(at_once, one_by_one, strict=True):
        assert torch.equal(x, x_alone)
        assert torch.equal(y, y_alone)


@pytest.mark.parametrize("seeds", [(0, 0, 1, 1), (3, 3, 3)], ids=str)
def test_cells_of_one_output_that_share_their_inputs_train_like_each_alone(make_cell, stacked_run, difference, seeds):
    cells = [
        make_cell(seed, **{**LINEAR, "optimizer": ("sgd", {"lr": 0.001 * (k + 1)}), "epochs": 5})
        for k, seed in enumerate(seeds)
    ]
    assert Training(plan(cells)[0], "cpu").feed.shares
    together = stacked_run(cells)
    for cell in cells:
        row, outcome = together[cell.id]
        alone_row, alone = stacked_run([cell])[cell.id]
        assert difference(row, alone_row) <= 1e-12
        for name, (_, values) in alone.series.items():
            assert outcome.series[name][1] == pytest.approx(values, rel=1e-9, nan_ok=True)


@pytest.mark.parametrize("seeds", [(0, 1), (0, 1, 1), (0, 0, 1)], ids=str)
def test_inputs_are_shared_by_as_many_neighbours_or_not_at_all(make_cell, seeds):
    assert not Training(stack_of(make_cell, seeds, **LINEAR), "cpu").feed.shares


OUTPUTS = {
    "numbers": lambda: torch.randn(3, 7, 40),
    "ties": lambda: torch.randint(0, 3, (3, 7, 40)).float(),
    "zeros": lambda: torch.zeros(3, 7, 40),
    "denormal": lambda: torch.randn(3, 7, 40) * 1e-42,
    "infinite": lambda: torch.randn(3, 7, 40).masked_fill_(torch.rand(3, 7, 40) < 0.2, math.inf),
    "not-a-number": lambda: torch.randn(3, 7, 40).masked_fill_(torch.rand(3, 7, 40) < 0.1, math.nan),
    "ties-and-not-a-number": lambda: torch.randint(0, 2, (3, 7, 40)).float().index_fill_(0, torch.tensor(1), math.nan),
}


@pytest.mark.parametrize("kind", OUTPUTS)
def test_hits_are_the_predictions_that_equal_the_labels(kind):
    torch.manual_seed(5)
    outputs, labels = OUTPUTS[kind](), torch.randint(0, 7, (3, 40))
    assert torch.equal(largest_at(outputs, labels), outputs.argmax(1) == labels)


@pytest.mark.parametrize("name", load().names("loss"))
def test_every_loss_counts_its_own_predictions(name):
    torch.manual_seed(6)
    loss = load().get("loss", name).factory()
    outputs = torch.randn(2, 30, 1 if name == "rounded-mse" else 4)
    labels = torch.randint(0, 4, (2, 30))
    assert torch.equal(loss.hits(outputs, labels), loss.predict(outputs) == labels)
