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


def test_a_plateau_past_its_own_end_asks_for_nothing(make_cell):
    """Its neighbour trains on and is not evaluated at every epoch."""
    watching = ("plateau", {"metric": "train_loss"})
    rates = Rates([make_cell(epochs=1, schedule=watching), make_cell(epochs=4, eval_every=4)], 4)
    rates.watch(2, {})
    assert rates.of(3)[0].tolist() == [0.0, 0.1]


def test_the_square_root_schedule_falls_with_the_number_of_units_begun(component):
    expected = [0.3 * 0.5 / np.sqrt(now) for now in range(1, UNITS + 1)]
    np.testing.assert_allclose(table(component("schedule", "square-root", scale=0.5), 0.3, UNITS), expected, rtol=1e-12)


def test_a_restart_begins_each_longer_period_at_the_full_rate(component):
    found = table(component("schedule", "cosine-restarts", period=2, growth=2, minimum=0.2), 0.5, 14)
    share_gone = np.array([0, 1 / 2, *np.arange(4) / 4, *np.arange(8) / 8])  # periods of 2, 4 and 8
    np.testing.assert_allclose(found, 0.1 + 0.4 * (1 + np.cos(np.pi * share_gone)) / 2, rtol=1e-12)


def test_one_cycle_rises_to_its_peak_and_falls_to_its_end_in_the_last_unit(component):
    options = {"peak": 2.0, "pct_start": 0.25, "div_factor": 10.0, "final_div_factor": 50.0}
    found = table(component("schedule", "one-cycle", **options), 0.5, 16)
    top, start, end = 1.0, 0.1, 0.002
    rise = (
        start + (top - start) * (1 - np.cos(np.pi * np.arange(4) / 3)) / 2
    )  # a quarter of 16 units, the peak its last
    fall = end + (top - end) * (1 + np.cos(np.pi * np.arange(1, 13) / 12)) / 2
    np.testing.assert_allclose(found, [*rise, *fall], rtol=1e-12)


def test_a_cosine_stays_at_its_minimum_from_the_unit_that_ends_it(component):
    found = table(component("schedule", "cosine", minimum=0.1, until=5), 0.4, UNITS)
    falling = 0.04 + 0.36 * (1 + np.cos(np.pi * np.arange(5) / 5)) / 2
    np.testing.assert_allclose(found[:5], falling, rtol=1e-12)
    assert set(found[5:]) == {0.1 * 0.4}


def test_a_cosine_that_would_end_behind_the_budget_is_cut_off(component):
    found = table(component("schedule", "cosine", until=2 * UNITS), 1.0, UNITS)
    np.testing.assert_allclose(found, (1 + np.cos(np.pi * np.arange(UNITS) / (2 * UNITS))) / 2, rtol=1e-12)


def test_a_schedule_that_is_spent_in_part_goes_on_from_there(component):
    fresh = table(component("schedule", "multi-step", milestones=(2, 5), gamma=0.5), 0.8, 10)
    spent = table(component("schedule", "multi-step", milestones=(2, 5), gamma=0.5, spent=3), 0.8, 7)
    assert fresh.tolist() == [0.8] * 2 + [0.4] * 3 + [0.2] * 5
    assert spent.tolist() == fresh[3:].tolist()


def test_a_late_schedule_comes_a_step_late_where_it_counts_in_steps(component):
    in_time = table(component("schedule", "cosine", unit="step", warmup=3), 0.2, UNITS)
    late = table(component("schedule", "cosine", unit="step", warmup=3, late=True), 0.2, UNITS)
    assert late.tolist() == [0.2, *in_time[:-1]]


# Dive into Deep Learning 1.0.3, section 12.11: LeNet, 30 epochs, SGD at 0.3 (0.5 under the multi-factor schedule).
BOOK_EPOCHS = 30


def set_after_the_epoch(lr, meant):
    """Return the rates at which an optimizer trains whose rate is set by hand when an epoch is over."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=lr)
    rates = []
    for epoch in range(BOOK_EPOCHS):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.param_groups[0]["lr"] = meant(epoch)
    return rates


def cosine_to_20(epoch, warmup):
    """Return the rate that section 12.11.3.3 means for an epoch: 0.3 to 0.01 by epoch 20, a warm-up within."""
    if epoch < warmup:
        return 0.3 * epoch / warmup
    gone = min((epoch - warmup) / (20 - warmup), 1)
    return 0.01 + 0.29 * (1 + np.cos(np.pi * gone)) / 2


def test_the_books_square_root_run_has_its_first_epoch_at_another_rate(component):
    found = table(component("schedule", "square-root", scale=1 / 3, late=True), 0.3, BOOK_EPOCHS)
    np.testing.assert_allclose(found, set_after_the_epoch(0.3, lambda epoch: 0.1 * (epoch + 1) ** -0.5), rtol=1e-12)
    np.testing.assert_allclose(found[:3], [0.3, 0.1, 0.1 / 2**0.5], rtol=1e-12)


@pytest.mark.parametrize("warmup", [0, 5])
def test_the_books_cosine_runs_are_late_and_the_corrected_ones_in_time(warmup, component):
    options = {"minimum": 0.01 / 0.3, "until": 20 - warmup, "warmup": warmup}
    late = table(component("schedule", "cosine", **options, late=True), 0.3, BOOK_EPOCHS)
    np.testing.assert_allclose(late, set_after_the_epoch(0.3, lambda epoch: cosine_to_20(epoch, warmup)), rtol=1e-12)
    in_time = table(component("schedule", "cosine", **options), 0.3, BOOK_EPOCHS)
    np.testing.assert_allclose(in_time, [cosine_to_20(epoch, warmup) for epoch in range(BOOK_EPOCHS)], rtol=1e-12)


def test_the_books_warm_up_run_trains_epoch_0_at_the_full_rate_and_epoch_1_at_none(component):
    schedule = component("schedule", "cosine", minimum=0.01 / 0.3, until=15, warmup=5, late=True)
    found = table(schedule, 0.3, BOOK_EPOCHS)
    assert found[:2].tolist() == [0.3, 0.0]
    np.testing.assert_allclose(found[2:7], [0.06, 0.12, 0.18, 0.24, 0.3], rtol=1e-12)
    np.testing.assert_allclose(found[21:], 0.01, rtol=1e-12)


def test_the_books_multi_factor_run_is_a_constant_and_the_corrected_one_is_not(component):
    options = {"milestones": (15, 30), "gamma": 0.5}
    spent = table(component("schedule", "multi-step", **options, spent=30), 0.5, BOOK_EPOCHS)
    assert spent.tolist() == [0.125] * 30
    corrected = table(component("schedule", "multi-step", **options), 0.5, BOOK_EPOCHS)
    assert corrected.tolist() == [0.5] * 15 + [0.25] * 15


def test_a_late_warm_up_shows_the_same_accuracy_after_two_epochs(make_cell, stacked_run):
    late = make_cell(epochs=4, schedule=("cosine", {"warmup": 2, "late": True}))
    in_time = make_cell(epochs=4, schedule=("cosine", {"warmup": 2}))
    found = stacked_run([late, in_time])
    curve = found[late.id][1].series
    assert curve["learning_rate"][1].tolist() == [0.1, 0.0, 0.05, 0.1]
    losses = dict(zip(*curve["test_loss"], strict=True))  # epoch → loss
    assert losses[1] == losses[2] != losses[3]
    losses = dict(zip(*found[in_time.id][1].series["test_loss"], strict=True))
    assert losses[0] == losses[1] != losses[2]
