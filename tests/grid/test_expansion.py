"""What a grid expands to: contexts × (the baseline + one change at a time)."""

from __future__ import annotations

import math

import pytest

from d2lbench.core.errors import GridError
from d2lbench.core.spec import Config, Measurement
from d2lbench.grid import load

VARY = '[vary]\noptimizer = ["adam", { name = "sgd", momentum = 0.9 }]\n'
DEPTHS = "[product]\nmodel.depth = [1, 2, 4]\n"


def labels(grid):
    return [arm.label for arm in grid.arms]


def identities(grid):
    return [arm.config.identity for arm in grid.arms]


def test_without_axes_the_baseline_is_the_arm(loaded):
    grid = loaded()
    assert labels(grid) == ["baseline"]
    assert grid.arms[0].is_baseline
    assert len(list(grid.cells())) == 12 + 2 * 12  # one arm and two checks, twelve seeds


def test_base_is_completed_with_defaults(loaded):
    config = loaded().arms[0].config
    assert isinstance(config, Config)
    named = (config.init, config.loss, config.regularizer, config.schedule)
    assert [part.name for part in named] == ["default", "cross-entropy", "none", "constant"]
    assert (config.eval_every, config.dtype, config.replica) == (1, "float32", 0)


def test_vary_changes_one_thing_at_a_time(loaded):
    grid = loaded('[vary]\noptimizer = ["adam"]\nmodel.activation = ["tanh", "sigmoid"]\nepochs = [2]')
    assert labels(grid) == ["baseline", "adam", "activation=tanh", "activation=sigmoid", "epochs=2"]
    assert [arm.config.model.get("activation") for arm in grid.arms] == ["relu", "relu", "tanh", "sigmoid", "relu"]
    assert [arm.config.epochs for arm in grid.arms] == [4, 4, 4, 4, 2]


def test_contexts_are_the_product_with_the_last_axis_fastest(loaded):
    grid = loaded('[product]\nmodel.depth = [1, 2]\ninit = ["default", "xavier-normal"]\n' + VARY)
    assert len(grid.arms) == 4 * 3
    assert labels(grid)[:4] == [
        "depth=1, default · baseline",
        "depth=1, default · adam",
        "depth=1, default · sgd(momentum=0.9)",
        "depth=1, xavier-normal · baseline",
    ]
    assert len(grid.contexts) == 4


def test_zip_walks_its_lists_together_beside_the_product(loaded):
    grid = loaded("[product]\nepochs = [2, 3]\n[zip]\nmodel.depth = [1, 2]\nmodel.width = [64, 45]")
    assert [(arm.config.epochs, arm.config.model.get("hidden")) for arm in grid.arms] == [
        (2, (64,)), (2, (45, 45)), (3, (64,)), (3, (45, 45)),
    ]  # fmt: skip
    assert [(axis.kind, axis.name, len(axis)) for axis in grid.axes] == [
        ("product", "epochs", 2),
        ("zip", "model.depth & model.width", 2),
    ]


@pytest.mark.parametrize(
    ("value", "rate", "momentum"),
    [
        ('"sgd"', 0.1, 0.0),
        ('{ name = "sgd", momentum = 0.9 }', 0.1, 0.9),
        ("{ momentum = 0.9 }", 0.7, 0.9),
    ],
)
def test_a_name_replaces_and_a_table_without_one_changes(loaded, value, rate, momentum):
    grid = loaded(f"[vary]\noptimizer = [{value}]", optimizer='{ name = "sgd", lr = 0.7 }')
    changed = grid.arms[1].config.optimizer
    assert (changed.get("lr"), changed.get("momentum")) == (rate, momentum)


def test_lists_within_an_element_expand_as_a_product(loaded):
    grid = loaded('[vary]\nregularizer = [{ name = "l2", strength = [1e-4, 1e-3], bias = [false, true] }, "l1"]')
    assert labels(grid)[1:] == [
        "l2(strength=0.0001, bias=false)",
        "l2(strength=0.0001, bias=true)",
        "l2(strength=0.001, bias=false)",
        "l2(strength=0.001, bias=true)",
        "l1",
    ]


@pytest.mark.parametrize(
    ("written", "rates"),
    [
        ("p = [0.2, 0.5]", [(0.2, 0.5)]),
        ("p = [[0.2, 0.5]]", [(0.2, 0.5)]),
        ("p = [[0.2, 0.5], [0.5, 0.2]]", [(0.2, 0.5), (0.5, 0.2)]),
        ("p = 0.3", [(0.3, 0.3)]),
        ("p = [0.3]", [(0.3, 0.3)]),
        ("p = [[0.2, 0.5], 0.3]", [(0.2, 0.5), (0.3, 0.3)]),
    ],
)
def test_a_list_is_one_value_of_a_sequence_and_a_list_of_lists_several(loaded, written, rates):
    grid = loaded(f'[vary]\nregularizer = [{{ name = "dropout", {written} }}]')
    assert [arm.config.regularizer.get("p") for arm in grid.arms[1:]] == rates


def test_a_sequence_is_an_axis_as_a_list_of_lists(loaded):
    grid = loaded("[vary]\nmodel.hidden = [[32], [32, 32, 32]]")
    assert [arm.config.model.get("hidden") for arm in grid.arms] == [(64, 64), (32,), (32, 32, 32)]


def test_one_rate_for_all_layers_is_the_same_arm_as_it_spelled_out(loaded):
    with pytest.raises(GridError, match="two arms of one context are the same"):
        loaded('[vary]\nregularizer = [{ name = "dropout", p = 0.5 }, { name = "dropout", p = [[0.5, 0.5]] }]')


@pytest.mark.parametrize(
    "model",
    [
        {"model": '{ name = "mlp", depth = 3, width = 16 }'},
        {"model": '{ name = "mlp" }', "model.depth": "3", "model.width": "16"},
        {"model": None, "model.name": '"mlp"', "model.hidden": "[16, 16, 16]"},
        {"model": None, '"model.name"': '"mlp"', '"model.depth"': "3", "'model.width'": "16"},
        {"model": '{ name = "mlp", depth = 3 }', '"model.width"': "16"},
    ],
)
def test_dotted_nested_and_quoted_keys_mean_the_same(registry, model):
    lines = {"dataset": '"digits"', "optimizer": '"sgd"', "epochs": "2", "batch_size": "8"}
    base = "\n".join(f"{key} = {value}" for key, value in {**lines, **model}.items() if value is not None)
    if "model.depth" in model:
        base = base.replace('model = { name = "mlp" }', 'model.name = "mlp"')
    grid = load(f'format = 1\ntitle = "x"\nseeds = 2\n[base]\n{base}\n', registry)
    assert identities(grid)[0]["model"] == {"name": "mlp", "hidden": (16, 16, 16)}


def test_the_cells_of_two_spellings_are_one(loaded):
    dotted = loaded("[vary]\nmodel.activation = ['tanh']", model='{ name = "mlp", depth = 2, width = 64 }')
    nested = loaded("[vary.model]\nactivation = ['tanh']\n", model='{ name = "mlp", hidden = [64, 64] }')
    assert [cell.id for cell in dotted.cells()] == [cell.id for cell in nested.cells()]


def test_defaults_that_are_spelled_out_do_not_change_a_cell(loaded):
    silent = loaded(optimizer='"sgd"')
    spelled = loaded(
        optimizer='{ name = "sgd", lr = 0.1, momentum = 0 }', eval_every="1", replica="0", init='{ name = "default" }'
    )
    assert [cell.id for cell in silent.cells()] == [cell.id for cell in spelled.cells()]


def test_a_dataset_checksum_is_part_of_a_cell(loaded, registry):
    config = loaded().arms[0].config
    assert config.identity["checksum"] == registry.get("dataset", "digits").traits.checksum


def test_quick_overrides_base_and_replaces_axes_and_seeds(loaded):
    rest = (
        VARY + '[quick]\nepochs = 2\nmodel = { hidden = [8] }\nseeds = [3, 5]\n[quick.vary]\ninit = ["xavier-normal"]\n'
    )
    quick, full = loaded(rest), loaded(rest, scale="full")
    assert labels(quick) == ["baseline", "xavier-normal"]
    assert labels(full) == ["baseline", "adam", "sgd(momentum=0.9)"]
    assert (quick.seeds, full.seeds) == ((3, 5), tuple(range(12)))
    assert (quick.arms[0].config.epochs, full.arms[0].config.epochs) == (2, 4)
    assert quick.arms[0].config.model.canonical == (("hidden", (8,)),)


def test_a_grid_without_quick_has_the_same_cells_at_both_scales(loaded):
    assert [c.id for c in loaded(VARY).cells()] == [c.id for c in loaded(VARY, scale="full").cells()]


def test_quick_may_respell_a_shape(loaded):
    grid = loaded("[quick]\nmodel = { depth = 3 }")
    assert grid.arms[0].config.model.get("hidden") == (64, 64, 64)


def test_contexts_that_replace_a_component_go_before_those_that_change_it(loaded):
    grid = loaded('[zip]\noptimizer.momentum = [0.0, 0.9]\n[product]\noptimizer = [{ name = "sgd", lr = 0.5 }]')
    assert [(a.config.optimizer.get("lr"), a.config.optimizer.get("momentum")) for a in grid.arms] == [
        (0.5, 0.0),
        (0.5, 0.9),
    ]


def test_arms_of_two_keys_with_one_label_are_told_apart_by_their_keys(loaded):
    grid = loaded("[vary]\nschedule.warmup = [1]\noptimizer.momentum = [0.5]\noptimizer.dampening = [0.5]")
    assert len(set(labels(grid))) == 4
    rest = '[vary]\nregularizer = ["l1"]\nmodel = [{ width = 32 }]\ninit = [{ name = "normal", std = 0.1 }]'
    assert labels(loaded(rest)) == ["baseline", "l1", "width=32", "normal(std=0.1)"]


def test_checks_stand_beside_the_first_context(loaded):
    grid = loaded(DEPTHS + VARY)
    assert [(arm.label, arm.check, arm.role) for arm in grid.checks] == [
        ("check: replica", "replica", "check"),
        ("check: rate 0", "zero-rate", "check"),
    ]
    replica, still = (arm.config for arm in grid.checks)
    baseline = grid.arms[0].config
    assert replica.replica == 1
    assert replica.identity | {"replica": 0} == baseline.identity | {"replica": 0}
    assert still.optimizer.get("lr") == 0.0
    assert still.model == baseline.model


def test_checks_can_be_switched_off(loaded):
    grid = loaded(top="seeds = 12\nchecks = false")
    assert grid.checks == ()
    assert len(list(grid.cells())) == 12


def test_an_experiment_stands_instead_of_everything_that_trains(with_experiment):
    text = 'format = 1\ntitle = "x"\nseeds = 3\n[base]\nexperiment = { name = "toy", factors = 2 }\n'
    grid = load(text + "[vary]\nexperiment.factors = [10, 100]\n", with_experiment)
    assert [arm.config.experiment.get("factors") for arm in grid.arms] == [2, 10, 100]
    assert all(isinstance(arm.config, Measurement) for arm in grid.arms)
    assert grid.checks == ()
    assert grid.table_select is None
    assert len(list(grid.cells())) == 9


def test_an_experiment_may_get_a_required_option_from_an_axis(with_experiment):
    text = 'format = 1\ntitle = "x"\nseeds = 1\n[base]\nexperiment = "toy"\n'
    grid = load(text + "[product]\nexperiment.factors = [10, 100]\n", with_experiment)
    assert len(grid.arms) == 2
    with pytest.raises(GridError, match=r'base\.experiment\.factors: experiment "toy" needs this option'):
        load(text, with_experiment)


def test_an_experiment_has_nothing_to_tune(with_experiment):
    text = 'format = 1\ntitle = "x"\nseeds = 1\n[base]\nexperiment = { name = "toy", factors = 2 }\n'
    with pytest.raises(GridError, match=r"tune\[0\]: an experiment has nothing to tune"):
        load(text + "[[tune]]\nspace.experiment.size = [1, 2]\n", with_experiment)


def test_what_trains_does_not_become_an_experiment(with_experiment):
    text = 'format = 1\ntitle = "x"\nseeds = 1\n[base]\nexperiment = { name = "toy", factors = 2 }\n'
    with pytest.raises(GridError, match=r"vary\.epochs\[0\]: an experiment stands instead"):
        load(text + "[vary]\nepochs = [1]\n", with_experiment)


def test_every_arm_is_a_cell_per_seed_and_no_cell_comes_twice(loaded):
    grid = loaded(DEPTHS + VARY)
    ids = [cell.id for cell in grid.cells()]
    assert len(ids) == len(set(ids)) == (9 + 2) * 12
    assert math.prod((3, 3, 12)) == grid.size.product
