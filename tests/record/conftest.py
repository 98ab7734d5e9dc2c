"""Rows for a store, without any training."""

from __future__ import annotations

import numpy as np
import pytest

from d2lbench.store import Run, Store

ENVIRONMENT = "cpu/torch-0.0/test"


def made_run(cell, status="done", *, seed=0, names=("test_loss", "train_loss"), **fields):
    x = np.arange(3.0)
    series = {name: (x, x * (seed + 1) + len(name)) for name in names} if status == "done" else {}
    correctness = {"test": (bytes([seed, 255]), 12)} if status == "done" else {}
    reason = fields.pop("reason", "" if status == "done" else "for a reason")
    made = {"identity": f'{{"cell":"{cell}"}}', "chance": 0.1, "reason": reason, "series": series, **fields}
    return Run(cell=cell, seed=seed, status=status, correctness=correctness, **made)


@pytest.fixture(scope="session")
def make_run():
    return made_run


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "store.sqlite") as opened:
        yield opened


@pytest.fixture(scope="session")
def environment_key():
    return ENVIRONMENT


@pytest.fixture
def save():
    def saves(store, *runs, stack="stack", provenance=None):
        return store.save(ENVIRONMENT, stack, runs, provenance or {"commit": "abc"})

    return saves
