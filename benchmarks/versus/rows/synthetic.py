"""Linear models on drawn data, a hundred seeds: against the book's loop."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from benchmarks.versus import grids, sides
from benchmarks.versus.row import Contest, Setting, Side
from benchmarks.versus.tasks import Task, resident

ALIKE = (
    "Both evaluate the training and the test split after every {} epochs; ours also before the first step and after"
    " the last, and with probes of the weights."
)
BOUND = "The fixed cost of operations on both sides: a step multiplies a few hundred numbers. A stack shares that cost."


def load_book(task: Task, variant: object) -> Any:
    """Return the number of features and the book's loaders of a task's data, drawn as ours are."""
    from benchmarks.versus import book

    del variant
    data = resident(task)
    return data["train"][0].shape[1], *book.array_loaders(data, task.batch_size)


def train_book(task: Task, threads: int, loaded: Any) -> float:
    """Train one task as the book does."""
    import torch

    from benchmarks.versus import book

    torch.set_num_threads(threads)
    features, train, test = loaded
    curves = book.train_regression(book.regression(task, features), train, test, task)
    return curves["test_loss"][task.epochs]


def _sides(setting: Setting, text: str, arms: int) -> AbstractContextManager[tuple[Side, Side]]:
    sample = sides.spread(sides.tasks_of(text), arms)
    loop = sides.Sequential(load_book, train_book, sample, (setting.jobs,), "threads", sides.by_cells)
    return sides.steady(setting, text, 1, loop)


def high_dim(setting: Setting) -> AbstractContextManager[tuple[Side, Side]]:
    """Prepare 2 × 100 cells, and two of them a pair for the book."""
    text = grids.text(grids.HIGH_DIM, 4 if setting.quick else 100, epochs=20 if setting.quick else 100)
    return _sides(setting, text, 2)


def polynomial(setting: Setting) -> AbstractContextManager[tuple[Side, Side]]:
    """Prepare 3 × 100 cells, and three of them a pair for the book."""
    epochs, long = (20, 40) if setting.quick else (400, 1500)
    text = grids.text(grids.POLYNOMIAL, 4 if setting.quick else 100, epochs=epochs, long=long)
    return _sides(setting, text, 3)


ROWS = (
    Contest(
        "high-dim-linear",
        "200 weights, 20 examples, decay 0 and 3, 100 seeds: 200 cells, 100 epochs, batch 5",
        "the book's loop, in sequence; two cells a pair, one of each arm",
        "cell",
        60.0,
        ALIKE.format(5),
        BOUND,
        high_dim,
    ),
    Contest(
        "polynomial",
        "polynomials of degree 1, 3 and 19, 100 seeds: 300 cells, 400 epochs (degree 19: 1,500), batch 10",
        "the book's loop, in sequence; three cells a pair, one of each arm. The book makes the constant a feature;"
        " here it is the bias, on both sides: the same model",
        "cell",
        50.0,
        ALIKE.format(20),
        BOUND,
        polynomial,
    ),
)
