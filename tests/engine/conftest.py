"""Cells without a grid file, and the reference: an ordinary module, torch.optim, torch's schedulers, one cell."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import pytest
import torch

from d2lbench import catalogue
from d2lbench.catalogue.layers import dropouts, linears
from d2lbench.engine import plan as planning
from d2lbench.engine.module import module
from d2lbench.engine.stacked import DTYPES, draw_layer
from d2lbench.engine.train import Training, prepare_process
from d2lbench.seeding import generator
from d2lbench.spec import Cell, Component, Config


@pytest.fixture(scope="module", autouse=True)
def _as_in_a_worker():
    """Prepare the process as a worker's, and give it its denormal numbers back: other tests need them."""
    prepare_process(threads=1)
    yield
    torch.set_flush_denormal(False)


def build_component(kind, name, **options):
    entry = catalogue.load().get(kind, name)
    resolved = entry.resolve(options)
    normalise = entry.trait("normalise")
    resolved = normalise(options, resolved) if normalise else resolved
    pairs = tuple(sorted(resolved.items()))
    return Component(kind, name, pairs, pairs)


DEFAULTS = {
    "dataset": ("digits", {"train_size": 100}),
    "model": ("mlp", {"hidden": (16, 12)}),
    "init": ("default", {}),
    "loss": ("cross-entropy", {}),
    "regularizer": ("none", {}),
    "optimizer": ("sgd", {"lr": 0.1}),
    "schedule": ("constant", {}),
}


def build_cell(seed=0, *, epochs=2, batch_size=32, eval_every=1, dtype="float64", replica=0, **components):
    """Return a cell; a component is given as (name, options)."""
    chosen = {
        kind: build_component(kind, name, **options) for kind, (name, options) in {**DEFAULTS, **components}.items()
    }
    config = Config(**chosen, epochs=epochs, batch_size=batch_size, eval_every=eval_every, dtype=dtype, replica=replica)
    return Cell(config, seed)


@dataclass
class Reference:
    """What the ordinary way of training one cell gives."""

    network: torch.nn.Module
    losses: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)

    def block(self):
        """The parameters in the order of a stack's row: all weights (inputs, outputs), then all biases."""
        layers = [part for part in self.network.modules() if isinstance(part, torch.nn.Linear)]
        weights = [layer.weight.detach().t().flatten() for layer in layers]
        return torch.cat(weights + [layer.bias.detach() for layer in layers])


def penalty(network, numbers):
    layers = [part for part in network.modules() if isinstance(part, torch.nn.Linear)]
    penalized = [layer.weight for layer in layers] + [layer.bias for layer in layers if numbers.get("bias")]
    squares = sum((w**2).sum() for w in penalized)
    sizes = sum(w.abs().sum() for w in penalized)
    return numbers.get("l1", 0.0) * sizes + numbers.get("l2", 0.0) / 2 * squares


def untrained(cell):
    """Return the cell's model as a module with its initial numbers, and its dropout's uniforms drawn by their keys."""
    config, model = cell.config, planning.model_of(cell.config)
    generators = {}

    def uniforms(layer, size):
        return torch.rand(size, layer.width, generator=generators[layer.index])

    rates = planning.regularization_of(config).get("dropout", ())
    rates = rates * len(dropouts(model)) if len(rates) == 1 else rates
    network = module(model, rates, uniforms)
    with torch.no_grad():
        for layer in linears(model):
            weight, bias = draw_layer(layer, config.init, cell.seed, config.replica)
            network.get_submodule(layer.path).weight.copy_(weight)
            network.get_submodule(layer.path).bias.copy_(bias)
    return network.to(DTYPES[config.dtype]), generators


def train_by_the_book(cell):
    """Train one cell with torch.nn, torch.optim and torch's scheduler."""
    config, entries = cell.config, catalogue.load()
    network, generators = untrained(cell)
    numbers = planning.regularization_of(config)
    optimizer_entry = entries.get("optimizer", config.optimizer.name)
    options = dict(config.optimizer.options)
    twin = getattr(torch.optim, optimizer_entry.factory(**options).torch_name)
    optimizer = twin(network.parameters(), **options)
    schedule = dict(config.schedule.options)
    splits = entries.get("dataset", config.dataset.name).factory(cell.seed, **dict(config.dataset.options))
    x = torch.from_numpy(splits.pool.x[splits.train]).to(DTYPES[config.dtype]) * splits.pool.scale
    y = torch.from_numpy(splits.pool.y[splits.train])
    by_step = schedule.get("unit") == "step"
    units = config.epochs * -(-len(y) // config.batch_size) if by_step else config.epochs
    scheduler = entries.get("schedule", config.schedule.name).factory(optimizer, units, **schedule)
    run = Reference(network)
    for epoch in range(1, config.epochs + 1):
        order = torch.randperm(len(y), generator=generator(cell.seed, config.replica, "order", epoch))
        for layer in dropouts(planning.model_of(config)):
            key = (cell.seed, config.replica, "dropout", layer.index, epoch)
            generators[layer.index] = generator(*key)
        epoch_losses = []
        for rows in order.split(config.batch_size):
            run.rates.append(optimizer.param_groups[0]["lr"])
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(network(x[rows]), y[rows])
            (loss + penalty(network, numbers)).backward()
            optimizer.step()
            run.losses.append(loss.item())
            epoch_losses.append(loss.item() * len(rows))
            if by_step:
                scheduler.step()
        if isinstance(scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau):
            scheduler.step(sum(epoch_losses) / len(y))
        elif not by_step:
            scheduler.step()
    return run


def train_stacked(cells, *, width=None, series=frozenset()):
    """Train the cells as stacks of ``width`` and return cell id → (row of the block, outcome)."""
    found = {}
    for stack in planning.plan(cells, width=width, series=series):
        training = Training(stack, "cpu")
        outcomes = training.run()
        rows = training.parameters.block.clone()
        found |= {cell.id: (row, outcome) for cell, row, outcome in zip(stack.cells, rows, outcomes, strict=True)}
    return found


def relative(found, expected):
    """Return the largest difference in units of the largest expected number."""
    return float((found - expected).abs().max() / expected.abs().max())


@pytest.fixture(scope="session")
def make_cell():
    return build_cell


@pytest.fixture(scope="session")
def component():
    return build_component


@pytest.fixture(scope="session")
def by_the_book():
    return train_by_the_book


@pytest.fixture(scope="session")
def stacked_run():
    return train_stacked


@pytest.fixture(scope="session")
def difference():
    return relative


@pytest.fixture(scope="session")
def fresh_module():
    return lambda cell: untrained(cell)[0]


#: What the contract tests add to every registered thing's defaults.
VARIANTS = {
    "optimizer": {
        "sgd": [
            {"momentum": 0.9},
            {"momentum": 0.9, "nesterov": True},
            {"momentum": 0.8, "dampening": 0.3},
        ],
        "adagrad": [{"lr_decay": 0.01, "initial_accumulator_value": 0.1, "eps": 1e-6}],
        "rmsprop": [{"momentum": 0.9, "lr": 1e-3}, {"centered": True}, {"centered": True, "momentum": 0.5, "lr": 1e-3}],
        "adadelta": [{"rho": 0.8, "lr": 0.5, "eps": 1e-4}],
        "adam": [{"betas": (0.8, 0.95), "eps": 1e-6}],
        "adamw": [{"weight_decay": 0.1, "lr": 1e-2}],
    },
    "schedule": {
        "linear-decay": [{"start": 0.0}, {"unit": "step"}],
        "step": [{"step_size": 3, "gamma": 0.5}],
        "multi-step": [{"milestones": (2, 5), "gamma": 0.3}],
        "exponential": [{"unit": "step", "gamma": 0.97}],
        "cosine": [{"minimum": 0.1}, {"unit": "step"}],
        "plateau": [{"patience": 0, "factor": 0.5, "threshold": 0.05}],
    },
    "regularizer": {
        "l1": [{"strength": 0.01}, {"strength": 0.01, "bias": True}],
        "l2": [{"strength": 0.01}, {"strength": 0.01, "bias": True}],
        "weight-decay": [{"strength": 0.01}],
        "dropout": [{"p": (0.2, 0.5)}],
    },
    "init": {"normal": [{"std": 0.1}], "xavier-uniform": [{"gain": 2.0}]},
}


def registered(kind):
    """Return (name, options) of everything registered under ``kind``: its defaults, then the variants."""
    names = catalogue.load().names(kind)
    variants = VARIANTS.get(kind, {})
    return list(itertools.chain(((name, {}) for name in names), ((n, o) for n in names for o in variants.get(n, []))))


def pytest_generate_tests(metafunc):
    """Fill a parameter named ``any_<kind>`` with everything registered under that kind."""
    for name in metafunc.fixturenames:
        if name.startswith("any_"):
            kind = name.removeprefix("any_").removesuffix("_table")
            table = registered(kind)
            if name.endswith("_table"):  # plateau is decided while training: it has no table
                table = [(n, o) for n, o in table if not catalogue.load().get(kind, n).trait("watches")]
            ids = [f"{n}-{'-'.join(f'{k}={v}' for k, v in o.items())}".rstrip("-") for n, o in table]
            metafunc.parametrize(name, table, ids=ids)
