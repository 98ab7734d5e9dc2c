"""Facts about the baselines: handed the engine's draws, each trains to the engine's numbers."""

from __future__ import annotations

import pytest
import torch
from torch.utils.data import DataLoader, Sampler, TensorDataset

from benchmarks.versus import book, engine, grids, products
from benchmarks.versus.ensembles import Ensemble
from benchmarks.versus.networks import forward_of, loss_of, module_of
from benchmarks.versus.resident import WAYS, Resident
from benchmarks.versus.tasks import resident, task_of
from benchmarks.versus.widths import step_flops


def cells_of(body, seeds=1, **numbers):
    """Return a grid's cells in float64, where rounding leaves no room for a difference of method."""
    return engine.cells_of(
        grids.text(body.replace("batch_size", 'dtype      = "float64"\nbatch_size'), seeds, **numbers)
    )


def trained(cell, start_of, order_of, way="foreach"):
    task = task_of(cell)
    data = resident(task)
    loop = Resident(task, data, way=way, start=start_of(cell), order=order_of(cell, len(data["train"][1])))
    return {name: values[task.epochs] for name, values in loop.train().items()}


def agree(found, expected, tolerance=1e-9):
    for name, value in found.items():
        assert value == pytest.approx(expected[name], rel=tolerance, abs=tolerance), name


def test_the_plain_loop_trains_every_arm_of_the_digits_as_the_engine_does(by_engine, start_of, order_of):
    cells = cells_of(grids.DIGITS, epochs=3)
    expected = by_engine(cells)
    assert len(cells) == 12
    for cell in cells:
        found = trained(cell, start_of, order_of)
        assert set(found) == {
            f"{split}_{what}" for split in ("train", "validation", "test") for what in ("loss", "accuracy")
        }
        agree(found, expected[cell.id])


@pytest.mark.parametrize("way", sorted(WAYS))
@pytest.mark.parametrize("arm", ["sgd", "adam"])
def test_every_way_of_updating_tensors_gives_the_same_training(by_engine, start_of, order_of, way, arm):
    cells = [cell for cell in cells_of(grids.DIGITS, epochs=2) if cell.config.optimizer.name == arm][:1]
    agree(trained(cells[0], start_of, order_of, way), by_engine(cells)[cells[0].id])


def test_the_plain_loop_evaluates_when_the_engine_does(order_of):
    (cell,) = cells_of(grids.HIGH_DIM.split("[vary]")[0], epochs=7)
    task = task_of(cell)
    curves = Resident(task, resident(task), order=order_of(cell, 20)).train()
    assert list(curves["test_loss"]) == [0, 5, 7]


class Keyed(Sampler):
    """Rows in the engine's order: the first iteration over it is epoch 1; iterations that evaluate are not counted."""

    def __init__(self, order, epochs_of):
        self.order, self.epochs_of, self.number = order, epochs_of, 0

    def __iter__(self):
        epoch = self.epochs_of[min(self.number, len(self.epochs_of) - 1)]
        self.number += 1
        return iter(self.order(epoch).tolist())


def loaders(cell, order_of, epochs_of, *, column):
    task = task_of(cell)
    data = resident(task)
    (x, y), (tx, ty) = data["train"], data["test"]
    sampler = Keyed(order_of(cell, len(y)), epochs_of)
    train = DataLoader(TensorDataset(x, y[:, None] if column else y), task.batch_size, sampler=sampler)
    return task, train, DataLoader(TensorDataset(tx, ty[:, None] if column else ty), task.batch_size)


def started(network, start):
    with torch.no_grad():
        for parameter, value in zip(network.parameters(), start, strict=True):
            parameter.copy_(value)
    return network


def test_the_books_loop_trains_a_classifier_as_the_engine_does(by_engine, start_of, order_of):
    cell = cells_of(grids.DIGITS.split("[vary]")[0], epochs=3)[0]
    task, train, test = loaders(cell, order_of, [1, 2, 3], column=False)
    network = started(book.classifier(task, 64), start_of(cell))
    curves = book.train_classifier(network, train, test, task)
    expected = by_engine([cell])[cell.id]
    assert curves["test_accuracy"][3] == pytest.approx(expected["test_accuracy"], abs=1e-12)
    assert curves["train_loss"][3] == pytest.approx(expected["batch_loss"], rel=1e-9)


@pytest.mark.parametrize(
    "body", [grids.HIGH_DIM, grids.POLYNOMIAL.split("[[when]]")[0]], ids=["high-dim", "polynomial"]
)
def test_the_books_loop_trains_a_regression_as_the_engine_does(by_engine, start_of, order_of, body):
    cells = cells_of(body, epochs=4)
    expected = by_engine(cells)
    for cell in cells:
        task, train, test = loaders(cell, order_of, [1, 2, 3, 4], column=True)
        network = started(book.regression(task, resident(task)["train"][0].shape[1]), start_of(cell))
        curves = book.train_regression(network, train, test, task)
        assert curves["train_loss"][4] == pytest.approx(expected[cell.id]["train_loss"], rel=1e-8)
        assert curves["test_loss"][4] == pytest.approx(expected[cell.id]["test_loss"], rel=1e-8)
    assert {task_of(cell).decay for cell in cells} == ({0.0, 3.0} if body is grids.HIGH_DIM else {0.0})


def test_torch_func_trains_a_stack_as_the_engine_does(by_engine, start_of, order_of):
    cells = cells_of(grids.DIGITS_SGD, seeds=2, epochs=2)
    tasks = [task_of(cell) for cell in cells]
    data = [resident(task) for task in tasks]
    ensemble = Ensemble(tasks, data, [start_of(cell) for cell in cells])
    for epoch in (1, 2):
        ensemble.train_epoch(torch.stack([order_of(cell, 900)(epoch) for cell in cells]))
    expected = by_engine(cells)
    for row, (cell, task, each) in enumerate(zip(cells, tasks, data, strict=True)):
        parameters = [value[row] for value in ensemble.parameters.values()]
        x, y = each["test"]
        loss = float(loss_of(task)(forward_of(task)(parameters, x), y))
        assert loss == pytest.approx(expected[cell.id]["test_loss"], rel=1e-9)


def test_lenet_of_the_baseline_is_the_engines(start_of):
    from d2lbench.catalogue.models import model_of
    from d2lbench.engine.module import module, pairs

    (cell,) = cells_of(grids.LENET, size=10, epochs=1)
    task, start = task_of(cell), [value.double() for value in start_of(cell)]
    reference = module(model_of(cell.config)).double()
    with torch.no_grad():
        values = iter(start)
        for layer, part in pairs(model_of(cell.config), reference):
            for parameter in layer.parameters:
                part.get_parameter(parameter.path.rpartition(".")[2]).copy_(next(values))
    images = torch.rand(5, 1, 28, 28, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    expected = reference(images)
    assert torch.allclose(forward_of(task)(start, images), expected, rtol=1e-12, atol=1e-12)
    assert torch.allclose(started(module_of(task, 1, 10), start)(images), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("batch", "widths", "dtype", "bound"),
    [(8, (5, 4, 2), torch.float64, 1e-12), (256, (100, 80, 2), torch.float32, 1e-5)],  # the second by oneDNN
)
def test_the_products_of_a_step_are_those_that_autograd_makes_of_a_linear_network(batch, widths, dtype, bound):
    inputs, hidden, outputs = widths
    draw = torch.Generator().manual_seed(2)
    x, W1, b1, W2, b2 = (  # noqa: N806
        torch.randn(*shape, dtype=dtype, generator=draw)
        for shape in [(3, batch, inputs), (3, inputs, hidden), (3, hidden), (3, hidden, outputs), (3, outputs)]
    )
    found = products.products(x, [W1, W2], [b1, b2])(x)
    W1.requires_grad_()
    W2.requires_grad_()
    o = (x @ W1 + b1[:, None]) @ W2 + b2[:, None]
    o.backward(o.detach())  # the signal that goes back has the outputs' own numbers
    for name, there in {"output1": o.detach(), "weight0": W1.grad, "weight1": W2.grad}.items():
        assert torch.allclose(found[name], there, rtol=0, atol=bound * float(there.abs().max()))


def test_the_operations_of_a_step_are_those_that_torch_counts():
    from torch.utils.flop_counter import FlopCounterMode

    network = torch.nn.Sequential(torch.nn.Linear(7, 5), torch.nn.ReLU(), torch.nn.Linear(5, 3))
    with FlopCounterMode(display=False) as counted:
        network(torch.randn(4, 7)).sum().backward()
    assert step_flops([(7, 5), (5, 3)], 4) == counted.get_total_flops()


def test_a_cell_that_no_baseline_knows_is_refused():
    body = grids.DIGITS.split("[vary]")[0] + 'regularizer = {{ name = "l1", strength = 0.1 }}\nschedule = "cosine"\n'
    (cell,) = engine.cells_of(grids.text(body, 1, epochs=1))
    with pytest.raises(ValueError, match="no baseline knows schedule cosine, regularizer l1"):
        task_of(cell)
