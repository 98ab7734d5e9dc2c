"""What is recorded means what its name says."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from d2lbench.catalogue import load
from d2lbench.core.kinds import ExperimentTraits
from d2lbench.core.registry import REGISTRY, Entry
from d2lbench.core.spec import Cell, Measurement
from d2lbench.engine.plan import Stack, structure
from d2lbench.engine.probes import Oscillation, hoyer, share_of_small, unit_spread
from d2lbench.engine.train import Training, train


def split_of(cell, name):
    splits = load().get("dataset", "digits").factory(cell.seed, **dict(cell.config.dataset.options))
    rows = getattr(splits, name)
    return torch.from_numpy(splits.pool.x[rows]).double() / 16, torch.from_numpy(splits.pool.y[rows])


@pytest.fixture(scope="module")
def cells(make_cell):
    return [make_cell(seed, regularizer=("dropout", {"p": (0.5,)})) for seed in (0, 1)]


@pytest.fixture(scope="module")
def outcomes(cells):
    return train(Stack(tuple(cells), frozenset({"step_oscillation"})))


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_evaluation_is_in_evaluation_mode_and_without_penalty(split, cells, outcomes, by_the_book):
    for cell, outcome in zip(cells, outcomes, strict=True):
        network = by_the_book(cell).network.eval()
        x, y = split_of(cell, split)
        o = network(x).detach()
        assert outcome.series[f"{split}_loss"][1][-1] == pytest.approx(
            torch.nn.functional.cross_entropy(o, y).item(), rel=1e-9
        )
        assert outcome.series[f"{split}_accuracy"][1][-1] == pytest.approx((o.argmax(1) == y).double().mean().item())


def test_correctness_is_the_test_splits_at_the_last_epoch(cells, outcomes, by_the_book):
    for cell, outcome in zip(cells, outcomes, strict=True):
        x, y = split_of(cell, "test")
        packed, n = outcome.correctness["test"]
        hits = np.unpackbits(np.frombuffer(packed, dtype=np.uint8), count=n).astype(bool)
        np.testing.assert_array_equal(hits, (by_the_book(cell).network.eval()(x).argmax(1) == y).numpy())


def test_gradient_norms_and_activation_variances_are_the_modules(cells, outcomes, fresh_module):
    for cell, outcome in zip(cells, outcomes, strict=True):
        network = fresh_module(cell).eval()
        x, y = split_of(cell, "train")
        torch.nn.functional.cross_entropy(network(x), y).backward()
        layers = [part for part in network if isinstance(part, torch.nn.Linear)]
        for number, layer in enumerate(layers, 1):
            found = outcome.series[f"gradient_norm/{number}"][1][0]
            assert found == pytest.approx(layer.weight.grad.norm().item(), rel=1e-9)
        hidden = torch.relu(layers[0](x)).detach()
        expected = hidden.var(dim=0, correction=0).mean().item()
        assert outcome.series["activation_variance/1"][1][0] == pytest.approx(expected, rel=1e-9)
        assert "activation_variance/3" not in outcome.series  # the last layer's outputs are no activation


def test_weight_probes_are_the_modules(cells, outcomes, fresh_module, by_the_book):
    for cell, outcome in zip(cells, outcomes, strict=True):
        networks = (fresh_module(cell), by_the_book(cell).network)
        before, after = ([p.detach() for n, p in net.named_parameters() if n.endswith("weight")] for net in networks)
        whole = math.sqrt(sum(float((w**2).sum()) for w in after))
        assert outcome.series["weight_norm"][1][-1] == pytest.approx(whole, rel=1e-9)
        for layer, (w0, w) in enumerate(zip(before, after, strict=True), 1):
            assert outcome.series[f"weight_norm/{layer}"][1][-1] == pytest.approx(w.norm().item(), rel=1e-9)
            x, change = outcome.series[f"weight_change/{layer}"]
            assert x.tolist() == [cell.config.epochs]
            assert change[0] == pytest.approx(((w - w0).norm() / w0.norm()).item(), rel=1e-9)


def test_series_stand_at_their_epochs(make_cell):
    (outcome,) = train(Stack((make_cell(epochs=5, eval_every=3),)))
    assert outcome.series["test_loss"][0].tolist() == [0, 3, 5]
    assert outcome.series["batch_loss"][0].tolist() == [1, 2, 3, 4, 5]
    assert outcome.series["gradient_norm/1"][0].tolist() == [0, 5]
    assert "step_oscillation" not in outcome.series
    assert all(np.isfinite(y).all() for _, y in outcome.series.values())


def test_hoyers_measure_is_0_for_equal_and_1_for_a_single_weight():
    w = torch.tensor([[1.0, 1, 1, 1], [0, 0, -5, 0], [3, 4, 0, 0]], dtype=torch.float64)
    expected = [0.0, 1.0, 2 - 7 / 5]  # (√4 - 7/5) / (√4 - 1)
    torch.testing.assert_close(hoyer(w), torch.tensor(expected, dtype=torch.float64))


def test_the_share_of_small_weights_is_relative_to_the_largest():
    assert share_of_small(torch.tensor([[1.0, 0.009, -0.011, 0.0]])).tolist() == [0.5]


def test_equal_units_have_no_spread(make_cell):
    (outcome,) = train(Stack((make_cell(init=("constant", {"value": 0.1})),)))
    assert outcome.series["hidden_spread"][1][0] == 0
    assert outcome.series["hidden_spread"][1][1] < 1e-12
    assert unit_spread(torch.zeros(1, 3, 4, dtype=torch.float64)).tolist() == [0.0]
    assert unit_spread(torch.randn(1, 500, 40, dtype=torch.float64)).item() == pytest.approx(1, abs=0.05)


def test_a_small_gradient_norm_survives_float32(make_cell):
    """Through twenty layers of standard deviation 0.001, gradients have norms whose squares float32 cannot hold."""
    cell = make_cell(dtype="float32", epochs=1, model=("mlp", {"hidden": (8,) * 9}), init=("normal", {"std": 1e-3}))
    (outcome,) = train(Stack((cell,)))
    assert 0 < outcome.series["gradient_norm/2"][1][0] < 1e-20


def test_steps_that_agree_do_not_oscillate_and_steps_that_cancel_do():
    block = torch.zeros(2, 3)
    oscillation = Oscillation(block)
    for sign in (1, -1, 1, -1):
        block[0] += 1
        block[1] += sign
        oscillation.step()
    torch.testing.assert_close(oscillation.close(), torch.tensor([0.0, 1.0], dtype=torch.float64))


def test_what_moves_between_two_epochs_is_no_step():
    block = torch.zeros(1, 3)
    oscillation = Oscillation(block)
    for _ in range(2):
        block += 100  # as early stopping does that puts a row back
        oscillation.begin()
        for _ in range(4):
            block += 1
            oscillation.step()
        assert oscillation.close().tolist() == [0.0]


def test_step_oscillation_is_recorded_where_it_is_asked_for(outcomes):
    x, y = outcomes[0].series["step_oscillation"]
    assert x.tolist() == [1, 2]
    assert ((y > 0) & (y < 1)).all()


def test_the_constant_predictor_knows_the_class_frequencies_alone(cells, outcomes):
    for cell, outcome in zip(cells, outcomes, strict=True):
        y, y_test = split_of(cell, "train")[1].numpy(), split_of(cell, "test")[1].numpy()
        frequencies = np.bincount(y, minlength=10) / len(y)
        assert outcome.constant_loss == pytest.approx(-np.log(frequencies[y_test]).mean(), rel=1e-12)
        assert outcome.chance == pytest.approx((y_test == frequencies.argmax()).mean())


def test_an_experiments_numbers_become_series(monkeypatch, component):
    def halves(seed, /, **_):
        return {"half": seed / 2}

    monkeypatch.setitem(REGISTRY._entries, "experiment", {"halves": Entry("halves", halves, {}, ExperimentTraits())})
    cells = tuple(Cell(Measurement(component("experiment", "halves")), seed) for seed in (3, 4))
    first, second = train(Stack(cells))
    assert (first.status, first.cell_id) == ("done", cells[0].id)
    assert [part.tolist() for part in second.series["half"]] == [[0.0], [2.0]]


def test_probes_of_a_row_that_is_not_finite_are_nan(make_cell):
    training = Training(Stack((make_cell(0), make_cell(1))), "cpu")
    training.parameters.block[0] = math.nan
    training.observe(0)
    for outcome_of_row, finite in zip(training.journal.runs(), (False, True), strict=True):
        for name in ("train_loss", "gradient_norm/1", "weight_norm", "sparsity/hoyer", "sparsity/share"):
            assert np.isfinite(outcome_of_row.series[name][1][0]) == finite


def test_the_training_split_may_be_looked_at_more_rarely_than_the_others(make_cell):
    often, rarely = make_cell(epochs=7, eval_every=2), make_cell(epochs=7, eval_every=2, eval_train_every=4)
    (reference,), (outcome,) = train(Stack((often,))), train(Stack((rarely,)))
    for name in ("train_loss", "train_accuracy"):
        x, y = outcome.series[name]
        assert x.tolist() == [0, 4, 7]
        known = dict(zip(*reference.series[name], strict=True))
        assert y.tolist() == [known[epoch] for epoch in x]
    for name in ("validation_loss", "test_accuracy", "batch_loss"):
        assert [values.tolist() for values in outcome.series[name]] == [v.tolist() for v in reference.series[name]]
    assert outcome.correctness == reference.correctness


def test_rows_of_a_stack_look_at_their_training_splits_each_at_its_own_epochs(make_cell):
    cells = [make_cell(seed, epochs=6, eval_train_every=every) for seed, every in ((0, None), (1, 2), (2, 3))]
    found = [outcome.series["train_loss"][0].tolist() for outcome in train(Stack(tuple(cells)))]
    assert found == [[0, 1, 2, 3, 4, 5, 6], [0, 2, 4, 6], [0, 3, 6]]


def test_how_often_the_training_split_is_looked_at_is_no_structure(make_cell):
    cells = [make_cell(0), make_cell(0, eval_train_every=2)]
    assert structure(cells[0].config) == structure(cells[1].config)
    assert cells[0].id != cells[1].id
