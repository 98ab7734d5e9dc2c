"""Everything registered does in a stack what torch.nn with torch.optim does alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from d2lbench.catalogue import load
from d2lbench.engine.plan import plan
from d2lbench.engine.stacked import Pass
from d2lbench.engine.train import Training

ONE_STEP = {"epochs": 1, "dataset": ("digits", {"train_size": 32})}
FIFTY_STEPS = {
    "epochs": 13,  # of 4 steps, the last with 4 examples of 32
    "eval_every": 13,
    "schedule": ("cosine", {}),
    "regularizer": ("dropout", {"p": (0.2, 0.5)}),
}


#: What an optimizer that trains one cell alone needs instead of mini-batches of digits with dropout.
SUITED = {
    # One step of L-BFGS is up to twenty evaluations, each of which divides by differences of gradients.
    "lbfgs": {"batch_size": 100, "epochs": 1, "regularizer": ("l2", {"strength": 1e-2}), "model": ("softmax", {})},
    "sparse-adam": {
        "model": ("embedding-bag", {}),
        "dataset": ("topics", {"train_size": 100}),
        "regularizer": ("none", {}),
    },
}


@pytest.mark.parametrize(("budget", "tolerance"), [(ONE_STEP, 1e-12), (FIFTY_STEPS, 1e-9)], ids=["1", "50"])
def test_an_optimizer_equals_its_twin_in_torch_optim(
    any_optimizer, budget, tolerance, make_cell, by_the_book, stacked_run, difference
):
    budget = {**budget, **SUITED.get(any_optimizer[0], {})}
    cells = [make_cell(seed, optimizer=any_optimizer, **budget) for seed in (3, 4)]
    found = stacked_run(cells)
    for cell in cells:
        row, outcome = found[cell.id]
        expected = by_the_book(cell)
        assert difference(row, expected.block()) <= tolerance
        assert outcome.last_finite_loss == pytest.approx(expected.losses[-1], rel=tolerance)


@pytest.mark.slow
def test_all_families_share_one_stack_and_each_row_stays_its_own(make_cell, by_the_book, stacked_run, difference):
    names = [name for name in load().names("optimizer") if name not in SUITED]
    cells = [make_cell(seed, optimizer=(name, {}), **FIFTY_STEPS) for name in names for seed in (0, 1)]
    assert len(plan(cells)) == 1
    found = stacked_run(cells)
    assert all(difference(found[cell.id][0], by_the_book(cell).block()) <= 1e-9 for cell in cells)


def test_a_regularizer_equals_a_term_of_the_loss(any_regularizer, make_cell, by_the_book, stacked_run, difference):
    cells = [make_cell(seed, regularizer=any_regularizer, epochs=13, eval_every=13) for seed in (0, 1)]
    for cell in cells:
        row, outcome = stacked_run(cells)[cell.id]
        expected = by_the_book(cell)
        assert difference(row, expected.block()) <= 1e-9
        assert outcome.last_finite_loss == pytest.approx(expected.losses[-1], rel=1e-9)  # without the penalty


def test_a_schedule_trains_like_torchs_own(any_schedule, make_cell, by_the_book, stacked_run, difference):
    cell = make_cell(schedule=any_schedule, epochs=8, optimizer=("sgd", {"lr": 0.3}))
    row, outcome = stacked_run([cell])[cell.id]
    expected = by_the_book(cell)
    assert difference(row, expected.block()) <= 1e-9
    np.testing.assert_allclose(outcome.series["learning_rate"][1], expected.rates[::4], rtol=1e-12)


def test_an_activation_equals_the_modules(any_activation, make_cell, by_the_book, stacked_run, difference):
    name, _ = any_activation
    cells = [make_cell(seed, model=("mlp", {"hidden": (16, 12), "activation": name})) for seed in (0, 1)]
    found = stacked_run(cells)
    assert difference(found[cells[1].id][0], by_the_book(cells[1]).block()) <= 1e-12


def test_an_initializer_has_its_schemes_moments(any_init, make_cell):
    cell = make_cell(init=any_init, model=("mlp", {"hidden": (200,)}))
    weight = Training(plan([cell])[0], "cpu").parameters.weights[0][0]  # (64, 200)
    name, options = any_init
    fan = 200 if options.get("mode") == "fan_out" else 64
    kaiming = (1 if options.get("nonlinearity") == "linear" else 2) ** 0.5 / fan**0.5
    std = {  # Kaiming uniform with a = √5 has variance 1/(3·fan_in); Glorot and Bengio 2010; He et al. 2015
        "default": (1 / (3 * 64)) ** 0.5,
        "normal": options.get("std", 0.01),
        "xavier-uniform": options.get("gain", 1.0) * (2 / 264) ** 0.5,
        "xavier-normal": options.get("gain", 1.0) * (2 / 264) ** 0.5,
        "kaiming-uniform": kaiming,
        "kaiming-normal": kaiming,
        "orthogonal": options.get("gain", 1.0) / 200**0.5,
        "constant": 0.0,
        "zeros": 0.0,
    }[name]
    assert float(weight.detach().std()) == pytest.approx(std, rel=0.03)


def test_an_orthogonal_start_has_orthonormal_rows_or_columns(make_cell):
    cell = make_cell(init=("orthogonal", {}), model=("mlp", {"hidden": (20, 30)}))
    for W in Training(plan([cell])[0], "cpu").parameters.weights:  # noqa: N806  (1, inputs, outputs)
        w = W[0].detach().double()
        w = w if w.shape[0] >= w.shape[1] else w.t()
        # drawn in float32, like every start
        torch.testing.assert_close(w.t() @ w, torch.eye(w.shape[1], dtype=torch.float64), rtol=0, atol=1e-5)


def test_forward_and_gradient_equal_vmap_over_the_module(make_cell, fresh_module):
    """torch.func is the independent oracle: one module, its parameters stacked, vmap over the rows."""
    cells = [make_cell(seed) for seed in range(4)]
    training = Training(plan(cells)[0], "cpu")
    x, y = training.feed.gather(training.feed.rows["train"][:, :20])
    network = fresh_module(cells[0])
    stacked = {
        path: leaf.detach().mT if path.endswith("weight") else leaf.detach()
        for path, leaf in training.parameters.leaves.items()
    }

    def loss(numbers, x, y):
        outputs = torch.func.functional_call(network, numbers, (x,))
        return torch.nn.functional.cross_entropy(outputs, y), outputs

    gradients, outputs = torch.func.vmap(torch.func.grad(loss, has_aux=True))(stacked, x, y)
    found = training.program(Pass(training.parameters), x)
    torch.testing.assert_close(found, outputs, rtol=1e-12, atol=1e-14)
    per_row = training.loss.per_example(found, y).mean(1)
    by_leaf = torch.autograd.grad(per_row.sum(), tuple(training.parameters.leaves.values()))
    for path, g in zip(training.parameters.leaves, by_leaf, strict=True):
        oracle = gradients[path].mT if path.endswith("weight") else gradients[path]
        torch.testing.assert_close(g, oracle, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    "options",
    [{}, {"batch_norm": True}, {"hidden": (12, 12, 12), "residual": True}, {"layers": "scratch"}],
    ids=["plain", "batch_norm", "residual", "scratch"],
)
def test_an_mlp_trains_like_its_module(options, make_cell, by_the_book, stacked_run, difference):
    cells = [make_cell(seed, model=("mlp", {"hidden": (16, 12), **options}), epochs=13) for seed in (0, 1)]
    found = stacked_run(cells)
    for cell in cells:
        row, outcome = found[cell.id]
        assert difference(row, by_the_book(cell).block()) <= 1e-9
        assert outcome.status == "done"


def test_a_loss_is_torchs(any_loss, make_cell, by_the_book, stacked_run, difference):
    cells = [make_cell(seed, loss=any_loss, epochs=13, optimizer=("sgd", {"lr": 0.01})) for seed in (0, 1)]
    found = stacked_run(cells)
    for cell in cells:
        row, outcome = found[cell.id]
        expected = by_the_book(cell)
        assert difference(row, expected.block()) <= 1e-9
        assert outcome.last_finite_loss == pytest.approx(expected.losses[-1], rel=1e-9)


@pytest.mark.slow
def test_clipping_is_torchs_and_each_cells_own(make_cell, by_the_book, stacked_run, difference):
    """The penalties of the loss are clipped with it, the optimizer's own decay is added afterwards."""
    for regularizer in ("l2", "none"):
        cells = [
            make_cell(seed, clip_norm=norm, epochs=13, regularizer=(regularizer, {}))
            for seed in (0, 1)
            for norm in (0.05, 0.5, 50.0)
        ]
        found = stacked_run(cells)
        assert all(difference(found[cell.id][0], by_the_book(cell).block()) <= 1e-9 for cell in cells)


def test_the_optimizers_own_decay_is_not_clipped(make_cell, stacked_run):
    """Where the gradient is clipped to nothing, the decay alone is left: w shrinks by (1 - ηλ) a step."""
    decay = {"strength": 0.5}
    cell = make_cell(clip_norm=1e-30, epochs=1, regularizer=("weight-decay", decay), optimizer=("sgd", {"lr": 0.1}))
    start = make_cell(optimizer=("sgd", {"lr": 0.0}), epochs=1)
    row, first = stacked_run([cell])[cell.id][0], stacked_run([start])[start.id][0]
    weights = 64 * 16 + 16 * 12 + 12 * 10
    torch.testing.assert_close(row[:weights], first[:weights] * 0.95**4, rtol=1e-12, atol=0)
    torch.testing.assert_close(row[weights:], first[weights:], rtol=0, atol=1e-25)


@pytest.mark.parametrize("name", ["adam", "sgd", "adadelta", "asgd", "rprop"])
def test_a_rebuilt_optimizer_starts_like_a_new_one(name, make_cell, by_the_book, stacked_run, difference):
    options = {"momentum": 0.9} if name == "sgd" else {}
    cells = [
        make_cell(seed, optimizer=(name, options), epochs=6, rebuild_at=rebuild_at)
        for seed in (0, 1)
        for rebuild_at in (None, 2, 4)
    ]
    found = stacked_run(cells)
    assert len(plan(cells)) == 1
    for cell in cells:
        assert difference(found[cell.id][0], by_the_book(cell).block()) <= 1e-9
    assert difference(found[cells[0].id][0], found[cells[1].id][0]) > 1e-8
