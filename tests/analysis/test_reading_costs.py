"""Facts about costs beside quality: programs are shared, runs are multiplied out, nobody unbeaten is left out."""

from __future__ import annotations

import itertools
import math

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from d2lbench import catalogue
from d2lbench.analysis.costs import Costs, cost_table, known_costs, optimal
from d2lbench.analysis.tables import arm_table
from d2lbench.grid import load
from d2lbench.store import Store, Timing

RATES = "[vary]\noptimizer.lr = [0.3]\nmodel.hidden = [[16]]\n"


def cost(step=1e-3, **more):
    times = {"forward": 0.1, "forward-train": 0.3, "backward": 0.4, "step": 1.0}
    parts = {
        part: {"summary": {"median": share * step, "low": None, "high": None}, "status": "precise"}
        for part, share in times.items()
    }
    return {"parameters": 610, "batch": 32, "parts": parts, "held": 5_000, "peak": 2_000, **more}


def width(config):
    """The program of these tests: a network's width decides it."""
    return str(config.model.get("hidden"))


def table_of(results, known):
    return cost_table(results, arm_table(results), Costs(width, known))


def optimal_among(points):
    return optimal(pd.DataFrame(points, columns=["cost", "quality"]))


NUMBERS = st.sampled_from([0.0, 1.0, 2.0, 3.0, math.nan, math.inf])


@given(st.lists(st.tuples(NUMBERS, NUMBERS), max_size=8))
def test_the_arms_on_the_line_are_those_that_no_other_dominates(points):
    known = [point if all(map(math.isfinite, point)) else None for point in points]

    def dominated(mine):
        return any(
            other is not None and other[0] <= mine[0] and other[1] >= mine[1] and other != mine for other in known
        )

    expected = {number for number, mine in enumerate(known) if mine is not None and not dominated(mine)}
    assert optimal_among(points) == expected


def test_arms_of_one_program_share_its_cost_and_others_do_not(grid_of, results_of):
    results = results_of(grid_of(RATES), lambda *_: {"test_accuracy": 0.9, "train_accuracy": 1.0})
    table = table_of(results, {"(8,)": cost(1e-3), "(16,)": cost(2e-3)})
    base, rate, wide = table.rows
    assert (base.program, rate.program, wide.program) == (1, 1, 2)
    assert base.step == rate.step
    assert (base.step.median, wide.step.median) == (1e-3, 2e-3)
    assert (base.forward.median, base.backward.median) == (pytest.approx(3e-4), pytest.approx(4e-4))
    assert base.memory == 7_000


def test_a_run_costs_its_steps(grid_of, results_of):
    results = results_of(grid_of(""), lambda *_: {"test_accuracy": 0.9})
    (row,) = table_of(results, {"(8,)": cost(1e-3)}).rows
    assert row.steps == 4 * 29  # 900 images in batches of 32: 28 full ones and a smaller
    assert row.seconds == pytest.approx(0.116)


def test_a_run_that_stopped_early_costs_the_epochs_that_it_took(grid_of, results_of):
    rest = '[base.stopping]\nname = "patience"\n'
    results = results_of(grid_of(rest), lambda _, __, seed: {"test_accuracy": 0.9, "stopped": [2.0 * (seed < 4)]})
    (row,) = table_of(results, {"(8,)": cost()}).rows
    assert row.steps == 3 * 29  # half of the seeds two epochs, the others four


def test_a_tuned_arm_costs_what_the_rung_costs_that_most_seeds_picked(grid_of, results_of):
    grid = grid_of('[[tune]]\nspace."model.hidden" = [[8], [16]]\n', seeds=8)

    def finals(_, rung, seed):
        return {"validation_accuracy": 0.9 if rung == (seed < 6) else 0.5, "test_accuracy": 0.9}

    table = table_of(results_of(grid, finals), {"(8,)": cost(1e-3), "(16,)": cost(2e-3)})
    assert table.is_tuned
    assert [row.step.median for row in table.rows] == [2e-3]


def test_an_arm_without_a_cost_stays_in_the_table_and_off_the_plot(grid_of, results_of):
    table = table_of(results_of(grid_of(RATES), lambda *_: {"test_accuracy": 0.9}), {"(16,)": cost()})
    assert [row.program for row in table.rows] == [None, None, 1]
    assert [row.is_placed for row in table.rows] == [False, False, True]
    assert math.isnan(table.rows[0].seconds)


def test_without_any_cost_or_key_there_is_no_table(grid_of, results_of):
    results = results_of(grid_of(RATES), lambda *_: {"test_accuracy": 0.9})
    assert table_of(results, {}) is None
    assert cost_table(results, arm_table(results), None) is None


def test_the_better_and_the_cheaper_are_marked_where_neither_beats_the_other(grid_of, results_of):
    accuracy = {"base": 0.8, "wide": 0.9}
    results = results_of(
        grid_of(RATES), lambda label, *_: {"test_accuracy": accuracy["wide" if "16" in label else "base"]}
    )
    rows = table_of(results, {"(8,)": cost(1e-3), "(16,)": cost(2e-3)}).rows
    assert [row.is_optimal for row in rows] == [True, True, True]
    rows = table_of(results, {"(8,)": cost(2e-3), "(16,)": cost(1e-3)}).rows
    assert [row.is_optimal for row in rows] == [False, False, True]


REGRESSION = """
format = 1
title = "t"
question = "q"
seeds = 8
checks = false
[base]
dataset = "high-dim-linear"
model = "linear"
loss = "mse"
optimizer = "sgd"
epochs = 4
batch_size = 5
[vary]
regularizer = ["l2"]
"""


def test_a_loss_is_better_when_it_is_lower(results_of):
    grid = load(REGRESSION, catalogue.load(), file="test.toml")
    results = results_of(grid, lambda label, *_: {"test_loss": 0.1 if "l2" in label else 0.2})
    known = Costs(lambda config: config.regularizer.name, {"none": cost(1e-3), "l2": cost(1e-3)})
    table = cost_table(results, arm_table(results), known)
    assert [row.is_optimal for row in table.rows] == [False, True]


def test_arms_judged_on_other_data_are_plotted_apart_those_trained_on_fewer_are_not(grid_of, results_of):
    sizes = "[product]\ndataset = [{ train_size = 100 }, { train_size = 300 }]\n"
    results = results_of(grid_of(sizes), lambda *_: {"test_accuracy": 0.9})
    assert {row.data for row in table_of(results, {"(8,)": cost()}).rows} == {""}
    other = '[product]\ndataset = ["digits", "xor"]\n'
    results = results_of(grid_of(other), lambda *_: {"test_accuracy": 0.9})
    assert [row.data for row in table_of(results, {"(8,)": cost()}).rows] == ["digits", "xor"]


def test_the_machine_with_the_most_programs_is_read_and_at_a_tie_the_last(tmp_path):
    def rows(machine, *programs):
        return [Timing("cost", program, machine, "here", cost()) for program in programs]

    with Store(tmp_path / "store.sqlite") as store:
        store.save_timings(
            [*rows("m1", "a", "b"), *rows("m2", "c"), Timing("machine", "", "m1", "here", {"cores": "2"})]
        )
        found = known_costs(store, "here", width)
        assert found.known.keys() == {"a", "b"}
        assert found.machine == (("cores", "2"),)
        store.save_timings(rows("m2", "d"))
        assert known_costs(store, "here", width).known.keys() == {"c", "d"}
        assert known_costs(store, "elsewhere", width).known == {}


def test_every_order_of_the_same_points_marks_the_same_arms():
    points = [(1.0, 1.0), (1.0, 1.0), (2.0, 1.0), (2.0, 3.0), (0.5, 0.0)]
    for order in itertools.permutations(range(5)):
        found = {order[number] for number in optimal_among([points[k] for k in order])}
        assert found == {0, 1, 3, 4}
