"""Facts about kept weights: they are the network that was judged."""

from __future__ import annotations

import numpy as np
import torch
from safetensors.torch import load

from d2lbench.catalogue import datasets
from d2lbench.catalogue.models import model_of
from d2lbench.engine.module import module
from d2lbench.engine.plan import WEIGHTS, Stack
from d2lbench.engine.train import train


def test_kept_weights_reproduce_the_recorded_test_accuracy(make_cell):
    cells = tuple(make_cell(seed, epochs=3, optimizer=("adam", {"lr": 0.01})) for seed in range(3))
    for cell, outcome in zip(cells, train(Stack(cells, frozenset({WEIGHTS}))), strict=True):
        network = module(model_of(cell.config)).double()
        network.load_state_dict(load(outcome.weights))
        splits = datasets.digits(cell.seed, train_size=100)
        x = torch.from_numpy(splits.pool.x[splits.test]).double() * splits.pool.scale
        hits = network(x).argmax(1).numpy() == splits.pool.y[splits.test]
        assert hits.mean() == outcome.series["test_accuracy"][1][-1]
        bits, examples = outcome.correctness["test"]
        assert np.array_equal(np.unpackbits(np.frombuffer(bits, np.uint8), count=examples).astype(bool), hits)


def test_weights_are_kept_only_where_they_are_asked_for(make_cell):
    (outcome,) = train(Stack((make_cell(0, epochs=1),)))
    assert outcome.weights == b""
