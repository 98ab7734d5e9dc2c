"""Early stopping: each row ends with the best parameters it had, at the epoch at which its own patience was over."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from d2lbench.engine.plan import WEIGHTS, Stack, plan
from d2lbench.engine.train import Training, train

#: Overfits soon: a hundred images, and a rate at which the validation loss turns after some epochs.
SMALL = {"epochs": 30, "dtype": "float64", "model": ("mlp", {"hidden": (16,)}), "optimizer": ("adam", {"lr": 0.02})}


def expected_end(losses, patience, min_delta=0.0):
    """Walk along a curve by hand: the epochs of the best value and of the stop (0: never)."""
    best, best_epoch, waited = math.inf, 0, 0
    for epoch, value in enumerate(losses, 1):
        if value < best - min_delta:
            best, best_epoch, waited = value, epoch, 0
        else:
            waited += 1
        if waited == patience and epoch < len(losses):
            return best_epoch, epoch
    return best_epoch, 0


@pytest.mark.parametrize(("patience", "min_delta"), [(1, 0.0), (3, 0.0), (3, 0.02), (100, 0.0)])
def test_a_run_ends_with_the_parameters_of_its_best_epoch(patience, min_delta, make_cell, stacked_run):
    free = make_cell(1, **SMALL)
    curve = stacked_run([free])[free.id][1].series["validation_loss"][1]
    best, stop = expected_end(curve[1:], patience, min_delta)
    cell = make_cell(1, stopping=("patience", {"patience": patience, "min_delta": min_delta}), **SMALL)
    row, outcome = stacked_run([cell])[cell.id]
    assert outcome.series["stopped"][1].tolist() == [stop]
    assert outcome.series["validation_loss"][1][-1] == pytest.approx(curve[best], rel=1e-12)
    assert len(outcome.series["validation_loss"][1]) == 31  # the curve stays level from the stop on
    until_best = make_cell(1, **{**SMALL, "epochs": best})
    torch.testing.assert_close(row, stacked_run([until_best])[until_best.id][0], rtol=1e-12, atol=0)


def test_every_row_of_a_stack_has_its_own_patience_and_leaves_its_neighbours_bits_alone(make_cell):
    patient = [make_cell(seed, stopping=("patience", {"patience": 2 + seed}), **SMALL) for seed in (0, 1)]
    free = make_cell(2, **SMALL)
    stacks = plan([*patient, free])
    assert len(stacks) == 1
    found = {cell.seed: outcome for cell, outcome in zip(stacks[0].cells, train(stacks[0]), strict=True)}
    (alone,) = train(Stack((free,)))
    np.testing.assert_allclose(found[2].series["test_loss"][1], alone.series["test_loss"][1], rtol=1e-9)
    stops = [int(found[seed].series["stopped"][1][0]) for seed in (0, 1)]
    assert all(0 < stop < 30 for stop in stops)
    assert found[2].series["stopped"][1][0] == 0


def test_accuracy_is_watched_upward_and_running_statistics_go_back_too(make_cell):
    options = {**SMALL, "model": ("mlp", {"hidden": (16,), "batch_norm": True}), "batch_size": 25}
    rule = ("patience", {"patience": 2, "metric": "validation_accuracy"})
    cell = make_cell(1, stopping=rule, **options)
    training = Training(Stack((cell,)), "cpu")
    (outcome,) = training.run()
    curve = outcome.series["validation_accuracy"][1]
    assert curve[-1] == curve[1:].max()
    best = 1 + int(curve[1:].argmax())
    until_best = Training(Stack((make_cell(1, **{**options, "epochs": best}),)), "cpu")
    until_best.run()
    for name, buffer in until_best.parameters.buffers.items():
        torch.testing.assert_close(training.parameters.buffers[name], buffer, rtol=1e-12, atol=0)


def test_only_evaluated_epochs_count(make_cell, stacked_run):
    cell = make_cell(1, eval_every=4, stopping=("patience", {"patience": 1}), **SMALL)
    outcome = stacked_run([cell])[cell.id][1]
    stop = int(outcome.series["stopped"][1][0])
    assert stop % 4 == 0
    assert stop > 0


@pytest.mark.parametrize("patience", [2, 100])
def test_a_run_that_is_judged_at_an_average_ends_with_its_best_average(patience, make_cell, stacked_run):
    options = {**SMALL, "epochs": 6, "optimizer": ("asgd", {"lr": 0.5, "t0": 1.0})}  # four steps to the epoch
    free = make_cell(1, **options)
    curve = stacked_run([free])[free.id][1].series["validation_loss"][1]
    best, stop = expected_end(curve[1:], patience, min_delta=9.0)
    assert best == 1, "no later one is better by that much"
    cell = make_cell(1, stopping=("patience", {"patience": patience, "min_delta": 9.0}), **options)
    outcome = stacked_run([cell], series=frozenset({WEIGHTS}))[cell.id][1]
    found = outcome.series["validation_loss"][1]
    assert outcome.series["stopped"][1].tolist() == [stop]
    assert found[-1] == pytest.approx(curve[best], rel=1e-12)
    assert set(found[stop or 6 :]) == {found[-1]}, "it stays level from the stop on"
    until_best = make_cell(1, **{**options, "epochs": best})
    weights = stacked_run([until_best], series=frozenset({WEIGHTS}))[until_best.id][1].weights
    assert outcome.weights == weights
