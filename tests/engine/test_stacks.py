"""A row of a stack is the cell alone: whatever its neighbours, its place, the width."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from d2lbench.catalogue import load
from d2lbench.catalogue.models import model_of
from d2lbench.engine.parameters import initial, initial_row
from d2lbench.engine.plan import Stack, plan
from d2lbench.engine.train import Training, train

OPTIMIZERS = [name for name in load().names("optimizer") if name not in ("lbfgs", "sparse-adam")]  # these train alone


def assert_same(found, expected, rtol):
    """Compare two outcomes: bit for bit where ``rtol`` is 0."""
    assert found.series.keys() == expected.series.keys()
    for name, (x, y) in found.series.items():
        np.testing.assert_array_equal(x, expected.series[name][0])
        np.testing.assert_allclose(y, expected.series[name][1], rtol=rtol, atol=rtol * 1e-3, err_msg=name)
    assert found.correctness == expected.correctness


def test_a_row_of_a_stack_equals_the_cell_alone(make_cell, stacked_run, difference):
    cells = [
        make_cell(seed, optimizer=("adam", {"lr": lr}), regularizer=("dropout", {"p": (0.2, 0.5)}), epochs=13)
        for seed in (0, 1)
        for lr in (1e-3, 1e-2)
    ]
    together, alone = stacked_run(cells), stacked_run(cells, width=1)
    for cell in cells:
        assert difference(together[cell.id][0], alone[cell.id][0]) <= 1e-9
        assert_same(together[cell.id][1], alone[cell.id][1], rtol=1e-8)


@pytest.mark.parametrize("width", [2, 17, 64])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_diverging_cell_leaves_its_neighbours_bits_alone(name, width, make_cell):
    shape = {"dtype": "float32", "model": ("mlp", {"hidden": (8,)}), "dataset": ("digits", {"train_size": 40})}
    rates = [1e-3 * (1 + row) for row in range(width)]
    calm = [make_cell(row % 3, optimizer=(name, {"lr": lr}), **shape) for row, lr in enumerate(rates)]
    # Rprop's steps have a largest size, so that only a wild start makes it overflow.
    start = {"init": ("normal", {"std": 1e30})} if name == "rprop" else {}
    wild = make_cell(0, optimizer=(name, {"lr": 1e30}), **start, **shape)
    place = width // 2
    expected = train(Stack(tuple(calm)))
    found = train(Stack((*calm[:place], wild, *calm[place + 1 :])))
    assert found[place].status == "diverged"
    for row in set(range(width)) - {place}:
        assert found[row].status == "done"
        assert_same(found[row], expected[row], rtol=0)


def test_a_diverged_cell_says_when_and_why_and_is_nan_from_then_on(make_cell):
    (outcome,) = train(Stack((make_cell(optimizer=("sgd", {"lr": 1e30}), dtype="float32", epochs=3),)))
    assert (outcome.status, outcome.diverged_step) == ("diverged", 2)
    assert outcome.reason == "the training loss became nan at step 2 (epoch 1)"
    assert outcome.last_finite_loss == pytest.approx(2.3, abs=0.1)
    x, y = outcome.series["test_loss"]
    assert x.tolist() == [0, 1, 2, 3]
    assert np.isfinite(y).tolist() == [True, False, False, False]
    assert np.isnan(outcome.series["batch_loss"][1]).all()
    assert outcome.correctness == {}
    assert outcome.chance == pytest.approx(0.1, abs=0.02)


def test_two_runs_are_equal_bit_for_bit(make_cell):
    (stack,) = plan(
        [make_cell(seed, dtype="float32", regularizer=("dropout", {"p": (0.3,)})) for seed in range(5)],
        series=frozenset({"step_oscillation"}),
    )
    for first, second in zip(train(stack), train(stack), strict=True):
        assert_same(first, second, rtol=0)


def test_a_cell_with_fewer_epochs_ends_at_its_own(make_cell, by_the_book):
    cells = [make_cell(0, epochs=epochs, eval_every=2, schedule=("cosine", {})) for epochs in (5, 2, 3)]
    for cell, outcome in zip(cells, train(Stack(tuple(cells))), strict=True):
        (alone,) = train(Stack((cell,)))
        assert_same(outcome, alone, rtol=1e-9)
        assert outcome.series["batch_loss"][0].tolist() == list(range(1, cell.config.epochs + 1))
        assert outcome.last_finite_loss == pytest.approx(by_the_book(cell).losses[-1], rel=1e-9)
    assert outcome.series["test_loss"][0].tolist() == [0, 2, 3]


def test_the_last_partial_batch_is_kept_and_counts_by_its_size(make_cell, by_the_book):
    cell = make_cell(epochs=1)  # 100 examples in batches of 32: 32, 32, 32, 4
    (outcome,) = train(Stack((cell,)))
    losses = by_the_book(cell).losses
    expected = (32 * sum(losses[:3]) + 4 * losses[3]) / 100
    assert outcome.series["batch_loss"][1][0] == pytest.approx(expected, rel=1e-12)


def test_a_draw_depends_on_its_key_alone(make_cell):
    cell = make_cell(7)
    alone = initial_row(cell, model_of(cell.config))
    neighbours = [make_cell(seed, init=("normal", {})) for seed in range(3)]
    stack = initial([*neighbours, cell], model_of(cell.config), torch.float64)
    assert torch.equal(stack.block[3], alone.double())
    in_float32 = make_cell(7, dtype="float32")
    assert torch.equal(initial_row(in_float32, model_of(in_float32.config)), alone)
    deeper = make_cell(7, model=("mlp", {"hidden": (16, 12, 9)}))
    first_two = 64 * 16 + 16 * 12
    assert torch.equal(initial_row(deeper, model_of(deeper.config))[:first_two], alone[:first_two])
    assert not torch.equal(initial_row(make_cell(7, replica=1), model_of(cell.config)), alone)


def test_two_schemes_of_one_distribution_start_in_one_direction(make_cell):
    cells = [make_cell(0, init=init) for init in (("normal", {"std": 0.01}), ("normal", {"std": 1.0}))]
    small, large = (initial_row(cell, model_of(cell.config)) for cell in cells)
    torch.testing.assert_close(small * 100, large)


def test_a_replica_changes_order_and_draws_but_neither_split_nor_data(make_cell):
    training = Training(Stack((make_cell(0), make_cell(0, replica=1))), "cpu")
    for rows in training.feed.rows.values():
        assert torch.equal(rows[0], rows[1])
    (_, y), *_ = training.feed.batches(1)
    assert not torch.equal(y[0], y[1])


def test_a_unit_dropped_at_a_small_rate_is_dropped_at_a_larger_one(make_cell):
    rates = (0.0, 0.2, 0.5)
    cells = [make_cell(0, regularizer=("dropout", {"p": (p,)})) for p in rates]
    training = Training(Stack(tuple(cells)), "cpu")
    training.masks.begin(1, torch.float64)
    layer = next(layer for layer in training.program.model if hasattr(layer, "index"))
    factors = training.masks(layer, 500)  # (3, 500, 16)
    kept = factors > 0
    assert bool(kept[0].all())
    assert bool((kept[2] <= kept[1]).all())
    for row, p in enumerate(rates):
        assert float(kept[row].double().mean()) == pytest.approx(1 - p, abs=0.02)
        assert float(factors[row].max()) == pytest.approx(1 / (1 - p))


def test_dropout_at_rate_zero_trains_like_no_dropout(make_cell):
    with_dropout, without = make_cell(regularizer=("dropout", {"p": (0.0,)})), make_cell()
    assert_same(train(Stack((with_dropout,)))[0], train(Stack((without,)))[0], rtol=0)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_agrees_with_the_cpu(make_cell):
    (stack,) = plan([make_cell(seed, epochs=3) for seed in range(3)])
    for here, there in zip(train(stack), train(stack, device="cuda"), strict=True):
        np.testing.assert_allclose(there.series["batch_loss"][1], here.series["batch_loss"][1], rtol=1e-9)
