"""Calibration: what is read off a gauge, how it is kept, and what the plan makes of it."""

from __future__ import annotations

import json
import math

import pytest
import torch

from d2lbench.core.errors import CalibrationError
from d2lbench.core.spec import Cell, Component, Measurement
from d2lbench.engine import calibration
from d2lbench.engine.calibration import Calibration, Gauge, key_of, rule_of_thumb, steps_of, uncalibrated
from d2lbench.engine.gauge import _enough, gauge, steps_a_second
from d2lbench.engine.plan import default_width, grouped, plan, structure
from d2lbench.running.calibrate import due, estimate

#: A step whose launches cost 1 ms and each of whose rows costs 1 ms more, measured at these widths.
AFFINE = Gauge({width: 0.001 * (1 + width) for width in (1, 4, 16)}, evaluation=0.5, start=0.25, memory=2**30)


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """Keep calibrations in a folder of the test's own."""
    monkeypatch.setenv("D2LBENCH_CALIBRATION", str(tmp_path / "kept"))
    return tmp_path / "kept"


def known_of(cell, found, processes=2):
    return Calibration(processes, {key_of(structure(cell.config)): found})


def test_the_width_is_the_narrowest_at_which_a_row_costs_within_3_percent_of_the_best():
    rows = {1: 1.0, 2: 0.6, 4: 0.52, 8: 0.502, 16: 0.5, 32: 0.51}
    assert Gauge({width: width * row for width, row in rows.items()}, 0, 0, 0).width == 8


@pytest.mark.parametrize("width", [1, 2, 3, 4, 9, 16, 17, 40])
def test_a_step_between_and_beyond_the_measured_widths_lies_on_the_line_through_them(width):
    assert AFFINE.step(width) == pytest.approx(0.001 * (1 + width))


def test_of_one_measured_width_a_step_is_in_proportion():
    assert Gauge({4: 0.2}, 0, 0, 0).step(6) == pytest.approx(0.3)


def test_a_stack_takes_its_steps_its_starts_and_the_looks_of_each_cell(make_cell):
    cells = [make_cell(seed, epochs=epochs, eval_every=2) for seed, epochs in ((0, 5), (1, 3))]
    steps = math.ceil(100 / 32)  # the training split in batches
    assert steps_of(cells[0].config) == steps
    expected = 5 * steps * 0.003 + 2 * 0.25 + (3 + 2) * 0.5
    assert known_of(cells[0], AFFINE).seconds(cells, structure(cells[0].config)) == pytest.approx(expected)


@pytest.mark.parametrize(("dtype", "slower"), [("float32", 1), ("float64", 2)])
def test_the_rule_of_thumb_counts_layers_and_three_passes_of_two_operations_for_each_product(make_cell, dtype, slower):
    config = make_cell(model=("mlp", {"hidden": (64,)}), batch_size=30, dtype=dtype).config
    found = rule_of_thumb(config)
    products = 64 * 64 + 64 * 10
    layers = 5  # flatten, linear, relu, dropout, linear
    assert found.step(5) == pytest.approx(
        calibration.STEP
        + layers * calibration.LAYER
        + 5 * (calibration.ROW + slower * 6 * products * 30 / calibration.OPERATIONS)
    )
    look = slower * 2 * products * 997 / calibration.OPERATIONS  # 100 + 400 + 497 digits
    assert found.evaluation == pytest.approx(look)
    assert found.start == pytest.approx(calibration.BEGIN + look)


def test_what_is_saved_is_read_again_and_joins_what_was_kept(kept, make_cell):
    first, second = (structure(make_cell(batch_size=size).config) for size in (16, 32))
    calibration.save(Calibration(2, {key_of(first): AFFINE}, {1: 10.0, 2: 19.5}))
    whole = calibration.save(Calibration(2, {key_of(second): AFFINE}))
    assert (
        whole
        == calibration.read()
        == Calibration(2, dict.fromkeys(map(key_of, (first, second)), AFFINE), {1: 10.0, 2: 19.5})
    )
    assert len(list(kept.iterdir())) == 1


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"format": 99}', '{"format": 1, "gauges": {"a": {}}}'])
def test_a_damaged_file_counts_as_none_and_is_made_anew(content, kept):
    calibration.save(Calibration(2, {"a": AFFINE}))
    (path,) = kept.iterdir()
    path.write_text(content, encoding="utf-8")
    assert calibration.read() == uncalibrated()
    assert calibration.save(Calibration(2, {"b": AFFINE})).gauges == {"b": AFFINE}
    assert json.loads(path.read_text(encoding="utf-8"))["machine"]["cores"] == calibration.cores()


def test_switched_off_nothing_is_kept_or_read(monkeypatch):
    monkeypatch.setenv("D2LBENCH_CALIBRATION", "off")
    assert calibration.save(Calibration(2, {"a": AFFINE})).gauges == {"a": AFFINE}
    assert calibration.read() == uncalibrated()


def test_a_folder_that_cannot_be_written_is_named_with_the_way_out(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("D2LBENCH_CALIBRATION", str(tmp_path / "file"))
    with pytest.raises(CalibrationError, match=r"file/cpu-\w+\.json could not be written: .*; D2LBENCH_CALIBRATION"):
        calibration.save(Calibration(2, {"a": AFFINE}))


def test_without_a_folder_of_ones_own_the_users_cache_is_taken(monkeypatch, tmp_path):
    monkeypatch.delenv("D2LBENCH_CALIBRATION")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert calibration.folder() == tmp_path / "d2lbench" / "calibration"


def test_the_plan_takes_the_calibrated_width_in_place_of_the_default(make_cell):
    cells = [make_cell(seed) for seed in range(24)]
    assert default_width(cells[0].config) > 8
    flat = Gauge({1: 1e-6, 2: 2e-6, 8: 4e-6, 16: 16e-6}, 0, 0, 0)  # best at 8
    assert [len(stack) for stack in plan(cells, calibration=known_of(cells[0], flat, processes=1))] == [8, 8, 8]
    assert [len(stack) for stack in plan(cells, calibration=known_of(cells[0], flat, processes=2))] == [6, 6, 6, 6]


def test_a_long_stack_of_arithmetic_is_shared_out_among_the_processes(make_cell):
    cells = [make_cell(seed, epochs=50) for seed in range(12)]
    rows = Gauge({1: 0.01, 16: 0.16}, 0, 0, 0)  # 1400 steps of 10 ms a row
    for processes in (1, 2, 3):
        known = known_of(cells[0], Gauge({**rows.steps, 16: 0.1}, 0, 0, 0), processes)
        assert [len(stack) for stack in plan(cells, calibration=known)] == [12 // processes] * processes


def test_a_stack_that_costs_its_launches_is_not_cut_however_many_processes_wait(make_cell):
    cells = [make_cell(seed, epochs=500) for seed in range(12)]
    known = known_of(cells[0], Gauge({1: 0.01, 16: 0.0101}, 0, 0, 0), processes=8)
    assert [len(stack) for stack in plan(cells, calibration=known)] == [12]


def test_where_other_work_keeps_the_processes_busy_nothing_is_cut(make_cell):
    many = [make_cell(seed, epochs=50) for seed in range(12)]
    others = [make_cell(0, epochs=50, batch_size=size) for size in range(16, 24)]
    gauges = {key_of(structure(cell.config)): Gauge({1: 0.1, 16: 0.8}, 0, 0, 0) for cell in (many[0], *others)}
    assert [len(stack) for stack in plan([*many, *others], calibration=Calibration(2, gauges))] == [12] + [1] * 8


def test_a_structure_is_due_where_it_is_unknown_and_its_training_is_long(make_cell):
    short, long, known = (
        make_cell(epochs=1),
        make_cell(epochs=10**5, batch_size=16),
        make_cell(epochs=10**5, batch_size=8),
    )
    experiment = Cell(Measurement(Component("experiment", "counting")), 0)
    cells = [short, long, known, experiment]
    found = known_of(known, AFFINE)
    assert list(due(cells, found)) == [structure(long.config)]
    assert len(due(cells, found, least=0.0)) == 3  # whoever asks for a calibration gets it for everything


def test_an_estimate_shares_the_work_out_but_is_never_shorter_than_the_longest_stack(make_cell):
    cells = [make_cell(seed) for seed in range(3)]
    known = known_of(cells[0], AFFINE, processes=2)
    stacks = plan(cells, width=1)
    each = known.seconds(cells[:1], structure(cells[0].config))
    assert estimate(stacks, known).seconds == pytest.approx(1.5 * each)
    assert estimate(stacks[:1], known).seconds == pytest.approx(each)
    assert estimate(stacks, known).memory == 2**30


def test_an_estimate_tells_how_many_stacks_it_knows_nothing_of(make_cell):
    cells = [make_cell(0), make_cell(0, batch_size=16), make_cell(1, batch_size=16)]
    found = estimate(plan(cells, width=1), known_of(cells[0], AFFINE))
    assert (found.unknown, found.processes) == (2, 2)


def test_a_gauge_measures_real_steps_at_widths_of_which_there_are_cells(make_cell):
    cells = [make_cell(seed, dataset=("digits", {"train_size": 60}), dtype="float32") for seed in range(5)]
    ((_, group),) = grouped(cells).items()
    found = gauge(group)
    assert set(found.steps) <= {1, 2, 4}
    assert min(found.steps.values()) > 0
    assert found.evaluation > 0
    assert found.start > 0
    assert found.memory > 50 * 2**20  # a process that has imported torch


@pytest.mark.parametrize(
    ("rows", "enough"),
    [
        ([1.0], False),
        ([1.0, 1.0], False),  # one width alone may have been disturbed
        ([1.0, 1.0, 0.9], False),
        ([1.0, 0.99, 0.98], True),
        ([1.0, 0.8, 0.79, 0.8], True),
        ([1.0, 1.4], True),  # nothing gets better from there
    ],
)
def test_wider_stacks_are_tried_until_two_in_a_row_save_nothing_worth_it(rows, enough):
    assert _enough({2**place: row * 2**place for place, row in enumerate(rows)}) is enough


def test_what_trains_alone_is_measured_alone(make_cell):
    cells = [make_cell(seed, optimizer=("lbfgs", {}), batch_size=900) for seed in range(4)]
    assert set(gauge(cells).steps) == {1}


def test_a_gauge_leaves_the_training_of_the_same_cells_alone(make_cell, stacked_run):
    cells = [make_cell(seed, dataset=("digits", {"train_size": 60})) for seed in range(3)]
    before = stacked_run(cells)
    gauge(cells)
    steps_a_second(cells[0], "cpu")
    after = stacked_run(cells)
    assert all(torch.equal(before[cell.id][0], after[cell.id][0]) for cell in cells)
