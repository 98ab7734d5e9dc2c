"""Tuning: the trials of an arm, ladders and draws."""

from __future__ import annotations

import math

import pytest

from d2lbench.core.errors import GridError

VARY = '[vary]\noptimizer = ["adam", { name = "sgd", momentum = 0.9 }]\n'
LADDER = '[[tune]]\nspace."optimizer.lr" = [0.01, 0.1, 1.0]\n'
DRAWN = '[[tune]]\nbudget = 5\nspace."optimizer.lr" = { low = 1e-3, high = 1.0, log = true }\n'


def rates(arm, seed=0):
    return [rung.config(seed).optimizer.get("lr") for rung in arm.rungs]


def test_a_ladder_gives_every_arm_its_rungs(loaded):
    grid = loaded(VARY + LADDER)
    assert [rates(arm) for arm in grid.arms] == [[0.01, 0.1, 1.0]] * 3
    assert all(arm.tuned_keys == ("optimizer.lr",) for arm in grid.arms)
    assert [rung.label for rung in grid.arms[0].rungs] == ["lr=0.01", "lr=0.1", "lr=1"]
    assert [rung.position("optimizer.lr") for rung in grid.arms[0].rungs] == [0.01, 0.1, 1.0]


@pytest.mark.parametrize(
    "space", ['space."optimizer.lr" = [1, 2]', "space.optimizer.lr = [1, 2]", "space = { optimizer = { lr = [1, 2] } }"]
)
def test_a_space_may_be_dotted_or_nested(loaded, space):
    assert rates(loaded("[[tune]]\n" + space).arms[0]) == [1.0, 2.0]


def test_several_keys_span_a_product(loaded):
    grid = loaded(LADDER + "space.batch_size = [16, 32]\n")
    trials = [(rung.config(0).optimizer.get("lr"), rung.config(0).batch_size) for rung in grid.arms[0].rungs]
    assert trials == [(0.01, 16), (0.01, 32), (0.1, 16), (0.1, 32), (1.0, 16), (1.0, 32)]


def test_whole_components_may_be_tuned(loaded):
    grid = loaded('[[tune]]\nspace.init = ["default", { name = "xavier-normal", gain = [1, 2] }]\n')
    assert [rung.config(0).init.label() for rung in grid.arms[0].rungs] == [
        "default", "xavier-normal", "xavier-normal(gain=2)",
    ]  # fmt: skip


def test_an_arm_obeys_the_one_entry_that_matches_and_none_means_not_tuned(loaded):
    rest = VARY + '[[tune]]\nmatch = { optimizer = "adam" }\nspace."optimizer.lr" = [1e-4, 1e-3]\n'
    rest += "[[tune]]\nmatch = { optimizer.momentum = 0.9 }\nspace.optimizer.lr = [0.3, 3]\n"
    assert [rates(arm) for arm in loaded(rest).arms] == [[], [1e-4, 1e-3], [0.3, 3.0]]


def test_a_tuned_grid_runs_its_rungs_and_the_baseline_at_its_own_values(loaded):
    grid = loaded(VARY + LADDER, optimizer='{ name = "sgd", lr = 0.5 }')
    assert [arm.label for arm in grid.checks] == ["check: own values", "check: replica", "check: rate 0"]
    assert grid.checks[0].config.optimizer.get("lr") == 0.5
    assert len(list(grid.cells())) == (3 * 3 + 3) * 12


def test_trials_come_in_the_order_of_the_file_and_the_own_values_apart(loaded):
    arm = loaded(VARY + LADDER).arms[1]
    assert [cell.config.optimizer.get("lr") for cell in arm.trials(4)] == [0.01, 0.1, 1.0]
    assert {cell.seed for cell in arm.trials(4)} == {4}
    assert arm.default(4).config.optimizer.get("lr") == 1e-3
    assert arm.candidates(4) == arm.trials(4)


def test_what_when_sets_is_an_own_value_and_rungs_go_over_it(loaded):
    grid = loaded(VARY + LADDER + '[[when]]\nmatch = { optimizer = "adam" }\nset = { optimizer.lr = 0.004 }\n')
    assert grid.arms[1].config.optimizer.get("lr") == 0.004
    assert rates(grid.arms[1]) == [0.01, 0.1, 1.0]


def test_an_arm_is_not_told_apart_by_what_is_tuned(loaded):
    with pytest.raises(GridError, match="two arms of one context are the same"):
        loaded('[vary]\noptimizer = [{ name = "sgd", lr = 0.7 }]\n' + LADDER)


def test_draws_depend_on_seed_key_and_number_alone(loaded):
    grid = loaded(VARY + DRAWN)
    baseline, adam, momentum = grid.arms
    assert rates(baseline) == rates(adam) == rates(momentum)  # so arms are paired
    assert rates(baseline, 0) != rates(baseline, 1)
    assert len(set(rates(baseline))) == 5
    fewer = loaded(VARY + DRAWN.replace("budget = 5", "budget = 3"), seeds=[7, 3])
    assert rates(fewer.arms[0], 3) == rates(baseline, 3)[:3]
    assert all(rung.is_drawn and rung.position("optimizer.lr") is None for rung in baseline.rungs)


def test_draws_on_a_logarithmic_axis_are_even_in_the_logarithm(loaded):
    grid = loaded(DRAWN.replace("budget = 5", "budget = 50"))
    drawn = [math.log10(rate) for seed in range(12) for rate in rates(grid.arms[0], seed)]
    assert all(-3 <= value <= 0 for value in drawn)
    # 600 even draws of −3…0: the mean is −1.5 within 4 standard errors of 3/√12/√600
    assert sum(drawn) / len(drawn) == pytest.approx(-1.5, abs=4 * 3 / math.sqrt(12) / math.sqrt(600))


def test_draws_of_a_whole_number_are_whole_and_reach_both_ends(loaded):
    grid = loaded("[[tune]]\nbudget = 60\nspace.batch_size = { low = 1, high = 4 }\nspace.optimizer.lr = [0.1, 0.2]\n")
    drawn = {(rung.config(0).batch_size, rung.config(0).optimizer.get("lr")) for rung in grid.arms[0].rungs}
    assert drawn == {(size, rate) for size in (1, 2, 3, 4) for rate in (0.1, 0.2)}
