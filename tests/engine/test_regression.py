"""Regression: numbers instead of classes, from the synthetic data of the book."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from d2lbench import catalogue
from d2lbench.engine.plan import plan
from d2lbench.engine.train import train

LINEAR = {
    "model": ("linear", {}),
    "loss": ("half-mse", {}),
    "init": ("normal", {}),
    "optimizer": ("sgd", {"lr": 0.003}),
}
HIGH_DIMENSIONAL = {"dataset": ("high-dim-linear", {}), "batch_size": 5, "epochs": 10, **LINEAR}


def data_of(cell):
    splits = (
        catalogue.load()
        .get("dataset", cell.config.dataset.name)
        .factory(cell.seed, **dict(cell.config.dataset.options))
    )
    return splits, splits.pool.x.astype(np.float64), splits.pool.y.astype(np.float64)


@pytest.mark.slow
@pytest.mark.parametrize("dataset", ["high-dim-linear", "polynomial", "least-squares", "sparse-linear"])
def test_a_linear_model_trains_like_its_module_on_data_of_its_own_seed(
    dataset, make_cell, by_the_book, stacked_run, difference
):
    cells = [make_cell(seed, **{**HIGH_DIMENSIONAL, "dataset": (dataset, {})}, dtype="float64") for seed in (0, 1, 2)]
    found = stacked_run(cells)
    assert len(plan(cells)) == 1
    for cell in cells:
        assert difference(found[cell.id][0], by_the_book(cell).block()) <= 1e-9


def test_no_accuracy_is_told_where_numbers_are_predicted(make_cell):
    (outcome,) = train(plan([make_cell(**HIGH_DIMENSIONAL)])[0])
    assert not [name for name in outcome.series if name.endswith("_accuracy")]
    assert outcome.correctness == {}
    assert math.isnan(outcome.chance)


def test_the_constant_predictor_answers_with_the_mean_of_the_training_targets(make_cell):
    cell = make_cell(3, **HIGH_DIMENSIONAL)
    (outcome,) = train(plan([cell])[0])
    splits, _, y = data_of(cell)
    expected = ((y[splits.test] - y[splits.train].mean()) ** 2).mean() / 2
    assert outcome.constant_loss == pytest.approx(expected, rel=1e-6)


def test_gap_and_coefficients_are_measured_against_least_squares_and_truth(make_cell, stacked_run):
    cell = make_cell(2, **{**HIGH_DIMENSIONAL, "dataset": ("least-squares", {}), "batch_size": 50, "epochs": 3})
    row, outcome = stacked_run([cell])[cell.id]
    splits, x, y = data_of(cell)
    x, y = x[splits.train], y[splits.train]
    with_one = np.column_stack([x, np.ones(len(y))])
    solution, *_ = np.linalg.lstsq(with_one, y, rcond=None)
    optimum = ((with_one @ solution - y) ** 2).mean() / 2
    w = row.numpy()
    loss = ((with_one @ w - y) ** 2).mean() / 2
    assert outcome.series["train_loss"][1][-1] == pytest.approx(loss, rel=1e-9)
    assert outcome.series["optimality_gap"][1][-1] == pytest.approx(loss - optimum, rel=1e-6)
    assert outcome.series["coefficient_error"][1][-1] == pytest.approx(np.abs(w - splits.pool.truth).max(), rel=1e-6)


def test_lbfgs_reaches_the_least_squares_optimum_in_a_few_steps(make_cell):
    problem = {**HIGH_DIMENSIONAL, "dataset": ("least-squares", {}), "batch_size": 1500, "epochs": 3}
    cell = make_cell(**{**problem, "optimizer": ("lbfgs", {"lr": 1.0})})
    (outcome,) = train(plan([cell])[0])
    # It ends where a step changes the loss by less than 1e-9, its `tolerance_change`.
    assert abs(outcome.series["optimality_gap"][1][-1]) < 1e-9


def test_one_output_that_is_rounded_predicts_classes(make_cell):
    cell = make_cell(loss=("rounded-mse", {}), optimizer=("adam", {"lr": 0.01}), epochs=100, eval_every=10)
    (outcome,) = train(plan([cell])[0])
    accuracy = outcome.series["train_accuracy"][1]
    assert accuracy[-1] > 0.2 > accuracy[0]
    assert outcome.series["train_loss"][1][-1] < 3 < outcome.series["train_loss"][1][0]
    assert len(outcome.correctness["test"][0]) == -(-497 // 8)


@pytest.mark.parametrize("loss", ["cross-entropy", "nll", "mse", "bce"])
def test_a_constant_network_has_the_constant_predictors_loss(loss, make_cell):
    """At weights 0 and the best constant outputs, the loss is the constant predictor's: of xor, of two even classes."""
    cell = make_cell(
        loss=(loss, {}), dataset=("xor", {}), model=("mlp", {"hidden": (4,)}), init=("zeros", {}), epochs=1
    )
    (outcome,) = train(plan([cell])[0])
    start = outcome.series["test_loss"][1][0]
    expected = {"mse": 0.25}.get(loss, math.log(2))
    assert outcome.constant_loss == pytest.approx(expected, rel=0.02)
    assert start == pytest.approx({"mse": 0.5}.get(loss, math.log(2)), rel=1e-6)


def test_a_searching_lbfgs_with_an_l2_penalty_reaches_the_ridge_solution(make_cell, stacked_run):
    """The minimum of |Xw + b - y|²/2n + λ/2·|w|² in closed form (Hoerl and Kennard 1970); no penalty on b."""
    problem = {**HIGH_DIMENSIONAL, "dataset": ("least-squares", {}), "batch_size": 1500, "epochs": 4}
    searching = ("lbfgs", {"line_search": "strong-wolfe"})
    cell = make_cell(**{**problem, "optimizer": searching}, regularizer=("l2", {"strength": 0.5}))
    row, outcome = stacked_run([cell])[cell.id]
    splits, x, y = data_of(cell)
    x, y = x[splits.train], y[splits.train]
    x, y = x - x.mean(0), y - y.mean()
    w = np.linalg.solve(x.T @ x / len(y) + 0.5 * np.eye(x.shape[1]), x.T @ y / len(y))
    np.testing.assert_allclose(row[:-1].numpy(), w, rtol=0, atol=2e-5)  # torch's tolerance is 1e-9 of the loss
    assert outcome.status == "done"


@pytest.mark.parametrize("classes", [2, 3])
def test_the_constant_of_a_binary_cross_entropy_is_a_number_where_a_class_is_missing(classes):
    loss = catalogue.load().get("loss", "bce").factory()
    labels = torch.zeros(1, 5, dtype=torch.int64)  # of the first class alone
    outputs = loss.constant(labels, classes)[:, None].expand(-1, 5, -1)
    assert loss.per_example(outputs, labels).tolist() == [[0.0] * 5]
    assert bool((loss.per_example(outputs, labels + 1) > 1e300).all())
