"""Early stopping, clipping and a rebuilt optimizer in a grid; and that cells without them are the cells they were."""

from __future__ import annotations

import hashlib
import json

import pytest

from d2lbench.catalogue.stopping import Patience
from d2lbench.core.errors import GridError
from d2lbench.core.spec import Cell
from d2lbench.grid import load

#: The identity of a cell as it was when the keys did not exist, spelled by hand.
OLD = {
    "engine": 1,
    "seed": 3,
    "dataset": {"name": "digits"},
    "model": {"name": "mlp", "hidden": [64, 64]},
    "init": {"name": "default"},
    "loss": {"name": "cross-entropy"},
    "regularizer": {"name": "none"},
    "optimizer": {"name": "sgd"},
    "schedule": {"name": "constant"},
    "epochs": 4,
    "batch_size": 32,
}


def config_of(loaded, rest="", **changes):
    return loaded(rest, **changes).arms[0].config


def test_a_cell_that_names_none_of_them_is_the_cell_it_was(loaded, registry):
    content = OLD | {"checksum": registry.get("dataset", "digits").traits.checksum}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    for spelled in ({}, {"stopping": '"none"'}):
        assert Cell(config_of(loaded, **spelled), 3).id == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    ("key", "written", "identity"),
    [
        ("stopping", '"patience"', {"name": "patience"}),
        ("stopping", '{ name = "patience", patience = 3, min_delta = 0 }', {"name": "patience", "patience": 3}),
        ("clip_norm", "1", 1.0),
        ("clip_norm", "0.5", 0.5),
        ("rebuild_at", "2", 2),
    ],
)
def test_a_cell_that_names_one_is_another_cell(loaded, key, written, identity):
    plain, changed = config_of(loaded), config_of(loaded, **{key: written})
    assert changed.identity == plain.identity | {key: identity}
    assert Cell(changed, 0).id != Cell(plain, 0).id


def test_silence_means_none_of_them(loaded):
    config = config_of(loaded)
    assert (config.stopping.name, config.clip_norm, config.rebuild_at) == ("none", None, None)


def test_stopping_is_made_of_its_options(loaded, registry):
    stopping = config_of(loaded, stopping='{ name = "patience", metric = "validation_accuracy" }').stopping
    made = registry.get("stopping", stopping.name).factory(**dict(stopping.options))
    assert made == Patience(patience=5, metric="validation_accuracy", min_delta=0.0)
    assert registry.get("stopping", "none").factory() is None


def test_they_vary_like_any_other_key(loaded):
    grid = loaded(
        '[vary]\nstopping = [{ name = "patience", patience = [1, 2] }]\nclip_norm = [0.5, 5]\nrebuild_at = 2\n'
    )
    labels = ["patience(patience=1)", "patience(patience=2)", "clip_norm=0.5", "clip_norm=5", "rebuild_at=2"]
    assert [arm.label for arm in grid.arms] == ["baseline", *labels]
    assert [axis.paths for axis in grid.axes] == [("stopping",), ("clip_norm",), ("rebuild_at",)]


def test_they_are_selected_and_set_like_any_other_key(loaded):
    vary = "[vary]\nclip_norm = [0.5, 5.0]\n[[exclude]]\nclip_norm = 5\n"
    grid = loaded(f"{vary}[[when]]\nmatch.clip_norm = 0.5\nset.rebuild_at = 1\n", sets=["stopping=patience"])
    assert [(arm.config.clip_norm, arm.config.rebuild_at) for arm in grid.arms] == [(None, None), (0.5, 1)]
    assert {arm.config.stopping.name for arm in grid.arms} == {"patience"}


def test_drawn_norms_are_real_numbers_and_drawn_epochs_whole_ones(loaded):
    space = "space.clip_norm = { low = 0.5, high = 2.0 }\nspace.rebuild_at = { low = 1, high = 3 }\nbudget = 5\n"
    (arm,) = loaded(f"[[tune]]\n{space}").arms
    drawn = [rung.config(seed) for rung in arm.rungs for seed in range(12)]
    assert all(isinstance(config.clip_norm, float) and 0.5 <= config.clip_norm <= 2 for config in drawn)
    assert any(config.clip_norm % 1 for config in drawn)
    assert {config.rebuild_at for config in drawn} == {1, 2, 3}


def test_the_rule_of_two_evaluations_counts_the_last_epoch(loaded, registry, grid_text):
    assert config_of(loaded, eval_every="3", stopping='"patience"').stopping.name == "patience"
    text = grid_text(dataset='{ name = "fashion-mnist" }', stopping='"patience"')
    assert load(text, registry, scale="full").arms[0].config.stopping.name == "patience"


NUMBERS = {"dataset": '"high-dim-linear"', "model": '"linear"', "loss": '"half-mse"'}


@pytest.mark.parametrize(
    ("metric", "base", "key", "problem"),
    [
        ("validation_loss", NUMBERS, "schedule", "watches validation data, of which there is none"),
        (
            "validation_accuracy",
            {**NUMBERS, "dataset": '{ name = "high-dim-linear", validation = 20 }'},
            "schedule.metric",
            "does not exist where numbers are predicted",
        ),
    ],
)
def test_a_plateau_is_refused_a_metric_that_no_run_has(loaded, metric, base, key, problem):
    with pytest.raises(GridError, match=problem) as error:
        loaded(schedule=f'{{ name = "plateau", metric = "{metric}" }}', **base)
    assert error.value.key == f"base.{key}"


def test_a_fold_is_validation_data_to_watch(loaded):
    numbers = {**NUMBERS, "dataset": '{ name = "high-dim-linear", folds = 4 }'}
    assert config_of(loaded, stopping='"patience"', **numbers).stopping.name == "patience"


def test_a_squared_error_of_classes_leaves_an_accuracy_to_watch(loaded):
    watching = '{ name = "patience", metric = "validation_accuracy" }'
    assert config_of(loaded, stopping=watching, loss='"mse"').loss.name == "mse"
