"""Facts about reports on regressions: losses stand where accuracies would, averaged and compared in logarithms."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from d2lbench import catalogue
from d2lbench.analysis.checks import check_views
from d2lbench.analysis.claims import judge
from d2lbench.analysis.headlines import ACCURACY, LOSS, headline_of, shown_metric
from d2lbench.analysis.panels import figure_groups
from d2lbench.analysis.results import Results
from d2lbench.analysis.settling import on_such_data
from d2lbench.analysis.tables import arm_table
from d2lbench.grid import load

HEAD = """
format   = 1
seeds    = 4
title    = "A test"
question = "What is read of a regression?"
[base]
dataset    = "sparse-linear"
model      = "linear"
loss       = "half-mse"
optimizer  = { name = "sgd", lr = 0.1 }
epochs     = 4
batch_size = 50
"""
VARY = '[vary]\nregularizer = [{ name = "l2", strength = 0.1 }]\n'
TUNED = '[[tune]]\nspace."optimizer.lr" = [0.01, 0.1, 1.0]\n'
ACCURATE = shown_metric("validation_accuracy", at="last")
BASE, OTHER = (np.array([1.0, 2.0, 4.0, 8.0]), np.array([0.5, 1.5, 1.0, 9.0]))


@pytest.fixture
def regression():
    """Return a function from the rest of a grid's text to a grid that predicts numbers."""
    return lambda rest="": load(HEAD + rest, catalogue.load(), file="test.toml")


def losses(label, _, seed):
    loss = (OTHER if "l2" in label else BASE)[seed]
    return {"train_loss": loss / 2, "validation_loss": loss, "test_loss": loss}


def test_a_grid_speaks_of_losses_only_where_it_predicts_numbers(regression, grid_of):
    assert headline_of(regression()) is LOSS
    assert headline_of(grid_of("")) is ACCURACY
    assert headline_of(grid_of('[vary]\nloss = ["mse"]\n')) is ACCURACY


def test_a_squared_loss_of_classes_still_picks_by_accuracy(regression, grid_of):
    squared = grid_of(f'[vary]\nloss = ["mse"]\n{TUNED}')
    assert squared.table_select.name == "validation_accuracy"
    assert regression(TUNED).table_select.name == "validation_loss"


def test_arms_stand_with_geometric_means_and_differ_by_ratios(regression, results_of):
    table = arm_table(results_of(regression(VARY), losses))
    base, other = table.rows
    assert (table.metric, table.unit, table.as_ratio) == ("test loss, last epoch", "", True)
    assert base.metric.mean == pytest.approx(np.exp(np.log(BASE).mean()))
    assert other.train.mean == pytest.approx(np.exp(np.log(OTHER / 2).mean()))
    assert other.against_baseline.mean == pytest.approx(np.log(OTHER / BASE).mean())
    assert other.correlation == pytest.approx(np.corrcoef(np.log(BASE), np.log(OTHER))[0, 1])


def test_the_trivial_predictor_of_numbers_is_a_constant(regression, results_of):
    table = arm_table(results_of(regression(VARY), losses))
    assert (table.trivial_label, table.trivial) == ("best constant", pytest.approx(2.3))


def test_the_figures_of_a_regression_show_losses_on_log_axes(regression, results_of):
    groups = {group.kind: group for group in figure_groups(results_of(regression(VARY + TUNED), losses))}
    assert groups["learning-curves"].panels[0].y_label == "test loss"
    assert groups["ladders"].panels[0].y_label == "validation loss"
    assert "count at the best constant" in groups["ladders"].caption
    assert all(panel.y_log for group in groups.values() for panel in group.panels)
    assert groups["heat-maps"].maps[0].log
    assert "ccuracy" not in " ".join(group.caption for group in groups.values())


def test_the_expected_best_of_losses_is_their_smallest(regression, results_of):
    def ladder(_, rung, __):
        return {"validation_loss": [4.0, 1.0, 2.0][rung or 0], "test_loss": 1.0, "train_loss": 1.0}

    groups = {group.kind: group for group in figure_groups(results_of(regression(TUNED), ladder))}
    (curve,) = groups["budgets"].panels[0].curves
    assert curve.mean == pytest.approx(((4 + 1 + 2) / 3, (1 + 2 + 1) / 3, 1.0))


def test_the_check_of_equals_tells_a_factor_between_losses(regression, results_of):
    grid = regression(VARY)
    results = results_of(grid, losses)
    base = next(arm for arm in grid.arms if arm.is_baseline)
    replica = next(arm for arm in grid.checks if arm.check == "replica")
    runs = dict(results.runs)
    for seed in grid.seeds:
        run = runs[base.default(seed).id]
        x, y = run.series["test_loss"]
        runs[replica.default(seed).id] = replace(run, series={"test_loss": (x, 2 * y)})
    same = check_views(Results(grid, runs))[0]
    assert same.differences == pytest.approx([np.log(2)] * 4)
    assert "Test loss is 2 times as large".lower() in same.detail.lower()


def test_squared_errors_are_in_no_nats(regression, results_of, grid_of):
    text = (
        '[[claims]]\nid = "it"\nkind = "demonstration"\norigin = "ours"\nsays = "s"\nsource = "s"\n'
        'metric = "test_loss"\nlower = "baseline"\nthan = 9\n'
    )
    (of_numbers,) = judge(results_of(regression(text), losses))
    (of_classes,) = judge(results_of(grid_of(text, seeds=4), losses))
    assert (of_numbers.unit, of_classes.unit) == ("", "nats")


def test_what_beats_chance_is_judged_by_the_size_of_a_fold(grid_of, results_of):
    """An accuracy of 0.2 beside a chance of 0.1 is luck among 20 examples, and none among 180."""
    few = '{ name = "digits", train_size = 100, folds = 5 }'
    many = '{ name = "digits", train_size = 900, folds = 5 }'
    edges = []
    for folded in (few, many):
        grid = grid_of(f"[product]\ndataset = [{folded}]\n{TUNED}", seeds=1)
        results = results_of(grid, lambda _, rung, __: {"validation_accuracy": [0.2, 0.1, 0.1][rung]})
        edges.append(results.on_the_edge(grid.arms[0], 0, ACCURATE))
    assert edges == [False, True]


@pytest.mark.parametrize(("dataset", "told"), [("mnist", True), ("digits", False)])
def test_examples_are_resampled_only_where_all_seeds_share_them(grid_of, results_of, dataset, told):
    grid = grid_of(
        f'[product]\ndataset = ["{dataset}"]\n[vary]\nmodel.hidden = [[16]]\n'
        '[[claims]]\nid = "it"\nkind = "comparison"\norigin = "ours"\nsays = "s"\nsource = "s"\n'
        'metric = "test_accuracy"\nhigher = { model.hidden = [16] }\nthan = "baseline"\n'
    )
    results = results_of(grid, lambda _, __, ___: {"test_accuracy": 0.5})
    bits = np.packbits(np.arange(40) % 2 == 0).tobytes()
    runs = {key: replace(run, correctness={"test": (bits, 40)}) for key, run in results.runs.items()}
    (claim,) = grid.claims
    (part,) = claim.parts
    assert (on_such_data(Results(grid, runs), part) is not None) is told
