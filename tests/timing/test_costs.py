"""Facts about what a configuration costs: which part does what, what is held, and that every kind can be measured."""

from __future__ import annotations

import pytest
import torch

from d2lbench import catalogue
from d2lbench.core.spec import Cell
from d2lbench.engine.process import prepare_process
from d2lbench.engine.train import Training
from d2lbench.grid import load
from d2lbench.timing import costs
from d2lbench.timing.clock import Window
from d2lbench.timing.costs import PARTS, measure_cost

NUMBERS = 64 * 8 + 8 + 8 * 10 + 10  # a perceptron on digits with 8 hidden units
WIDTH = 4  # bytes of a number

PLAIN = {
    "dataset": '{ name = "digits", train_size = 100 }',
    "model": '{ name = "mlp", hidden = [8] }',
    "optimizer": '{ name = "sgd", lr = 0.1 }',
    "epochs": "2",
    "batch_size": "32",
}
KINDS = {
    "dropout": {"regularizer": '{ name = "dropout", p = 0.5 }'},
    "penalty": {"regularizer": '{ name = "l1", strength = 0.1 }'},
    "clipping": {"clip_norm": "1.0"},
    "batch norm": {"model": '{ name = "mlp", hidden = [8], batch_norm = true }'},
    "averages": {"optimizer": '{ name = "asgd", t0 = 1.0 }'},
    "closure": {"optimizer": '"lbfgs"', "batch_size": "100"},
    "sparse": {"dataset": '"topics"', "model": '"embedding-bag"', "optimizer": '"sparse-adam"'},
    "squared": {"dataset": '"high-dim-linear"', "model": '"linear"', "loss": '"mse"', "batch_size": "5"},
    "double": {"dtype": '"float64"'},
}


@pytest.fixture(scope="module", autouse=True)
def _as_in_a_worker():
    prepare_process(threads=1)
    yield
    torch.set_flush_denormal(False)


def cell_of(**given):
    base = "\n".join(f"{key} = {value}" for key, value in {**PLAIN, **given}.items())
    text = f'format = 1\ntitle = "t"\nquestion = "q"\nseeds = 2\nchecks = false\n[base]\n{base}\n'
    return Cell(load(text, catalogue.load(), file="test.toml").arms[0].config, 0)


class Steady:
    """A clock on which every call takes as long: two windows would be as good as ten."""

    shortest = 1e-3

    def __init__(self, look=lambda: None):
        self.look, self.seen = look, []

    def window(self, call, count):
        before = self.look()
        for _ in range(min(count, 3)):
            call()
        self.seen.append((before, self.look()))
        return Window(1e-3, 1e-3)


def measured(cell, clock=None):
    return measure_cost(cell, "cpu", 60.0, clock=clock or Steady())


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_training_is_measured_part_by_part(kind):
    cost = measured(cell_of(**KINDS[kind]))
    assert tuple(cost.parts) == PARTS
    assert {part.status for part in cost.parts.values()} == {"precise"}
    assert all(part.summary.median == 1e-3 for part in cost.parts.values())
    assert cost.held > 0
    assert cost.peak > 0


def test_parameters_batch_and_what_is_held_are_what_a_hand_counts():
    plain = measured(cell_of())
    assert (plain.parameters, plain.batch) == (NUMBERS, 32)
    assert plain.held == 2 * NUMBERS * WIDTH, "parameters and gradients"
    adam = measured(cell_of(optimizer='"adam"'))
    assert adam.held == 4 * NUMBERS * WIDTH, "and two moments"
    assert measured(cell_of(dtype='"float64"')).held == 2 * plain.held
    normed = measured(cell_of(**KINDS["batch norm"]))
    assert normed.held == (2 * (NUMBERS + 2 * 8) + 2 * 8) * WIDTH, "scales and shifts, and running statistics"


def test_a_batch_is_no_larger_than_the_examples_there_are():
    assert measured(cell_of(batch_size="500")).batch == 100


def test_training_holds_more_at_its_peak_the_larger_the_batch():
    small, large = (measured(cell_of(batch_size=size)).peak for size in ("10", "100"))
    assert large > small


def test_only_a_step_moves_the_parameters(monkeypatch):
    made = []

    def kept(*arguments):
        made.append(Training(*arguments))
        return made[-1]

    def block():
        return made[0].parameters.block.clone()

    monkeypatch.setattr(costs, "Training", kept)
    clock = Steady(block)
    cost = measured(cell_of(), clock)
    moved = [not torch.equal(before, after) for before, after in clock.seen]
    pilots = 3
    windows = [pilots + part.summary.windows for part in cost.parts.values()]
    assert moved == [False] * sum(windows[:3]) + [True] * windows[3]


def test_a_step_does_what_training_does(monkeypatch):
    made = []
    monkeypatch.setattr(costs, "Training", lambda *arguments: made.append(Training(*arguments)) or made[-1])
    monkeypatch.setattr(costs, "collect", lambda call, *_: (call(), costs_samples)[1])
    monkeypatch.setattr(costs, "peak_memory", lambda call, device: 0)
    cell = cell_of()
    measured(cell)
    other = Training(costs.Stack((cell,)), "cpu")
    other.begin(1)
    x, y = next(other.feed.batches(1))
    other.step(x, y, 0)
    assert torch.equal(made[0].parameters.block, other.parameters.block)


class _Samples:
    summary, status, calls, seconds = None, "precise", 1, ()


costs_samples = _Samples()


def test_a_record_is_plain_data():
    record = measured(cell_of()).as_record()
    assert record["parameters"] == NUMBERS
    assert record["parts"]["step"]["summary"]["median"] == 1e-3
    assert record["parts"]["step"]["seconds"] == (1e-3,) * record["parts"]["step"]["summary"]["windows"]
