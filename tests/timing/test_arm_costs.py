"""Facts about costing: a program is measured once, in a fair share of a budget, and what has no cost says why."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from dataclasses import replace

import pytest

from d2lbench import catalogue
from d2lbench.core.environment import environment
from d2lbench.core.errors import TimingError
from d2lbench.core.spec import Cell, Component
from d2lbench.grid import load
from d2lbench.store import Timing
from d2lbench.timing import arm_costs as costing
from d2lbench.timing.arm_costs import FAIR_SHARE, MOST_EACH, Costed, Costing, cost_key, programs
from d2lbench.timing.process import MeasuringProcess

HEAD = """
format = 1
title = "A test"
question = "What does it cost?"
seeds = 4
checks = false
[base]
dataset = { name = "digits", train_size = 100 }
model = { name = "mlp", hidden = [8] }
optimizer = { name = "sgd", lr = 0.1 }
epochs = 2
batch_size = 32
"""


def grid_of(rest=""):
    return load(HEAD + rest, catalogue.load(), file="test.toml")


class Clock:
    """Seconds that pass only when somebody takes them."""

    def __init__(self):
        self.seconds = 100.0

    def __call__(self):
        return self.seconds


class StandIn:
    """Measures nothing, takes as long as it is told, and writes down what it was asked."""

    def __init__(self, clock, takes=lambda seconds: seconds, start=0.0, broken=()):
        self.clock, self.takes, self.start, self.broken, self.asked = clock, takes, start, broken, []

    def machine(self):
        self.clock.seconds += self.start
        return {"processor": "none"}

    def measure(self, cell, seconds):
        self.asked.append((cell.config, seconds))
        self.clock.seconds += self.takes(seconds)
        if cell.config.model.get("hidden") in self.broken:
            problem = "it broke"
            raise TimingError(problem)
        return {"width": len(cell.config.model.get("hidden"))}


@pytest.fixture
def measure(store):
    """Return a function that costs grids with a stand-in, on a clock of its own."""

    def measures(*grids, budget=20.0, **about):
        clock = Clock()
        stand_in = StandIn(clock, **about)
        found = Costing(store, budget=budget, quiet=True, now=clock).run(
            grids, lambda: contextlib.nullcontext(stand_in)
        )
        return found, stand_in, clock

    return measures


WIDTHS = "[vary]\nmodel.hidden = [[4], [16], [32], [64]]\n"

SAME = [
    "optimizer.lr = [0.5]",
    'init = ["xavier-normal"]',
    'schedule = ["cosine"]',
    "epochs = [5]",
    "dataset.train_size = [300]",
    'regularizer = [{ name = "l2", strength = 0.1 }, { name = "l2", strength = 0.2 }]',
    'optimizer = [{ name = "sgd", momentum = 0.5 }, { name = "sgd", momentum = 0.9 }]',
]
OTHER = [
    "model.hidden = [[9]]",
    "batch_size = [16]",
    'optimizer = ["adam"]',
    'optimizer = [{ name = "sgd", momentum = 0.9 }]',
    'regularizer = ["dropout"]',
    'model.activation = ["tanh"]',
    'dtype = ["float64"]',
    'loss = ["mse"]',
    "clip_norm = [1.0]",
    "dataset.train_size = [20]",  # fewer than fill a batch
]


def keys(rest):
    return [cost_key(arm.config) for arm in grid_of(f"[vary]\n{rest}\n").arms]


@pytest.mark.parametrize("rest", SAME)
def test_numbers_make_no_other_program(rest):
    assert len(set(keys(rest)[-2:])) == 1


@pytest.mark.parametrize("rest", OTHER)
def test_other_arithmetic_makes_another_program(rest):
    assert len(set(keys(rest))) == 2


def test_a_key_is_the_same_in_another_process():
    code = (
        "import sys; from d2lbench import catalogue; from d2lbench.timing.arm_costs import cost_key;"
        "from d2lbench.grid import load; grid = load(sys.argv[1], catalogue.load(), file='test.toml');"
        "print(cost_key(grid.arms[0].config))"
    )
    told = subprocess.run([sys.executable, "-c", code, HEAD], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == cost_key(grid_of().arms[0].config)


def test_each_program_is_measured_once_the_cheapest_first(measure):
    grid = grid_of(f"{WIDTHS}optimizer.lr = [0.5]\n")
    found, stand_in, _ = measure(grid, grid_of("[vary]\nepochs = [3]\n"), grid)
    assert found == Costed(measured=5)
    assert [config.model.get("hidden") for config, _ in stand_in.asked] == [(4,), (8,), (16,), (32,), (64,)]


def test_rungs_that_change_the_program_are_measured_too():
    tuned = grid_of('[[tune]]\nspace."model.hidden" = [[4], [8], [16]]\n')
    assert [cell.config.model.get("hidden") for cell in programs([tuned]).values()] == [(4,), (8,), (16,)]


def test_what_the_store_has_is_not_measured_again(measure, store):
    measure(grid_of())
    found, stand_in, _ = measure(grid_of(WIDTHS))
    assert found == Costed(known=1, measured=4)
    assert (8,) not in [config.model.get("hidden") for config, _ in stand_in.asked]
    assert len(store.timings("cost")) == 5
    assert measure(grid_of(WIDTHS))[0] == Costed(known=5)
    assert Costed(known=5).lines() == []


def test_costs_of_another_machine_or_environment_do_not_count(measure, store):
    (program,) = programs([grid_of()])
    here = environment("cpu").key
    store.save_timings([Timing("cost", program, "another", here), Timing("cost", program, "m", "cuda/torch-0/ieee")])
    assert measure(grid_of())[0] == Costed(measured=1)


def test_shares_of_the_budget_are_fair_and_what_is_left_goes_to_those_that_follow(measure):
    _, stand_in, _ = measure(grid_of(WIDTHS), budget=2.0, start=9.0, takes=lambda seconds: seconds / 2)
    left, expected = 2.0, []  # the start of the process is nobody's share
    for others in (5, 4, 3, 2, 1):
        expected.append(FAIR_SHARE * left / others)
        left -= expected[-1] / 2
    assert [seconds for _, seconds in stand_in.asked] == pytest.approx(expected)


def test_a_single_program_takes_no_more_than_it_needs(measure):
    assert [seconds for _, seconds in measure(grid_of())[1].asked] == [MOST_EACH]


def test_when_the_budget_is_spent_the_rest_is_not_reached_and_measured_by_the_next_run(measure):
    found, _, clock = measure(grid_of(WIDTHS), budget=2.0, takes=lambda _: 0.9)
    assert found == Costed(measured=3, not_reached=2)
    assert clock.seconds <= 100 + 2.0 + 0.9, "the last one begun may run over, and no other is begun"
    assert found.lines() == [
        "costs of distinct programs: 0 in the store already; timed now: 3; not reached: 2, run again to go on"
    ]
    assert measure(grid_of(WIDTHS))[0] == Costed(known=3, measured=2)


def test_a_program_that_fails_is_told_and_tried_again(measure):
    found, _, _ = measure(grid_of(WIDTHS), broken=[(16,)])
    assert found == Costed(measured=4, failed={"it broke": 1})
    assert found.lines()[1] == "  1 not timed: it broke"
    assert measure(grid_of(WIDTHS))[0] == Costed(known=4, measured=1)


def test_a_process_that_cannot_begin_leaves_the_run_its_report(store):
    class Dead(StandIn):
        def machine(self):
            problem = "its process died"
            raise TimingError(problem)

    found = Costing(store, quiet=True).run([grid_of(WIDTHS)], lambda: contextlib.nullcontext(Dead(Clock())))
    assert found == Costed(failed={"its process died": 5})
    assert store.timings("machine") == ()


def test_missing_data_leave_a_program_out_with_the_reason(measure, monkeypatch):
    monkeypatch.setattr(costing, "missing_data", lambda cells: {"digits": "digits: not here"})
    found, stand_in, _ = measure(grid_of(WIDTHS))
    assert (found.failed, stand_in.asked) == ({"digits: not here": 5}, [])


def test_what_was_measured_before_an_interruption_is_stored(store):
    clock = Clock()

    class Interrupted(StandIn):
        def measure(self, cell, seconds):
            if len(self.asked) == 2:
                raise KeyboardInterrupt
            return super().measure(cell, seconds)

    stand_in = Interrupted(clock)
    with pytest.raises(KeyboardInterrupt):
        Costing(store, quiet=True, now=clock).run([grid_of(WIDTHS)], lambda: contextlib.nullcontext(stand_in))
    assert len(store.timings("cost")) == 2
    assert store.timings("machine")[0].content == {"processor": "none"}


def test_experiments_cost_nothing_to_train(measure):
    grid = load(
        'format = 1\ntitle = "t"\nquestion = "q"\nseeds = 2\n[base]\nexperiment = "matrix-product"\n',
        catalogue.load(),
        file="test.toml",
    )
    assert measure(grid)[0] == Costed()


@pytest.mark.slow
def test_a_process_of_its_own_measures_and_outlives_what_fails_and_dies_in_it():
    config = grid_of().arms[0].config
    with MeasuringProcess(profiler=True) as process:
        with pytest.raises(TimingError, match=r"^unknown loss; given \"nothing\""):
            process.measure(Cell(replace(config, loss=Component("loss", "nothing")), 0), 0.01)
        with pytest.raises(TimingError, match="its process died"):
            process.ask(os._exit, 3)
        record = process.measure(Cell(config, 0), 0.05)
        assert process.machine()["threads"] == 1
    assert record["parameters"] == 64 * 8 + 8 + 8 * 10 + 10
    assert record["parts"].keys() == {"forward", "forward-train", "backward", "step"}
    assert all(part["summary"]["windows"] == len(part["seconds"]) >= 1 for part in record["parts"].values())
