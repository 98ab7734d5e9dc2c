"""Draws that the engine and a baseline share: the keyed start of a cell and the keyed order of its epochs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:  # the suite lies beside the package, not in it
    sys.path.append(str(ROOT))


def keyed_start(cell):
    """Return a cell's first parameters in torch.nn's layout, layer by layer."""
    from d2lbench.catalogue.layers import learned
    from d2lbench.catalogue.models import model_of
    from d2lbench.engine.parameters import draw

    config = cell.config
    layers = learned(model_of(config))
    return [draw(p, config.init, cell.seed, config.replica) for layer in layers for p in layer.parameters]


def keyed_order(cell, examples):
    """Return the function that gives an epoch's order as the engine draws it."""
    import torch

    from d2lbench.core.generators import generator

    replica = cell.config.replica
    return lambda epoch: torch.randperm(examples, generator=generator(cell.seed, replica, "order", epoch))


def engine_curves(cells):
    """Train cells as one plan and return, by cell identity, series name → the last value."""
    from d2lbench.engine.plan import plan
    from d2lbench.engine.train import train

    outcomes = [outcome for stack in plan(cells) for outcome in train(stack)]
    assert all(outcome.status == "done" for outcome in outcomes)
    return {o.cell: {name: float(y[-1]) for name, (_, y) in o.series.items() if len(y)} for o in outcomes}


@pytest.fixture(scope="session")
def start_of():
    return keyed_start


@pytest.fixture(scope="session")
def order_of():
    return keyed_order


@pytest.fixture(scope="session")
def by_engine():
    return engine_curves


@pytest.fixture(autouse=True)
def _as_in_a_worker():
    """One thread and denormals flushed, as the engine trains; given back afterwards."""
    import torch

    from d2lbench.engine.process import prepare_process

    threads = torch.get_num_threads()
    prepare_process(1)
    yield
    torch.set_flush_denormal(False)
    torch.set_num_threads(threads)
