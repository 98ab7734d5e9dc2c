"""Grids of a few arms, and runs with known numbers, for the reading wing."""

from __future__ import annotations

import numpy as np
import pytest

from d2lbench import catalogue
from d2lbench.analysis.results import Results
from d2lbench.core.spec import canonical_json
from d2lbench.grid import load
from d2lbench.store import Run

HEAD = """
format   = 1
title    = "A test"
question = "What is read of known numbers?"
checks   = false
[base]
dataset    = "digits"
model      = { name = "mlp", hidden = [8] }
optimizer  = { name = "sgd", lr = 0.1 }
epochs     = 4
batch_size = 32
"""


@pytest.fixture
def grid_of():
    """Return a function from the rest of a grid's text to the grid; ``run`` seeds instead of those it declares."""

    def build(rest: str, seeds: int = 8, run: int | None = None):
        return load(f"seeds = {seeds}\n{HEAD}{rest}", catalogue.load(), file="test.toml", seeds=run)

    return build


def run_of(cell, *, status="done", **finals):
    """Return a finished run whose series end at the given values (a list is the whole curve from epoch 0)."""
    series = {}
    for name, value in finals.items():
        y = np.asarray(value if isinstance(value, list) else [0.0, value], dtype=float)
        x = np.linspace(0, cell.config.epochs, len(y))
        series[name.replace("__", "/")] = (x, y)
    return Run(
        cell.id,
        cell.seed,
        canonical_json(cell.config.identity),
        status,
        chance=0.1,
        constant_loss=2.3,
        last_finite_loss=9.0,
        series=series,
    )


@pytest.fixture
def results_of():
    """Return a function from a grid and a function (arm label, rung, seed) → finals to results."""

    def build(grid, finals):
        runs = {}
        for arm in grid.arms:
            for seed in grid.seeds:
                for rung, cell in enumerate(arm.candidates(seed)):
                    found = finals(arm.label, rung, seed)
                    if found is not None:
                        runs[cell.id] = run_of(cell, **found)
                if arm.is_tuned and arm.label in grid.own_values:
                    found = finals(arm.label, None, seed)
                    if found is not None:
                        runs.setdefault(arm.default(seed).id, run_of(arm.default(seed), **found))
        return Results(grid, runs)

    return build
