"""The plan: a pure function that groups cells by structure into stacks of nearly equal size."""

from __future__ import annotations

import random
import subprocess
import sys

import pytest

from d2lbench.core.spec import Cell, Component, Measurement
from d2lbench.engine.calibration import Calibration
from d2lbench.engine.plan import default_width, plan, structure


def test_planning_never_imports_torch():
    program = (
        "import sys, d2lbench.engine.plan, d2lbench.core.runs; from d2lbench import catalogue; catalogue.load();"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_numbers_are_data(make_cell):
    base = make_cell()
    for change in (
        {"optimizer": ("adam", {"lr": 1e-3})},
        {"init": ("normal", {"std": 1.0})},
        {"schedule": ("cosine", {})},
        {"epochs": 7},
        {"eval_every": 2},
        {"replica": 1},
    ):
        assert structure(make_cell(9, **change).config) == structure(base.config)


def test_structure_is_program(make_cell):
    changes = (
        {},
        {"model": ("mlp", {"hidden": (16, 13)})},
        {"model": ("mlp", {"hidden": (16, 12), "activation": "tanh"})},
        {"dataset": ("digits", {"train_size": 99})},
        {"batch_size": 16},
        {"dtype": "float32"},
        {"regularizer": ("l1", {})},
        {"regularizer": ("l2", {})},
        {"regularizer": ("l2", {"bias": True})},
        {"regularizer": ("dropout", {})},
    )
    assert len({structure(make_cell(**change).config) for change in changes}) == len(changes)


def test_strengths_of_one_penalty_share_a_stack(make_cell):
    cells = [make_cell(regularizer=("l2", {"strength": strength})) for strength in (1e-4, 1e-3, 1e-2)]
    assert [len(stack) for stack in plan(cells)] == [3]


@pytest.mark.parametrize(
    ("count", "width", "sizes"), [(25, 12, {8, 9}), (24, 12, {12}), (1, 12, {1}), (13, 12, {6, 7})]
)
def test_stacks_of_a_structure_differ_by_one_cell_at_most(count, width, sizes, make_cell):
    stacks = plan([make_cell(seed) for seed in range(count)], width=width)
    assert {len(stack) for stack in stacks} == sizes
    assert sum(len(stack) for stack in stacks) == count


@pytest.mark.parametrize(
    ("count", "processes", "sizes"),
    [(120, 1, {40}), (120, 2, {30}), (120, 3, {40}), (130, 4, {32, 33}), (40, 2, {40}), (2, 4, {2})],
)
def test_several_stacks_are_as_many_for_every_process(count, processes, sizes, make_cell):
    cells = [make_cell(seed, model=("mlp", {"hidden": (64,)})) for seed in range(count)]
    assert default_width(cells[0].config) == 50
    stacks = plan(cells, calibration=Calibration(processes))
    assert len(stacks) == 1 or len(stacks) % processes == 0
    assert {len(stack) for stack in stacks} == sizes


def test_the_plan_does_not_depend_on_the_order_or_on_repeats(make_cell):
    cells = [make_cell(seed, optimizer=(name, {})) for seed in range(9) for name in ("sgd", "adam", "adagrad")]
    shuffled = [*cells, *cells[:5]]
    random.Random(0).shuffle(shuffled)
    assert plan(cells, width=7) == plan(shuffled, width=7)
    assert [stack.key for stack in plan(cells)] == [stack.key for stack in plan(cells)]


def test_families_are_contiguous_and_ends_sorted(make_cell):
    cells = [
        make_cell(seed, optimizer=("sgd", {"momentum": momentum}), epochs=epochs)
        for seed in (1, 0)
        for momentum in (0.0, 0.5, 0.9)
        for epochs in (3, 2)
    ]
    (stack,) = plan(cells)
    seen = [(cell.config.optimizer.get("momentum") > 0, cell.config.epochs, cell.seed) for cell in stack.cells]
    assert seen == sorted(seen)


def test_a_large_model_gets_a_narrow_stack(make_cell):
    small = make_cell(model=("mlp", {"hidden": (64, 64)})).config
    large = make_cell(model=("mlp", {"hidden": (1024, 1024)})).config
    assert default_width(large) < 4 < default_width(small)


def test_experiments_form_stacks_of_their_own(make_cell):
    experiment = Component("experiment", "counting")
    cells = [make_cell(), *(Cell(Measurement(experiment), seed) for seed in range(3))]
    assert [len(stack) for stack in plan(cells)] == [1, 3]
