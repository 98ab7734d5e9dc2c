"""``exclude``, ``when`` and how selectors match."""

from __future__ import annotations

import pytest

VARY = '[vary]\noptimizer = ["adam", { name = "sgd", momentum = 0.9 }]\nmodel.activation = ["tanh"]\n'
DEPTHS = "[product]\nmodel.depth = [1, 2]\n"
ALL = ["baseline", "adam", "sgd(momentum=0.9)", "activation=tanh"]


def left(grid):
    return [arm.label for arm in grid.arms]


@pytest.mark.parametrize(
    ("selector", "remaining"),
    [
        ('optimizer = "adam"', [ALL[0], ALL[2], ALL[3]]),
        ("optimizer.momentum = 0.9", [ALL[0], ALL[1], ALL[3]]),
        ('"optimizer.momentum" = 0.9', [ALL[0], ALL[1], ALL[3]]),
        ("optimizer = { momentum = 0.0 }", [ALL[1], ALL[2]]),  # a default matches like a written value
        ('optimizer = { name = "sgd", momentum = [0.0, 0.9] }', [ALL[1]]),  # a list: any of them
        ('optimizer = ["adam", { momentum = 0.9 }]', [ALL[0], ALL[3]]),
        ('optimizer = "sgd"\nmodel.activation = "relu"', [ALL[1], ALL[3]]),  # all keys must match
        ("epochs = 5", ALL),
        ("epochs = [3, 5]", ALL),
        ('regularizer = "l2"', ALL),
        ("optimizer.lr = 1", ALL),
        ("model.depth = 3", ALL),
    ],
)
def test_excluded_arms_vanish(loaded, selector, remaining):
    assert left(loaded(VARY + "[[exclude]]\n" + selector)) == remaining


def test_a_whole_number_matches_a_real_option(loaded):
    grid = loaded("[vary]\noptimizer.lr = [1.0, 2.0]\n[[exclude]]\noptimizer.lr = 1")
    assert left(grid) == ["baseline", "lr=2"]


def test_a_scalar_matches_a_sequence_that_has_it_in_every_layer(loaded):
    rest = '[vary]\nregularizer = [{ name = "dropout", p = [[0.2, 0.5], [0.5, 0.5]] }]\n[[exclude]]\n'
    assert left(loaded(rest + "regularizer.p = 0.5")) == ["baseline", "dropout(p=[0.2, 0.5])"]
    assert left(loaded(rest + "regularizer.p = [0.2, 0.5]")) == ["baseline", "dropout(p=[0.5, 0.5])"]
    assert left(loaded(rest + "regularizer.p = [[0.2, 0.5], [0.5, 0.5]]")) == ["baseline"]


def test_a_shape_matches_in_either_spelling(loaded):
    rest = DEPTHS + "[[exclude]]\n"
    assert len(loaded(rest + "model.depth = 1").arms) == 1
    assert len(loaded(rest + "model.hidden = [64]").arms) == 1
    assert len(loaded(rest + "model = { depth = 1, width = 64 }").arms) == 1
    assert len(loaded(rest + "model.width = 65").arms) == 2


def test_an_exclusion_may_name_an_arm_that_makes_no_sense(loaded):
    rest = '[product]\nmodel = ["mlp", "softmax"]\n[vary]\nregularizer = ["dropout"]\n'
    grid = loaded(rest + '[[exclude]]\nmodel = "softmax"\nregularizer = "dropout"\n')
    assert left(grid) == ["mlp · baseline", "mlp · dropout", "softmax · baseline"]


def test_the_baseline_of_a_context_may_be_excluded(loaded):
    grid = loaded(DEPTHS + VARY + '[[exclude]]\nmodel = { depth = 1, activation = "relu" }\n')
    assert left(grid)[0] == "depth=1 · activation=tanh"
    assert [arm.config.model.get("depth") for arm in grid.checks] == [2, 2]


def test_when_sets_what_it_says_on_arms_that_match(loaded):
    grid = loaded(VARY + '[[when]]\nmatch = { optimizer = "adam" }\nset = { optimizer.lr = 0.002, epochs = 7 }\n')
    assert [(arm.config.optimizer.get("lr"), arm.config.epochs) for arm in grid.arms] == [
        (0.1, 4), (0.002, 7), (0.1, 4), (0.1, 4),
    ]  # fmt: skip


def test_when_runs_in_order_and_sees_what_came_before(loaded):
    first = '[[when]]\nmatch = { optimizer = "adam" }\nset = { epochs = 7 }\n'
    second = "[[when]]\nmatch = { epochs = 7 }\nset = { batch_size = 8 }\n"
    assert [arm.config.batch_size for arm in loaded(VARY + first + second).arms] == [32, 8, 32, 32]
    assert [arm.config.batch_size for arm in loaded(VARY + second + first).arms] == [32, 32, 32, 32]


def test_when_replaces_before_it_changes(loaded):
    grid = loaded(
        VARY + '[[when]]\nmatch = { optimizer = "adam" }\nset = { init.gain = 2.0, init.name = "xavier-normal" }'
    )
    assert grid.arms[1].config.init.canonical == (("gain", 2.0),)


def test_exclude_looks_at_arms_before_when(loaded):
    grid = loaded(VARY + '[[exclude]]\nepochs = 7\n[[when]]\nmatch = { optimizer = "adam" }\nset = { epochs = 7 }\n')
    assert left(grid) == ALL
