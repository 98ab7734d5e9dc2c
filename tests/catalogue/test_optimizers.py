"""Facts about optimizers: rows of a block move as torch.optim moves them one by one; what cannot work is refused."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch

from d2lbench import catalogue
from d2lbench.catalogue.models import training_examples
from d2lbench.catalogue.optimizers import Family, Unstacked
from d2lbench.core.errors import GridError
from d2lbench.core.spec import Component

COLUMNS = 7
STACKED = {  # rows of one stack: the defaults, then options of their own
    "sgd": [{"momentum": 0.9, "dampening": 0.0, "lr": 0.1}, {"momentum": 0.5, "dampening": 0.3, "lr": 0.02}],
    "asgd": [
        {},
        {"lr": 0.2, "t0": 0.0},
        {"lr": 0.05, "lambd": 0.3, "alpha": 0.5, "t0": 7.0},
        {"lr": 0.1, "alpha": 0.0, "t0": 30.0},
    ],
    "adagrad": [{}, {"lr_decay": 0.1, "initial_accumulator_value": 0.2, "lr": 0.3}],
    "rmsprop": [{}, {"alpha": 0.9, "eps": 1e-3, "lr": 0.1}],
    "adadelta": [{}, {"rho": 0.5, "lr": 0.3, "eps": 1e-3}],
    "adam": [{}, {"betas": (0.5, 0.9), "lr": 0.1, "eps": 1e-4}],
    "adamw": [{}, {"weight_decay": 0.3, "lr": 0.1}],
    "adamax": [{}, {"betas": (0.5, 0.9), "lr": 0.1}, {"betas": (0.0, 0.3), "eps": 0.5, "lr": 0.3}],
    "rprop": [
        {},
        {"lr": 0.3, "etas": (0.3, 1.7)},
        {"lr": 0.5, "step_sizes": (0.1, 0.2)},
        {"lr": 1e-9, "step_sizes": (1e-3, 2e-3), "etas": (0.9, 1.01)},
    ],
}


def options_of(name, given):
    return catalogue.load().get("optimizer", name).resolve(given)


def flat(options):
    """Spell options as the engine does: those of a tuple as ``betas.0``, ``betas.1``."""
    found = {}
    for name, value in options.items():
        parts = value if isinstance(value, tuple) else (value,)
        names = [f"{name}.{place}" for place in range(len(parts))] if isinstance(value, tuple) else [name]
        found |= {key: part for key, part in zip(names, parts, strict=True) if isinstance(part, float)}
    return found


class Rows:
    """The rows of a family over a block (M, n) of numbers of their own."""

    def __init__(self, name, rows, *, dtype=torch.float64, scheduled=None, steps=60):
        self.options = [options_of(name, row) for row in rows]
        self.family = catalogue.load().get("optimizer", name).factory(**self.options[0])
        columns = [flat(options) for options in self.options]
        self.hyper = {
            key: torch.tensor([[column[key]] for column in columns], dtype=torch.float64) for key in columns[0]
        }
        self.rates = (
            self.hyper["lr"] * torch.tensor(scheduled or [1.0] * steps, dtype=torch.float64)[:, None, None]
        )  # (T, M, 1)
        draw = torch.Generator().manual_seed(5)
        self.block = torch.randn(len(rows), COLUMNS, generator=draw, dtype=torch.float64).to(dtype)
        self.gradients = torch.randn(steps, len(rows), COLUMNS, generator=draw, dtype=torch.float64).to(dtype)
        self.start = self.block.clone()
        self.state = {
            slot: torch.zeros_like(self.block) + (self.hyper[first].to(dtype) if isinstance(first, str) else first)
            for slot, first in self.family.slots.items()
        }
        self.steps = torch.arange(1, steps + 1).double()[:, None, None]  # (T, 1, 1)

    def move(self, count):
        """Take the first ``count`` steps."""
        varying = {"lr": self.rates, **self.family.per_step(self.hyper | {"lr": self.rates}, self.steps)}
        for t in range(count):
            now = {key: value.expand(len(self.steps), -1, 1)[t] for key, value in varying.items()}
            hyper = {key: value.to(self.block.dtype) for key, value in (self.hyper | now).items()}
            self.family.update(self.block, self.gradients[t].clone(), self.state, hyper)

    def twin(self, row, count):
        """Return torch's own parameters and state after ``count`` steps on one row's gradients."""
        p = torch.nn.Parameter(self.start[row].clone())
        optimizer = getattr(torch.optim, self.family.torch_name)([p], **self.options[row])
        for t in range(count):
            optimizer.param_groups[0]["lr"] = float(self.rates[t, row])
            p.grad = self.gradients[t, row].clone()
            optimizer.step()
        return p.detach(), optimizer.state[p]


SCHEDULES = {
    "constant": [1.0] * 60,
    "falling": [0.5 * (1 + math.cos(math.pi * t / 60)) for t in range(60)],
    "warm": [(t + 1) / 60 for t in range(60)],
}


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("name", STACKED)
@pytest.mark.parametrize(("steps", "tolerance"), [(1, 1e-12), (2, 1e-12), (60, 1e-9)])
def test_each_row_moves_as_its_twin_in_torch(name, steps, tolerance, schedule):
    rows = Rows(name, STACKED[name], scheduled=SCHEDULES[schedule])
    rows.move(steps)
    for row in range(len(STACKED[name])):
        expected, _ = rows.twin(row, steps)
        assert not torch.equal(expected, rows.start[row])
        torch.testing.assert_close(rows.block[row], expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", STACKED)
def test_single_precision_stays_near_its_twin(name):
    rows = Rows(name, STACKED[name], dtype=torch.float32)
    rows.move(60)
    for row in range(len(STACKED[name])):
        torch.testing.assert_close(rows.block[row], rows.twin(row, 60)[0], rtol=1e-4, atol=1e-4)


def test_every_stacked_optimizer_is_compared_with_its_twin():
    registry = catalogue.load()
    made = {entry.name: entry.factory(**entry.resolve({})) for entry in registry.entries("optimizer")}
    built_in = {name for name in made if registry.get("optimizer", name).factory.__module__.startswith("d2lbench.")}
    assert {name for name in built_in if isinstance(made[name], Family)} == set(STACKED)
    assert {name for name in built_in if isinstance(made[name], Unstacked)} == {"lbfgs", "sparse-adam"}
    assert all(hasattr(torch.optim, made[name].torch_name) for name in built_in)


@pytest.mark.parametrize("name", STACKED)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_gradient_that_is_not_finite_shows_in_its_parameter_and_nowhere_else(name, value):
    rows, calm = Rows(name, STACKED[name]), Rows(name, STACKED[name])
    rows.gradients[3, 0, 2] = value
    rows.move(4)
    calm.move(4)
    bad = ~torch.isfinite(rows.block)
    assert bad.nonzero().tolist() == [[0, 2]]
    assert torch.equal(rows.block[~bad], calm.block[~bad])


@pytest.mark.parametrize("name", STACKED)
def test_at_rate_zero_nothing_moves(name):
    rows = Rows(name, [{**row, "lr": 0.0} for row in STACKED[name]])
    rows.move(60)
    assert torch.equal(rows.block, rows.start)


def test_the_average_of_asgd_is_torchs_and_the_mean_of_the_steps_from_t0_plus_2_on():
    rows = Rows("asgd", STACKED["asgd"])
    seen = []
    for count in range(1, 61):
        again = Rows("asgd", STACKED["asgd"])
        again.move(count)
        seen.append(again.block)
    rows.move(60)
    average = rows.state[rows.family.averaged]
    for row, options in enumerate(rows.options):
        torch.testing.assert_close(average[row], rows.twin(row, 60)[1]["ax"], rtol=1e-9, atol=1e-9)
        first = int(options["t0"]) + 2
        averaged = torch.stack([block[row] for block in seen[first - 1 :] or seen[-1:]])
        # torch keeps the shares of the mean in single precision
        torch.testing.assert_close(average[row], averaged.mean(0), rtol=1e-6, atol=1e-6)


def test_at_torchs_own_t0_the_average_is_the_parameters():
    rows = Rows("asgd", [{}])
    rows.move(60)
    assert torch.equal(rows.state["average"], rows.block)


def test_only_asgd_is_judged_at_an_average():
    registry = catalogue.load()
    averaged = {name: registry.get("optimizer", name).factory(**options_of(name, {})).averaged for name in STACKED}
    assert {name: slot for name, slot in averaged.items() if slot} == {"asgd": "average"}


def quadratic(curvatures):
    """Return parameters at 1 and the closure of the quadratic with these curvatures."""
    p = torch.nn.Parameter(torch.ones(len(curvatures), dtype=torch.float64))
    loss = lambda: 0.5 * (p**2 * torch.tensor(curvatures, dtype=torch.float64)).sum()  # noqa: E731
    return p, loss


def step(optimizer, loss):
    def closure():
        optimizer.zero_grad()
        value = loss()
        value.backward()
        return value

    optimizer.step(closure)


def unstacked(name, **given):
    return catalogue.load().get("optimizer", name).factory(**options_of(name, given))


@pytest.mark.parametrize("line_search", ["none", "strong-wolfe"])
def test_lbfgs_is_torchs_own_with_these_options(line_search):
    made = unstacked("lbfgs", lr=0.5, max_iter=4, history_size=3, line_search=line_search)
    assert made.full_batch
    assert not made.sparse
    (p, loss), (q, other) = quadratic([1.0, 30.0]), quadratic([1.0, 30.0])
    search = {"none": None, "strong-wolfe": "strong_wolfe"}[line_search]
    twin = torch.optim.LBFGS([q], lr=0.5, max_iter=4, history_size=3, line_search_fn=search)
    optimizer = made.make([p])
    for _ in range(3):
        step(optimizer, loss)
        step(twin, other)
    assert torch.equal(p, q)
    assert not torch.equal(p, torch.ones_like(p))


def test_lbfgs_solves_a_quadratic_in_one_step_of_twenty_iterations():
    p, loss = quadratic([1.0, 30.0])
    step(unstacked("lbfgs").make([p]), loss)
    assert loss().item() < 1e-8


@pytest.mark.parametrize("line_search", ["none", "strong-wolfe"])
def test_lbfgs_at_rate_zero_stands_still(line_search):
    p, loss = quadratic([1.0, 30.0])
    step(unstacked("lbfgs", lr=0.0, line_search=line_search).make([p]), loss)
    assert torch.equal(p, torch.ones_like(p))


@pytest.mark.parametrize("line_search", ["none", "strong-wolfe"])
def test_lbfgs_stands_still_while_a_schedule_holds_its_rate_at_zero_and_then_goes_on(line_search):
    p, loss = quadratic([1.0, 30.0])
    optimizer = unstacked("lbfgs", lr=1.0, line_search=line_search).make([p])
    for rate, moves in ((0.0, False), (1.0, True), (0.0, False)):
        before = p.detach().clone()
        optimizer.param_groups[0]["lr"] = rate
        step(optimizer, loss)
        assert torch.equal(p, before) is not moves


def bag(seed=0):
    torch.manual_seed(seed)
    return torch.nn.EmbeddingBag(6, 3, sparse=True).double()


def touch(module, optimizer, tokens):
    optimizer.zero_grad()
    (module(torch.tensor([tokens])) ** 2).sum().backward()
    optimizer.step()


def test_sparse_adam_is_torchs_own_and_moves_only_the_rows_that_a_batch_touched():
    made = unstacked("sparse-adam", lr=0.1, betas=(0.8, 0.9))
    assert made.sparse
    assert not made.full_batch
    module, other = bag(), bag()
    before = module.weight.detach().clone()
    optimizer = made.make(list(module.parameters()))
    twin = torch.optim.SparseAdam(list(other.parameters()), lr=0.1, betas=(0.8, 0.9))
    for tokens in ([0, 2], [2, 3]):
        touch(module, optimizer, tokens)
        touch(other, twin, tokens)
    assert torch.equal(module.weight, other.weight)
    moved = (module.weight != before).any(1)
    assert moved.tolist() == [True, False, True, True, False, False]


def test_sparse_adam_at_rate_zero_stands_still():
    module = bag()
    before = module.weight.detach().clone()
    touch(module, unstacked("sparse-adam", lr=0.0).make(list(module.parameters())), [0, 1])
    assert torch.equal(module.weight, before)


def config(optimizer=None, **parts):
    """Return what a check reads of a configuration."""
    name, options = optimizer
    resolved = tuple(sorted(options_of(name, options).items()))
    return SimpleNamespace(optimizer=Component("optimizer", name, resolved), **parts)


def check_of(name):
    return catalogue.load().get("optimizer", name).traits.check


def dataset(name, **given):
    return Component("dataset", name, tuple(catalogue.load().get("dataset", name).resolve(given).items()))


@pytest.mark.parametrize(
    ("component", "examples"),
    [
        (dataset("digits"), 900),
        (dataset("digits", train_size=300), 300),
        (dataset("fashion-mnist"), 55_000),
        (dataset("fashion-mnist", validation=0), 60_000),
        (dataset("fashion-mnist", validation=0, train_size=2_000), 2_000),
        (dataset("digits", train_size=101, folds=3, fold=1), 101 - 34),  # parts of 34, 34 and 33
        (dataset("digits", train_size=101, folds=3, fold=2), 101 - 33),
    ],
)
def test_training_examples_are_counted_without_reading_the_data(component, examples):
    assert training_examples(component) == examples


@pytest.mark.parametrize("given", [{}, {"train_size": 50}, {"train_size": 101, "folds": 3, "fold": 2}, {"folds": 7}])
@pytest.mark.parametrize("name", ["digits", "polynomial", "high-dim-linear", "least-squares"])
def test_the_count_of_training_examples_is_that_of_the_splits(name, given):
    component = dataset(name, **given)
    splits = catalogue.load().get("dataset", name).factory(0, **dict(component.options))
    assert training_examples(component) == len(splits.train)


def test_lbfgs_refuses_a_batch_of_fewer_than_all_examples():
    check = check_of("lbfgs")
    check(config(("lbfgs", {}), dataset=dataset("digits", train_size=300), batch_size=300))
    with pytest.raises(GridError) as error:
        check(config(("lbfgs", {}), dataset=dataset("digits"), batch_size=899))
    assert str(error.value) == (
        "batch_size: L-BFGS needs every one of the 900 training examples in each batch; given 899; "
        "allowed: whole number ≥ 900"
    )


PLAIN = {
    "model": Component("model", "embedding-bag"),
    "regularizer": Component("regularizer", "none"),
    "clip_norm": None,
}


def test_sparse_adam_refuses_a_model_without_an_embedding():
    check = check_of("sparse-adam")
    check(config(("sparse-adam", {}), **PLAIN))
    with pytest.raises(GridError) as error:
        check(config(("sparse-adam", {}), **{**PLAIN, "model": Component("model", "mlp")}))
    assert str(error.value) == (
        'optimizer: sparse Adam updates the rows of an embedding, and this model has none; given "mlp"; '
        'allowed: model = "embedding-bag", or optimizer = "adam"'
    )


@pytest.mark.parametrize(
    ("part", "end"),
    [
        ({"regularizer": Component("regularizer", "l2")}, 'given "l2"; allowed: "none", or optimizer = "adam"'),
        ({"clip_norm": 0.5}, 'given 0.5; allowed: no clip_norm, or optimizer = "adam"'),
    ],
    ids=["regularizer", "clip_norm"],
)
def test_sparse_adam_refuses_what_changes_the_rows_that_no_batch_touched(part, end):
    with pytest.raises(GridError) as error:
        check_of("sparse-adam")(config(("sparse-adam", {}), **{**PLAIN, **part}))
    problem = "sparse Adam takes gradients of the touched rows alone, as they are"
    assert str(error.value) == f"{next(iter(part))}: {problem}; {end}"


def test_rprop_refuses_a_smallest_step_above_the_largest():
    check = check_of("rprop")
    check(config(("rprop", {"step_sizes": (0.1, 0.1)})))
    with pytest.raises(GridError) as error:
        check(config(("rprop", {"step_sizes": (0.2, 0.1)})))
    assert str(error.value) == (
        "optimizer.step_sizes: the smallest step is larger than the largest; given [0.2, 0.1]; "
        "allowed: [smallest, largest]"
    )


def test_the_two_factors_of_rprop_have_bounds_of_their_own():
    entry = catalogue.load().get("optimizer", "rprop")
    assert entry.options["etas"].allowed == "list of a number > 0 and < 1, then a number > 1"
    with pytest.raises(GridError, match="etas: is not allowed here"):
        entry.resolve({"etas": [1.2, 0.5]})
