"""Facts about what the questions on fitting are measured with, against NumPy and scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.polynomial import Chebyshev
from sklearn.linear_model import LinearRegression
from sklearn.preprocessing import PolynomialFeatures

from d2lbench import catalogue
from d2lbench.catalogue.metrics import Record

REGISTRY = catalogue.load()


def cubic_data(seed):
    """Return the inputs and numbers of the training and of the test examples, in double precision."""
    splits = REGISTRY.get("dataset", "polynomial").factory(seed, degree=3)
    x, y = splits.pool.x[:, 0].astype(float), splits.pool.y.astype(float)
    return x[splits.train], y[splits.train], x[splits.test], y[splits.test]


def fitted(seed, degree):
    return REGISTRY.get("experiment", "polynomial-least-squares").factory(seed, degree=degree)


def late_slope(values, positions, **options):
    return REGISTRY.get("statistic", "late_slope").factory(np.array(values), np.array(positions, float), **options)


def test_the_late_slope_is_that_of_a_line_through_the_last_half():
    x = [0, 1, 2, 3, 4, 5, 6]
    y = [9.0, 4.0, 2.0, 1.0, 0.7, 0.1, 0.3]
    assert late_slope(y, x) == pytest.approx(np.polyfit(x[3:], y[3:], 1)[0])
    assert late_slope(y, x, share=1.0) == pytest.approx(np.polyfit(x, y, 1)[0])


def test_one_point_has_no_late_slope():
    assert math.isnan(late_slope([1.0, 2.0], [0, 10], share=0.1))


def test_a_loss_is_told_in_units_of_the_best_constants():
    read = REGISTRY.get("metric", "loss_over_constant").factory
    series = {"test_loss": (np.array([0.0, 1.0]), np.array([8.0, 3.0]))}
    assert read(Record(series, constant_loss=2.0)) == 1.5


def test_a_diverged_run_is_no_better_than_the_best_constant():
    read = REGISTRY.get("metric", "loss_over_constant").factory
    series = {"test_loss": (np.array([0.0, 1.0]), np.array([8.0, np.nan]))}
    assert read(Record(series, diverged=True, constant_loss=2.0, last_finite_loss=0.5)) == 1.0
    assert read(Record(series, diverged=True, constant_loss=2.0, last_finite_loss=9.0)) == 4.5


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_closed_form_cubic_is_scikit_learns(seed):
    x, y, unseen, wanted = cubic_data(seed)
    powers = PolynomialFeatures(3, include_bias=False)
    line = LinearRegression().fit(powers.fit_transform(x[:, None]), y)
    found = fitted(seed, 3)
    assert found["train_error"] == pytest.approx(np.mean((line.predict(powers.transform(x[:, None])) - y) ** 2))
    errors = line.predict(powers.transform(unseen[:, None])) - wanted
    assert found["test_error"] == pytest.approx(np.mean(errors**2))
    coefficients = np.array([line.intercept_, line.coef_[0], 2 * line.coef_[1], 6 * line.coef_[2]])
    assert found["coefficient_error"] == pytest.approx(np.abs(coefficients - [5, 1.2, -3.4, 5.6]).max())


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_twenty_coefficients_fit_the_same_in_another_basis(seed):
    x, y, *_ = cubic_data(seed)
    other = Chebyshev.fit(x, y, 19)
    assert fitted(seed, 19)["train_error"] == pytest.approx(np.mean((other(x) - y) ** 2), rel=1e-6)


def test_more_coefficients_never_fit_the_training_examples_worse():
    errors = [fitted(0, degree)["train_error"] for degree in (3, 5, 9, 19)]
    assert errors == sorted(errors, reverse=True)


@pytest.mark.parametrize("loss", ["cross-entropy", "nll", "mse"])
@pytest.mark.parametrize("turned", [False, True])
def test_the_answer_is_the_first_of_the_largest_outputs_in_every_order_of_memory(loss, turned):
    rows = [[0.0, 0.0, 0.0], [1.0, 2.0, 2.0], [3.0, -1.0, 3.0], [-np.inf, -np.inf, 5.0], [np.nan, 9.0, 1.0]]
    outputs = torch.tensor([rows, rows[::-1]])
    if turned:
        outputs = outputs.mT.contiguous().mT
    answers = REGISTRY.get("loss", loss).factory().predict(outputs)
    assert answers.tolist() == [[0, 1, 0, 2, 0], [0, 2, 0, 1, 0]]  # one that is not a number is the largest
