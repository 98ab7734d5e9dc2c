"""Cells without a grid file, and the reference: an ordinary module, torch.optim, torch's schedulers, one cell."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import pytest
import torch

from d2lbench import catalogue
from d2lbench.catalogue.layers import Linear, dropouts, parameters
from d2lbench.catalogue.models import classes_of, model_of, shape_of
from d2lbench.core.generators import generator
from d2lbench.core.spec import Cell, Component, Config
from d2lbench.engine import plan as planning
from d2lbench.engine.module import module, pairs
from d2lbench.engine.parameters import DTYPES, draw
from d2lbench.engine.process import prepare_process
from d2lbench.engine.train import Training


@pytest.fixture(scope="module", autouse=True)
def _as_in_a_worker():
    """Prepare the process as a worker's, and give it its denormal numbers back: other tests need them."""
    prepare_process(threads=1)
    yield
    torch.set_flush_denormal(False)


def build_component(kind, name, **options):
    entry = catalogue.load().get(kind, name)
    resolved = entry.resolve(options)
    normalise = entry.traits.normalise
    resolved = normalise(options, resolved) if normalise else resolved
    pairs = tuple(sorted(resolved.items()))
    return Component(kind, name, pairs, pairs)


DEFAULTS = {
    "dataset": ("digits", {"train_size": 100}),
    "model": ("mlp", {"hidden": (16, 12)}),
    "init": ("default", {}),
    "stopping": ("none", {}),
    "loss": ("cross-entropy", {}),
    "regularizer": ("none", {}),
    "optimizer": ("sgd", {"lr": 0.1}),
    "schedule": ("constant", {}),
}


SCALARS = {"epochs": 2, "batch_size": 32, "eval_every": 1, "dtype": "float64"}


def build_cell(seed=0, **given):
    """Return a cell; a component is given as (name, options), a plain key by its value."""
    components = {**DEFAULTS, **{kind: value for kind, value in given.items() if isinstance(value, tuple)}}
    scalars = {**SCALARS, **{key: value for key, value in given.items() if not isinstance(value, tuple)}}
    chosen = {kind: build_component(kind, name, **options) for kind, (name, options) in components.items()}
    return Cell(Config(**chosen, **scalars), seed)


@dataclass
class Reference:
    """What the ordinary way of training one cell gives."""

    cell: Cell
    network: torch.nn.Module
    losses: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)

    def block(self):
        """The parameters in the order of a stack's row: all weights (linear ones as inputs, outputs), then the rest."""
        model = model_of(self.cell.config)
        values = {}
        for layer, part in pairs(model, self.network):
            for parameter in layer.parameters:
                value = part.get_parameter(parameter.path.rpartition(".")[2]).detach()
                transposed = isinstance(layer, Linear) and parameter.is_weight
                values[parameter.path] = (value.t() if transposed else value).flatten()
        return torch.cat([values[parameter.path] for parameter in parameters(model)])


def penalty(network, numbers):
    norms = (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d)
    layers = [part for part in network.modules() if hasattr(part, "weight") and not isinstance(part, norms)]
    penalized = [layer.weight for layer in layers]
    if numbers.get("bias"):
        penalized += [value for value in network.parameters() if all(value is not weight for weight in penalized)]
    squares = sum((w**2).sum() for w in penalized)
    sizes = sum(w.abs().sum() for w in penalized)
    return numbers.get("l1", 0.0) * sizes + (numbers.get("l2", 0.0) + numbers.get("decay", 0.0)) / 2 * squares


class InjectedDropout(torch.nn.Module):
    """Dropout whose uniforms (B, H) come from outside: a unit is kept where u ≥ p and then divided by 1 - p."""

    def __init__(self, layer, p, uniforms):
        super().__init__()
        self.p, self._layer, self._uniforms = p, layer, uniforms

    def forward(self, x):
        if not self.training:
            return x
        kept = self._uniforms(self._layer, len(x)) >= torch.tensor(self.p, dtype=torch.float32)
        return x * kept / (1 - self.p)


def untrained(cell):
    """Return the cell's model as a module with its initial numbers, and its dropout's uniforms drawn by their keys."""
    config, model = cell.config, model_of(cell.config)
    generators = {}

    def uniforms(layer, size):
        return torch.rand(size, layer.width, generator=generators[layer.index])

    rates = planning.regularization_of(config).get("dropout", ())
    rates = rates * len(dropouts(model)) if len(rates) == 1 else rates
    network = module(model, (lambda layer: InjectedDropout(layer, rates[layer.index], uniforms)) if rates else None)
    with torch.no_grad():
        for layer, part in pairs(model, network):
            for parameter in layer.parameters:
                values = draw(parameter, config.init, cell.seed, config.replica)
                part.get_parameter(parameter.path.rpartition(".")[2]).copy_(values)
    return network.to(DTYPES[config.dtype]), generators


def one_hot(o, y):
    return torch.nn.functional.one_hot(y, o.shape[1]).to(o.dtype) if y.dtype == torch.int64 else y[:, None]


def binary(o, y):
    targets = y[:, None].to(o.dtype) if o.shape[1] == 1 else one_hot(o, y)
    return torch.nn.BCEWithLogitsLoss()(o, targets)


#: Every registered loss as torch.nn has it: outputs (B, K) and labels (B,) to one number.
TORCH_LOSSES = {
    "cross-entropy": lambda o, y, label_smoothing: torch.nn.CrossEntropyLoss(label_smoothing=label_smoothing)(o, y),
    "nll": lambda o, y, softmax: torch.nn.NLLLoss()(torch.nn.LogSoftmax(1)(o), y),
    "mse": lambda o, y: torch.nn.MSELoss()(o, one_hot(o, y)),
    "half-mse": lambda o, y: torch.nn.MSELoss()(o, one_hot(o, y)) / 2,
    "l1": lambda o, y: torch.nn.L1Loss()(o, one_hot(o, y)),
    "smooth-l1": lambda o, y, beta: torch.nn.SmoothL1Loss(beta=beta)(o, one_hot(o, y)),
    "bce": binary,
    "rounded-mse": lambda o, y: torch.nn.MSELoss()(o.squeeze(1), y.to(o.dtype)),
}


def by_name(config, optimizer_parameters):
    """Return torch.optim's own object for a cell's optimizer."""
    options = dict(config.optimizer.options)
    made = catalogue.load().get("optimizer", config.optimizer.name).factory(**options)
    if hasattr(made, "make"):
        return made.make(list(optimizer_parameters))
    return getattr(torch.optim, made.torch_name)(optimizer_parameters, **options)


def examples(cell):
    config = cell.config
    splits = catalogue.load().get("dataset", config.dataset.name).factory(cell.seed, **dict(config.dataset.options))
    x = torch.from_numpy(splits.pool.x[splits.train]).to(DTYPES[config.dtype]) * splits.pool.scale
    y = torch.from_numpy(splits.pool.y[splits.train])
    return x.view(-1, *shape_of(config.dataset)), y if classes_of(config.dataset) else y.to(DTYPES[config.dtype])


class ByTheBook:
    """One cell trained with torch.nn, torch.optim and torch's scheduler."""

    def __init__(self, cell):
        self.cell, self.config = cell, cell.config
        self.network, self.generators = untrained(cell)
        self.numbers = planning.regularization_of(self.config)
        self.optimizer = by_name(self.config, self.network.parameters())
        self.x, self.y = examples(cell)
        schedule = dict(self.config.schedule.options)
        self.by_step = schedule.get("unit") == "step"
        steps = -(-len(self.y) // self.config.batch_size) if self.by_step else 1
        factory = catalogue.load().get("schedule", self.config.schedule.name).factory
        self.scheduler = factory(self.optimizer, self.config.epochs * steps, **schedule)
        self.run = Reference(cell, self.network)

    def train(self):
        for epoch in range(1, self.config.epochs + 1):
            self.begin(epoch)
            order = torch.randperm(len(self.y), generator=self.generator("order", epoch))
            losses = [self.step(rows) * len(rows) for rows in order.split(self.config.batch_size)]
            if isinstance(self.scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau):
                self.scheduler.step(sum(losses) / len(self.y))
            elif not self.by_step:
                self.scheduler.step()
        return self.run

    def generator(self, *key):
        return generator(self.cell.seed, self.config.replica, *key)

    def begin(self, epoch):
        if self.config.rebuild_at == epoch - 1:
            rate = self.optimizer.param_groups[0]["lr"]
            self.optimizer = by_name(self.config, self.network.parameters())
            self.optimizer.param_groups[0]["lr"] = rate
        for layer in dropouts(model_of(self.config)):
            self.generators[layer.index] = self.generator("dropout", layer.index, epoch)

    def step(self, rows):
        self.run.rates.append(self.optimizer.param_groups[0]["lr"])
        seen = []
        self.optimizer.step(lambda: self.closure(rows, seen))
        self.run.losses.append(seen[0])
        if self.by_step:
            self.scheduler.step()
        return seen[0]

    def closure(self, rows, seen):
        self.optimizer.zero_grad()
        loss = TORCH_LOSSES[self.config.loss.name](
            self.network(self.x[rows]), self.y[rows], **dict(self.config.loss.options)
        )
        whole = loss + penalty(self.network, self.numbers)
        whole.backward()
        if self.config.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.config.clip_norm)
        if isinstance(self.optimizer, torch.optim.SparseAdam):
            for value in self.network.parameters():
                value.grad = value.grad.to_sparse(1)
        seen.append(loss.item())
        return whole.detach()


def train_by_the_book(cell):
    """Train one cell the ordinary way and return its :class:`Reference`."""
    return ByTheBook(cell).train()


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
        "asgd": [{"lr": 0.1, "t0": 5.0}, {"lr": 0.1, "lambd": 0.1, "alpha": 0.5, "t0": 0.0}],
        "adamax": [{"betas": (0.8, 0.95), "eps": 1e-6, "lr": 1e-2}],
        "rprop": [{"lr": 1e-3, "etas": (0.3, 1.5), "step_sizes": (1e-5, 0.1)}],
    },
    "schedule": {
        "linear-decay": [{"start": 0.0}, {"unit": "step"}],
        "step": [{"step_size": 3, "gamma": 0.5}],
        "square-root": [{"scale": 0.5}, {"unit": "step"}],
        "multi-step": [{"milestones": (2, 5), "gamma": 0.3}, {"milestones": (2, 5), "gamma": 0.3, "spent": 4}],
        "exponential": [{"unit": "step", "gamma": 0.97}],
        "cosine": [{"minimum": 0.1}, {"unit": "step"}, {"minimum": 0.1, "until": 5}],
        "cosine-restarts": [{"period": 3, "growth": 2, "minimum": 0.1}],
        "one-cycle": [{"pct_start": 0.5, "div_factor": 10.0, "final_div_factor": 100.0}, {"peak": 2.0, "unit": "step"}],
        "plateau": [{"patience": 0, "factor": 0.5, "threshold": 0.05}],
    },
    "regularizer": {
        "l1": [{"strength": 0.01}, {"strength": 0.01, "bias": True}],
        "l2": [{"strength": 0.01}, {"strength": 0.01, "bias": True}],
        "weight-decay": [{"strength": 0.01}],
        "dropout": [{"p": (0.2, 0.5)}],
    },
    "init": {
        "normal": [{"std": 0.1}],
        "xavier-uniform": [{"gain": 2.0}],
        "kaiming-uniform": [{"mode": "fan_out", "nonlinearity": "linear"}],
        "kaiming-normal": [{"mode": "fan_out"}],
        "orthogonal": [{"gain": 2.0}],
    },
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
                table = [(n, o) for n, o in table if not catalogue.load().get(kind, n).traits.watches]
            ids = [f"{n}-{'-'.join(f'{k}={v}' for k, v in o.items())}".rstrip("-") for n, o in table]
            metafunc.parametrize(name, table, ids=ids)
