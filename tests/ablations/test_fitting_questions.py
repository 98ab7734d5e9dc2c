"""Facts about the questions on fitting: what is worked out in them follows from their own settings."""

from __future__ import annotations

import math

import pytest

from d2lbench import catalogue
from d2lbench.grid import find_grids, load

REGISTRY = catalogue.load()


def question(name):
    (path,) = find_grids((name,))
    return load(path, REGISTRY)


def claim(grid, name):
    return next(claim for claim in grid.claims if claim.id == name)


def updates(config, examples):
    return config.epochs * math.ceil(examples / config.batch_size)


def test_the_predicted_norm_is_what_decay_leaves_where_no_gradient_points():
    grid = question("weight-decay")
    (comparison,) = claim(grid, "decay-learns-nothing").parts
    config = comparison.first.arm.config
    features, examples = config.dataset.get("features"), config.dataset.get("train_size")
    assert config.init.get("std") == 1
    kept = (1 - config.optimizer.get("lr") * config.regularizer.get("strength")) ** updates(config, examples)
    assert comparison.second == pytest.approx(math.sqrt(features - examples) * kept, rel=1e-4)


def test_the_demonstrated_range_is_a_fifth_about_that_norm():
    grid = question("weight-decay")
    above, below, _ = claim(grid, "decay-shrinks-weights").parts
    (predicted,) = claim(grid, "decay-learns-nothing").parts
    assert above.second == pytest.approx(1.2 * predicted.second, rel=1e-2)
    assert below.second == pytest.approx(0.8 * predicted.second, rel=1e-2)


def test_rprop_and_descent_take_equally_many_updates_on_full_and_on_mini_batches():
    arms = question("rprop-batches").arms
    assert {arm.config.batch_size for arm in arms} == {1500, 50}
    assert {updates(arm.config, 1500) for arm in arms} == {60}


def test_redundant_and_distinct_data_are_passed_over_equally_often():
    arms = question("redundant-data").arms
    assert {arm.config.epochs for arm in arms} == {5}
    assert {arm.config.dataset.get("train_size") for arm in arms} == {1500}


def test_adam_is_looked_at_five_steps_after_it_was_rebuilt():
    arms = [arm for arm in question("rebuilt-optimizer").arms if not arm.is_baseline]
    assert sorted(arm.config.rebuild_at for arm in arms) == [10, 40]
    for arm in arms:
        assert (arm.config.epochs - arm.config.rebuild_at) * math.ceil(900 / arm.config.batch_size) == 5


def test_both_scales_share_their_cells():
    for name in ("weight-decay", "polynomial", "polynomial-exact", "xor", "sparse-regression", "adagrad-late"):
        (path,) = find_grids((name,))
        quick, full = (load(path, REGISTRY, scale=scale) for scale in ("quick", "full"))
        assert {cell.id for cell in quick.cells()} < {cell.id for cell in full.cells()}
