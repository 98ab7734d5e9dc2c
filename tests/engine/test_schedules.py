"""Schedules are tables, read off torch's own schedulers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from d2lbench.catalogue import load
from d2lbench.engine.schedules import Plateau, Rates, table

UNITS = 12


def real_rates(schedule, lr, units):
    """Step torch's scheduler along with a real optimizer."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=lr)
    scheduler = load().get("schedule", schedule.name).factory(optimizer, units, **dict(schedule.options))
    rates = []
    for _ in range(units):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def test_a_table_equals_the_scheduler_stepped_with_an_optimizer(any_schedule_table, component):
    name, options = any_schedule_table
    schedule = component("schedule", name, **options)
    np.testing.assert_array_equal(table(schedule, 0.3, UNITS), real_rates(schedule, 0.3, UNITS))


def test_a_warm_up_rises_in_a_straight_line_and_leaves_the_rest(any_schedule_table, component):
    name, options = any_schedule_table
    schedule = component("schedule", name, **options, warmup=4, warmup_start=0.2)
    found = table(schedule, 0.5, UNITS)
    np.testing.assert_allclose(found[:4], [0.1, 0.2, 0.3, 0.4], rtol=1e-12)
    np.testing.assert_array_equal(found[4:], real_rates(component("schedule", name, **options), 0.5, UNITS - 4))


def test_steps_are_units_where_the_schedule_says_so(make_cell):
    by_epoch = make_cell(epochs=3, schedule=("cosine", {}), optimizer=("sgd", {"lr": 1.0}))
    by_step = make_cell(epochs=3, schedule=("cosine", {"unit": "step"}), optimizer=("sgd", {"lr": 1.0}))
    rates = Rates([by_epoch, by_step], 4)
    found = np.concatenate([rates.of(epoch) for epoch in (1, 2, 3)])  # (12, 2)
    step = np.arange(12)
    np.testing.assert_allclose(found[:, 0], (1 + np.cos(np.pi * (step // 4) / 3)) / 2, atol=1e-12)
    np.testing.assert_allclose(found[:, 1], (1 + np.cos(np.pi * step / 12)) / 2, atol=1e-12)


def test_a_row_past_its_end_stands_still(make_cell):
    rates = Rates([make_cell(epochs=1), make_cell(epochs=2)], 4)
    assert rates.of(2).tolist() == [[0.0, 0.1]] * 4


@pytest.mark.parametrize("warmup", [0, 2])
def test_plateau_equals_a_loop_around_torchs_object(warmup, component):
    values = [3.0, 2.0, 2.0, 2.0, 1.9, 1.9, 1.9, float("nan"), 1.0]
    options = {"factor": 0.5, "patience": 1, "threshold": 0.1}
    ours = Plateau(component("schedule", "plateau", **options, warmup=warmup), 0.8, len(values))
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.8)
    real = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, **options)
    for epoch, value in enumerate(values, 1):
        warming = epoch <= warmup
        expected = 0.8 * (epoch - 1) / warmup if warming else optimizer.param_groups[0]["lr"]
        assert ours.rate(epoch) == pytest.approx(expected, rel=1e-15)
        ours.watch(epoch, value)
        if not warming:
            real.step(value)


def test_plateau_watches_the_metric_that_it_names(make_cell, stacked_run):
    cells = [
        make_cell(0, epochs=6, schedule=("plateau", {"metric": metric, "patience": 0, "factor": 0.5, "threshold": 0.2}))
        for metric in ("batch_loss", "train_loss", "validation_loss", "validation_accuracy")
    ]
    for cell in cells:
        outcome = stacked_run(cells)[cell.id][1]
        watched = outcome.series[cell.config.schedule.get("metric")]
        plateau = Plateau(cell.config.schedule, 0.1, 6)
        for epoch in range(1, 7):
            assert outcome.series["learning_rate"][1][epoch - 1] == plateau.rate(epoch)
            plateau.watch(epoch, watched[1][list(watched[0]).index(epoch)])
