"""The contracts of the engine on a CUDA device: rows equal torch.nn and torch.optim on the CPU, in double precision."""

from __future__ import annotations

import pytest
import torch

from d2lbench.catalogue import load
from d2lbench.catalogue.layers import Linear
from d2lbench.catalogue.models import model_of
from d2lbench.engine.module import load_row, module, pairs
from d2lbench.engine.parameters import Parameters, initial
from d2lbench.engine.plan import Stack, plan
from d2lbench.engine.stacked import Pass, Stacked
from d2lbench.engine.train import Training

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
#: What trains one cell alone is tested on its own.
ALONE = ("lbfgs", "sparse-adam")
FEW = {"epochs": 3, "dataset": ("digits", {"train_size": 100})}


def rows_on_cuda(cells):
    """Train the cells on the device; return cell id → its row, on the CPU, and its outcome."""
    found = {}
    for stack in plan(cells, device="cuda"):
        training = Training(stack, "cuda")
        outcomes = training.run()
        rows = training.parameters.block.cpu()
        found |= {cell.id: (row, outcome) for cell, row, outcome in zip(stack.cells, rows, outcomes, strict=True)}
    return found


def test_an_optimizer_equals_its_twin(any_optimizer, make_cell, by_the_book, difference):
    if any_optimizer[0] in ALONE:
        pytest.skip("trains one cell alone")
    cells = [make_cell(seed, optimizer=any_optimizer, **FEW) for seed in (0, 1)]
    found = rows_on_cuda(cells)
    assert all(difference(found[cell.id][0], by_the_book(cell).block()) <= 1e-9 for cell in cells)


def test_a_loss_equals_torchs(any_loss, make_cell, by_the_book, difference):
    cells = [make_cell(seed, loss=any_loss, optimizer=("sgd", {"lr": 0.01}), **FEW) for seed in (0, 1)]
    found = rows_on_cuda(cells)
    assert all(difference(found[cell.id][0], by_the_book(cell).block()) <= 1e-9 for cell in cells)


@pytest.mark.parametrize(
    "options",
    [{"batch_norm": True}, {"hidden": (12, 12, 12), "residual": True}, {"layers": "scratch"}],
    ids=["batch_norm", "residual", "scratch"],
)
def test_an_mlp_trains_like_its_module(options, make_cell, by_the_book, difference):
    cells = [make_cell(seed, model=("mlp", {"hidden": (16, 12), **options}), **FEW) for seed in (0, 1)]
    found = rows_on_cuda(cells)
    assert all(difference(found[cell.id][0], by_the_book(cell).block()) <= 1e-9 for cell in cells)


@pytest.mark.parametrize("regularizer", [("l1", {}), ("l2", {"bias": True}), ("weight-decay", {})])
def test_penalties_and_clipping_equal_torchs(regularizer, make_cell, by_the_book, difference):
    clip_norm = None if regularizer[0] == "weight-decay" else 0.5
    cells = [make_cell(seed, regularizer=regularizer, clip_norm=clip_norm, **FEW) for seed in (0, 1)]
    found = rows_on_cuda(cells)
    assert all(difference(found[cell.id][0], by_the_book(cell).block()) <= 1e-9 for cell in cells)


@pytest.mark.parametrize(
    ("optimizer", "suited"),
    [
        ("lbfgs", {"batch_size": 100, "epochs": 1, "model": ("softmax", {})}),
        ("sparse-adam", {"model": ("embedding-bag", {}), "dataset": ("topics", {"train_size": 100})}),
    ],
    ids=["lbfgs", "sparse-adam"],
)
def test_what_trains_alone_does_so_on_the_device_too(optimizer, suited, make_cell, by_the_book, difference):
    cell = make_cell(optimizer=(optimizer, {}), **{**FEW, **suited})
    assert difference(rows_on_cuda([cell])[cell.id][0], by_the_book(cell).block()) <= 1e-9


def test_a_model_puts_out_what_its_module_does_on_the_cpu(any_model, make_cell):
    name, options = any_model
    dataset = ("topics", {"train_size": 100}) if name == "embedding-bag" else ("fashion-mnist", {})
    cells = [make_cell(seed, model=(name, options), dataset=dataset) for seed in (3, 4)]
    model = model_of(cells[0].config)
    parameters = initial(cells, model, torch.float64, "cuda")
    draw = torch.Generator().manual_seed(7)
    if name == "embedding-bag":
        x = torch.randint(1000, (2, 4, 20), generator=draw).double()
    else:
        x = torch.rand(2, 4, 1, 28, 28, generator=draw, dtype=torch.float64)
    y = torch.randint(4, (2, 4), generator=draw)
    o = Stacked(model)(Pass(parameters, batch_statistics=True, track=True), x.to("cuda"))
    losses = torch.nn.functional.cross_entropy(o.movedim(-1, 1), y.to("cuda"), reduction="none").mean(1)
    gradients = torch.autograd.grad(losses.sum(), tuple(parameters.leaves.values()))
    by_path = dict(zip(parameters.leaves, gradients, strict=True))
    for row in range(2):
        network = module(model).double()
        load_row(network, Parameters.of_block(model, parameters.block), row)
        expected = network(x[row])
        torch.nn.functional.cross_entropy(expected, y[row]).backward()
        torch.testing.assert_close(o[row].detach().cpu(), expected.detach(), rtol=1e-10, atol=1e-12)
        for layer, part in pairs(model, network):
            for parameter in layer.parameters:
                theirs = part.get_parameter(parameter.path.rpartition(".")[2]).grad
                ours = by_path[parameter.path][row].cpu()
                ours = ours.t() if isinstance(layer, Linear) and parameter.is_weight else ours
                scale = max(1e-3, float(theirs.abs().max()))
                assert float((ours - theirs).abs().max()) <= 1e-9 * scale


def test_a_diverging_cell_leaves_its_neighbours_bits_alone(make_cell):
    shape = {"dtype": "float32", "model": ("mlp", {"hidden": (8,)}), "dataset": ("digits", {"train_size": 40})}
    calm = [make_cell(row % 3, optimizer=("adam", {"lr": 1e-3 * (1 + row)}), **shape) for row in range(17)]
    wild = make_cell(0, optimizer=("adam", {"lr": 1e30}), **shape)
    expected = Training(Stack(tuple(calm)), "cuda")
    found = Training(Stack((*calm[:8], wild, *calm[9:])), "cuda")
    expected.run()
    assert found.run()[8].status == "diverged"
    for row in set(range(17)) - {8}:
        assert torch.equal(found.parameters.block[row], expected.parameters.block[row])


def test_every_dataset_that_needs_no_files_trains_with_dropout_and_stops_early(make_cell):
    for entry in load().entries("dataset"):
        if entry.traits.embedded and entry.traits.task == "classification":
            model = ("embedding-bag", {}) if entry.name == "topics" else ("mlp", {"hidden": (8,)})
            regularizer = ("none", {}) if entry.name == "topics" else ("dropout", {"p": (0.2,)})
            stopping = ("patience", {"patience": 1})
            cell = make_cell(dataset=(entry.name, {}), model=model, regularizer=regularizer, stopping=stopping)
            (outcome,) = Training(Stack((cell,)), "cuda").run()
            assert outcome.status == "done", entry.name
