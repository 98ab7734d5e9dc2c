"""Throughput over the width of a stack, and what bounds it from above."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from benchmarks.versus.engine import cells_of, stack_of
from d2lbench.catalogue.layers import linears
from d2lbench.catalogue.models import model_of
from d2lbench.engine.train import Training


def throughput(text: str, widths: Sequence[int], steps: int) -> Mapping[int, float]:
    """Return cells × steps a second for stacks of each width, on one thread; at least ``steps`` steps are timed."""
    torch.set_num_threads(1)
    found = {}
    for width in widths:
        training = Training(stack_of(text, width), "cpu")
        epochs = -(-steps // len(training.sizes))
        training.train_epoch(1)
        began = time.perf_counter()
        for epoch in range(2, 2 + epochs):
            training.train_epoch(epoch)
        seconds = time.perf_counter() - began
        found[width] = len(training.parameters.block) * epochs * len(training.sizes) / seconds
    return found


def ceiling(text: str, seconds: float) -> float:
    """Return how many cells × steps a second the machine's best product allows a single thread."""
    from d2lbench.timing.clock import HostClock
    from d2lbench.timing.machine import last_level_cache
    from d2lbench.timing.roofline import measure_ceilings

    torch.set_num_threads(1)
    cache = last_level_cache("cpu")
    measured = measure_ceilings("cpu", torch.float32, HostClock(), cache=cache, seconds=seconds)
    config: Any = cells_of(text)[0].config
    return measured.flops / step_flops([(layer.inputs, layer.outputs) for layer in linears(model_of(config))],
                                       config.batch_size)  # fmt: skip


def step_flops(layers: Sequence[tuple[int, int]], batch: int) -> float:
    """Return the floating-point operations of the products of one cell's step.

    A product of (B, n) and (n, m) takes 2·B·n·m: one forward, one for the weight's gradient, and behind the first
    layer one for the input's.
    """
    return sum(2.0 * batch * inputs * units * (3 if index else 2) for index, (inputs, units) in enumerate(layers))
