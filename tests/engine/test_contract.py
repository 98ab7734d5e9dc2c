"""Everything registered does in a stack what torch.nn with torch.optim does alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from d2lbench.catalogue import load
from d2lbench.catalogue.layers import linears
from d2lbench.engine.plan import model_of, plan
from d2lbench.engine.train import Training

ONE_STEP = {"epochs": 1, "dataset": ("digits", {"train_size": 32})}
FIFTY_STEPS = {
    "epochs": 13,  # of 4 steps, the last with 4 examples of 32
    "eval_every": 13,
    "schedule": ("cosine", {}),
    "regularizer": ("dropout", {"p": (0.2, 0.5)}),
}


@pytest.mark.parametrize(("budget", "tolerance"), [(ONE_STEP, 1e-12), (FIFTY_STEPS, 1e-9)], ids=["1", "50"])
def test_an_optimizer_equals_its_twin_in_torch_optim(
    any_optimizer, budget, tolerance, make_cell, by_the_book, stacked_run, difference
):
    cells = [make_cell(seed, optimizer=any_optimizer, **budget) for seed in (3, 4)]
    found = stacked_run(cells)
    for cell in cells:
        row, outcome = found[cell.id]
        expected = by_the_book(cell)
        assert difference(row, expected.block()) <= tolerance
        assert outcome.last_finite_loss == pytest.approx(expected.losses[-1], rel=tolerance)


def test_all_families_share_one_stack_and_each_row_stays_its_own(make_cell, by_the_book, stacked_run, difference):
    names = load().names("optimizer")
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
    std = {  # Kaiming uniform with a = √5 has variance 1/(3·fan_in); Glorot and Bengio 2010 for Xavier
        "default": (1 / (3 * 64)) ** 0.5,
        "normal": options.get("std", 0.01),
        "xavier-uniform": options.get("gain", 1.0) * (2 / 264) ** 0.5,
        "xavier-normal": options.get("gain", 1.0) * (2 / 264) ** 0.5,
        "constant": 0.0,
    }[name]
    assert float(weight.detach().std()) == pytest.approx(std, rel=0.03)


def test_forward_and_gradient_equal_vmap_over_the_module(make_cell, fresh_module):
    """torch.func is the independent oracle: one module, its parameters stacked, vmap over the rows."""
    cells = [make_cell(seed) for seed in range(4)]
    training = Training(plan(cells)[0], "cpu")
    x, y = training.feed.gather(training.feed.rows["train"][:, :20])
    network = fresh_module(cells[0])
    stacked = {}
    for layer, w, b in zip(
        linears(model_of(cells[0].config)), training.parameters.weights, training.parameters.biases, strict=True
    ):
        stacked[f"{layer.path}.weight"], stacked[f"{layer.path}.bias"] = w.detach().mT, b.detach()

    def loss(numbers, x, y):
        outputs = torch.func.functional_call(network, numbers, (x,))
        return torch.nn.functional.cross_entropy(outputs, y), outputs

    gradients, outputs = torch.func.vmap(torch.func.grad(loss, has_aux=True))(stacked, x, y)
    found = training.program(training.parameters, x)
    torch.testing.assert_close(found, outputs, rtol=1e-12, atol=1e-14)
    per_row = training.per_example(found, y).mean(1)
    by_leaf = torch.autograd.grad(per_row.sum(), training.parameters.leaves)
    expected = [g.mT for name, g in gradients.items() if name.endswith("weight")]
    expected += [g for name, g in gradients.items() if name.endswith("bias")]
    for g, oracle in zip(by_leaf, expected, strict=True):
        torch.testing.assert_close(g, oracle, rtol=1e-12, atol=1e-14)


def test_a_model_equals_its_module(any_model, make_cell, by_the_book, stacked_run, difference):
    cells = [make_cell(seed, model=any_model) for seed in (0, 1)]
    found = stacked_run(cells)
    for cell in cells:
        row, outcome = found[cell.id]
        assert difference(row, by_the_book(cell).block()) <= 1e-12
        assert outcome.status == "done"
