"""Facts about the datasets that are drawn: they are what their formulas say, and options move only what they name."""

from __future__ import annotations

import math

import numpy as np
import pytest

from d2lbench.catalogue import datasets
from d2lbench.catalogue.datasets import classification, drawn, regression


def part(splits, name):
    """Return inputs and targets of a split in double precision."""
    rows = getattr(splits, name)
    return splits.pool.x[rows].astype(float), splits.pool.y[rows].astype(float)


def best_constant(factory, **options):
    """Half the mean squared distance of many seeds' test targets from their common mean."""
    y = np.concatenate([part(factory(seed, **options), "test")[1] for seed in range(100)])
    return y.var() / 2


@pytest.mark.parametrize("draw", [drawn.normals, drawn.uniforms])
def test_more_rows_and_more_columns_leave_the_numbers_drawn_as_they_are(draw):
    few, many = draw(5, 3, 1, "here"), draw(80, 30, 1, "here")
    assert np.array_equal(few, many[:5, :3])
    assert not np.array_equal(few, draw(5, 3, 2, "here"))
    assert not np.array_equal(few, draw(5, 3, 1, "there"))
    assert len(set(many.flat)) == many.size


def test_the_drawn_numbers_have_the_moments_of_their_distributions():
    normal, uniform = drawn.normals(1000, 100, 0, "a"), drawn.uniforms(1000, 100, 0, "b")
    assert normal.mean() == pytest.approx(0, abs=5 / math.sqrt(1e5))
    assert normal.var() == pytest.approx(1, abs=5 * math.sqrt(2 / 1e5))
    assert uniform.mean() == pytest.approx(1 / 2, abs=5 / math.sqrt(12e5))
    assert 0 <= uniform.min() < uniform.max() < 1
    correlation = np.corrcoef(normal.T) - np.eye(100)
    assert np.abs(correlation).max() < 6 / math.sqrt(1000)  # columns are independent streams


# high-dim-linear


def test_the_wide_regression_is_the_books():
    splits = datasets.high_dim_linear(3)
    assert splits.pool.x.shape == (120, 200)
    assert splits.pool.truth == pytest.approx([0.01] * 200 + [0.05])


def test_the_best_constant_has_a_loss_of_0_01005_on_the_wide_regression():
    assert best_constant(datasets.high_dim_linear) == pytest.approx(0.01005, rel=0.05)


def test_features_that_are_added_leave_the_others_as_they_were():
    narrow, wide = datasets.high_dim_linear(3, features=5), datasets.high_dim_linear(3, features=9)
    assert np.array_equal(narrow.pool.x, wide.pool.x[:, :5])


# polynomial


def test_the_features_of_the_polynomial_are_powers_over_factorials():
    x, _ = part(datasets.polynomial(2, degree=19), "train")
    assert x.shape == (100, 19)
    for i in range(1, 20):
        assert x[:, i - 1] == pytest.approx(x[:, 0] ** i / math.factorial(i), rel=1e-4, abs=1e-30)


def test_a_lower_degree_sees_the_first_columns_of_a_higher_one_and_the_same_targets():
    low, high = datasets.polynomial(2, degree=1), datasets.polynomial(2, degree=19)
    assert np.array_equal(low.pool.x, high.pool.x[:, :1])
    assert np.array_equal(low.pool.y, high.pool.y)
    assert np.array_equal(low.pool.truth, [1.2, 5])
    assert np.array_equal(high.pool.truth, [1.2, -3.4, 5.6, *[0] * 16, 5])


def test_least_squares_finds_the_cubic_and_no_line_fits_it():
    x, y = part(datasets.polynomial(0, train_size=2000), "train")
    x = np.column_stack([np.ones(len(x)), x])
    cubic, (error,), *_ = np.linalg.lstsq(x, y, rcond=None)
    assert cubic == pytest.approx([5, 1.2, -3.4, 5.6], abs=0.05)
    assert error / len(y) == pytest.approx(0.01, rel=0.1)
    _, (error,), *_ = np.linalg.lstsq(x[:, :2], y, rcond=None)
    assert error / len(y) > 1


def test_the_best_constant_has_a_loss_of_13_5_on_the_polynomial():
    # Var(1.2x − 1.7x² + 5.6/6 x³) of a standard normal x, whose moments of order 2, 4 and 6 are 1, 3 and 15.
    a, b, c = 1.2, -1.7, 5.6 / 6
    variance = a**2 + 2 * b**2 + 15 * c**2 + 2 * 3 * a * c + 0.1**2
    assert variance / 2 == pytest.approx(13.5, abs=0.05)
    _, y = part(datasets.polynomial(0, train_size=100_000), "train")
    assert y.var() == pytest.approx(variance, rel=0.1)  # a fat tail: the standard error is 2 %


# least-squares


@pytest.mark.parametrize("condition", [1.0, 10.0, 1000.0])
def test_the_features_covary_with_the_condition_number_asked_for(condition):
    x, _ = part(datasets.least_squares(5, condition=condition, train_size=100_000), "train")
    covariance = x.T @ x / len(x)
    assert np.linalg.cond(covariance) == pytest.approx(condition, rel=0.05)
    assert np.trace(covariance) == pytest.approx(5, rel=0.02)


def test_the_axes_of_the_features_are_drawn_by_the_seed_and_not_along_the_features():
    found = []
    for seed in (0, 1):
        x, _ = part(datasets.least_squares(seed, condition=100.0, train_size=100_000), "train")
        found.append(np.linalg.eigh(x.T @ x)[1][:, -1])
    assert np.abs(found).max() < 0.98  # a feature's own axis would have a coordinate of 1
    assert abs(found[0] @ found[1]) < 0.98


def test_the_targets_have_variance_1_and_the_true_weights_half_of_the_noise():
    x, y = part(datasets.least_squares(2, train_size=100_000), "train")
    assert y.var() == pytest.approx(1, rel=0.03)
    _, (error,), *_ = np.linalg.lstsq(x, y, rcond=None)
    assert error / len(y) / 2 == pytest.approx(0.7**2 / 2, rel=0.03)


def test_the_condition_number_moves_neither_noise_nor_axes():
    one, other = (datasets.least_squares(4, condition=c, noise=0.5) for c in (1.0, 100.0))
    errors = [s.pool.y - s.pool.x @ s.pool.truth[:-1] for s in (one, other)]
    assert errors[0] == pytest.approx(errors[1], abs=1e-5)


def test_copies_are_there_so_often_each_and_are_the_first_of_the_distinct_examples():
    distinct, copied = datasets.least_squares(1, train_size=60), datasets.least_squares(1, train_size=60, copies=5)
    (x, y), (once, target) = part(copied, "train"), part(distinct, "train")
    assert len(x) == 60
    values, counts = np.unique(np.column_stack([x, y]), axis=0, return_counts=True)
    assert list(counts) == [5] * 12
    assert {tuple(v) for v in values} == {tuple(v) for v in np.column_stack([once, target])[:12]}
    assert np.array_equal(part(copied, "test")[0], part(distinct, "test")[0])


# sparse-linear


def test_five_features_matter_one_of_a_group_with_weights_of_1():
    for seed in range(20):
        weights = datasets.sparse_linear(seed).pool.truth[:-1]
        (chosen,) = np.nonzero(weights)
        assert set(np.abs(weights[chosen])) == {1}
        assert len(set(chosen // regression.GROUP)) == len(chosen) == 5


def test_relevant_features_and_their_signs_differ_between_seeds():
    weights = np.array([datasets.sparse_linear(seed).pool.truth for seed in range(40)])
    assert len({tuple(np.flatnonzero(row)) for row in weights}) == 40
    assert -60 < weights.sum() < 60  # of 200 random signs; four standard deviations are 57


def test_more_relevant_features_keep_the_others():
    few, many = datasets.sparse_linear(0, relevant=3).pool.truth, datasets.sparse_linear(0, relevant=150).pool.truth
    (chosen,) = np.nonzero(few)
    assert np.array_equal(few[chosen], many[chosen])
    assert np.count_nonzero(many) == 150


def test_noise_features_come_behind_the_others_and_change_no_number():
    plain, noisy = datasets.sparse_linear(7), datasets.sparse_linear(7, noise_features=40)
    assert np.array_equal(plain.pool.x, noisy.pool.x[:, :200])
    assert np.array_equal(plain.pool.y, noisy.pool.y)
    assert not noisy.pool.truth[200:].any()
    assert noisy.pool.x[:, 200:].var() == pytest.approx(1, rel=0.05)


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.95])
def test_neighbours_correlate_as_asked_and_strangers_do_not(correlation):
    x, _ = part(datasets.sparse_linear(0, features=12, correlation=correlation, train_size=20_000), "train")
    same = np.equal.outer(np.arange(12) // 5, np.arange(12) // 5)
    expected = np.where(same, correlation, 0.0)
    np.fill_diagonal(expected, 1.0)
    assert np.cov(x.T) == pytest.approx(expected, abs=0.05)


def test_the_best_constant_has_a_loss_of_3_on_the_sparse_regression_correlated_or_not():
    assert best_constant(datasets.sparse_linear) == pytest.approx(3, rel=0.05)
    assert best_constant(datasets.sparse_linear, correlation=0.9) == pytest.approx(3, rel=0.05)


# xor


def test_opposite_corners_form_a_class_and_corners_take_turns():
    x, y = part(datasets.xor(0, noise=0.0, train_size=8), "train")
    assert set(np.abs(x.flat)) == {1}
    assert np.array_equal(y, (x[:, 0] * x[:, 1] < 0))
    assert np.array_equal(x[:4], x[4:])
    assert len({tuple(corner) for corner in x}) == 4


def test_without_noise_no_line_beats_a_coin():
    x, y = part(datasets.xor(0, noise=0.0), "train")
    with_bias = np.column_stack([x, np.ones(len(x))])
    # The cross entropy is convex in the line's weights; its gradient at 0, where it is ln 2, is the mean of x(½ − y).
    assert np.array_equal((with_bias * (0.5 - y)[:, None]).mean(0), [0, 0, 0])


def test_the_noise_spreads_each_cluster_by_its_standard_deviation():
    x, _ = part(datasets.xor(0, noise=0.25, train_size=20_000), "train")
    corners, _ = part(datasets.xor(0, noise=0.0, train_size=20_000), "train")
    assert (x - corners).std(axis=0) == pytest.approx([0.25, 0.25], rel=0.03)


# topics


def test_words_follow_zipfs_law_over_all_topics():
    counts = np.zeros(1000)
    for seed in range(20):
        counts += np.bincount(datasets.topics(seed).pool.x.flat, minlength=1000)
    slope, _ = np.polyfit(np.log(np.arange(1, 201)), np.log(counts[:200]), 1)
    assert slope == pytest.approx(-1, abs=0.1)


def test_a_topics_words_come_as_often_as_its_distribution_says():
    splits = datasets.topics(3, train_size=80_000)
    p = np.diff(classification._frequencies(1000, 3), prepend=0.0)
    for topic in range(8):
        words = splits.pool.x[splits.train][splits.pool.y[splits.train] == topic]
        n = words.size
        z = (np.bincount(words.flat, minlength=1000) - n * p[topic]) / np.sqrt(n * p[topic] * (1 - p[topic]))
        assert np.abs(z).max() < 5.5
        assert z.var() == pytest.approx(1, abs=0.25)  # of 1,000 words; five standard deviations are 0.22


def test_the_best_possible_classifier_of_topics_is_right_nine_times_in_ten():
    accuracies = []
    for seed in range(10):
        splits = datasets.topics(seed)
        log_p = np.log(np.diff(classification._frequencies(1000, seed), prepend=0.0))
        found = log_p[:, splits.pool.x[splits.test]].sum(-1).argmax(0)
        accuracies.append((found == splits.pool.y[splits.test]).mean())
    assert np.mean(accuracies) == pytest.approx(0.91, abs=0.03)


def test_longer_bags_begin_with_the_words_of_shorter_ones():
    short, long = datasets.topics(4, length=5), datasets.topics(4, length=12)
    assert np.array_equal(short.pool.x, long.pool.x[:, :5])
