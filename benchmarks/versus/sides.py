"""The sides that rows are made of: workers of ours against loops of theirs."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from benchmarks.versus import engine
from benchmarks.versus.row import Fact, Sample, Setting, Side
from benchmarks.versus.tasks import Task, task_of


def tasks_of(text: str) -> list[Task]:
    """Return every cell of a grid's text as a task."""
    return [task_of(cell) for cell in engine.cells_of(text)]


def spread(tasks: Sequence[Task], size: int) -> Callable[[int], list[Task]]:
    """Return which tasks a sequential side trains in a pair: ``size`` of them, others in the next pair.

    They are taken at equal distances, so that a sample has all arms of a grid in proportion.
    """
    stride = max(1, len(tasks) // size)
    return lambda pair: [tasks[(index * stride + pair) % len(tasks)] for index in range(size)]


@dataclass
class Sequential:
    """A loop that trains one cell after the other; in the warm-up it tries its variants and keeps the fastest.

    Attributes
    ----------
    load
        ``load(task, variant)``: what training needs of the data, made outside of the time.
    train
        ``train(task, variant, loaded)``: trains one cell and returns its last test accuracy or loss.
    variants
        What the warm-up tries: threads, a DataLoader's workers, ways of torch.optim.
    tried
        How many tasks of a sample it tries them on; none for all.
    units
        Units of the row that one task is.
    """

    load: Callable[[Task, Any], Any]
    train: Callable[[Task, Any, Any], float]
    sample: Callable[[int], list[Task]]
    variants: Sequence[Any]
    says: str
    units: Callable[[Task], float]
    tried: int | None = None
    _tried: dict[Any, float] = field(default_factory=dict)

    def __call__(self, pair: int) -> Sample:
        """Train a pair's sample in sequence."""
        if not self._tried:
            self._tried = {
                variant: self._timed(self.sample(pair)[: self.tried], variant)[0] for variant in self.variants
            }
        best = min(self._tried, key=self._tried.__getitem__)
        tasks = self.sample(pair)
        seconds, quality = self._timed(tasks, best)
        facts: dict[str, Fact] = {
            self.says: str(best),
            "cells": len(tasks),
            tasks_metric(tasks): statistics.fmean(quality),
        }
        return Sample(seconds, sum(map(self.units, tasks)), facts)

    def _timed(self, tasks: Sequence[Task], variant: Any) -> tuple[float, list[float]]:
        loaded = [self.load(task, variant) for task in tasks]
        began = time.perf_counter()
        quality = [self.train(task, variant, data) for task, data in zip(tasks, loaded, strict=True)]
        return time.perf_counter() - began, quality


def tasks_metric(tasks: Sequence[Task]) -> str:
    """Return what the cells are judged by."""
    return "test_accuracy" if tasks[0].loss == "cross-entropy" else "test_loss"


def load_resident(task: Task, variant: object) -> Any:
    """Return the data of a task as tensors in memory."""
    from benchmarks.versus.tasks import resident

    del variant
    return resident(task)


def train_resident(task: Task, variant: str, data: Any) -> float:
    """Train one task on resident data: ``foreach on 2`` is a way of torch.optim and a number of threads."""
    import torch

    from benchmarks.versus.resident import Resident

    way, _, threads = variant.partition(" on ")
    torch.set_num_threads(int(threads))
    curves = Resident(task, data, way=way).train()
    return curves[tasks_metric([task])][task.epochs]


def train_permitted(task: Task, variant: str, data: Any) -> float:
    """Train one task on resident data by products that torch may round to bfloat16 where the processor can."""
    import torch

    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        return train_resident(task, variant, data)
    finally:
        torch.set_float32_matmul_precision(before)


def plain_loop(
    text: str,
    size: int,
    ways: Sequence[str],
    jobs: int,
    units: Callable[[Task], float],
    train: Callable[[Task, Any, Any], float] = train_resident,
) -> Sequential:
    """Return the best plain loop: of all ways of torch.optim given, on one thread and on all, the fastest."""
    variants = [f"{way} on {threads}" for way in ways for threads in sorted({1, jobs})]
    sample = spread(tasks_of(text), size)
    return Sequential(load_resident, train, sample, variants, "torch.optim and threads", units)


@contextmanager
def steady(setting: Setting, text: str, units: float, theirs: Side) -> Iterator[tuple[Side, Side]]:
    """Yield our workers on a grid, started in the warm-up, and the other side."""
    with engine.workers(setting.folder, setting.jobs) as own:
        yield lambda _: own.run(text, units), theirs


def by_cells(task: Task) -> float:
    """Return a task's units where they are cells."""
    del task
    return 1.0


def by_epochs(task: Task) -> float:
    """Return a task's units where they are cells times epochs."""
    return float(task.epochs)
