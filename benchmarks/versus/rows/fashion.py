"""The perceptron 784-256-10 on Fashion-MNIST: against the book's loop and the best plain one, and its products."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

from benchmarks.versus import grids, sides
from benchmarks.versus.row import Bounded, Contest, Limit, Scaling, Setting, Side

if TYPE_CHECKING:
    from benchmarks.versus.tasks import Task

NEEDS = ("fashion-mnist",)
EPOCHS = 5
RATES = {"sgd": 0.1, "adam": 0.001}
ALIKE = (
    "Both evaluate the 10,000 test images after each epoch, and those and all 60,000 training images before the first"
    " step and after the last."
)
WORK = "Fashion-MNIST, 784-256-10, batch 256, {}, evaluation included; eight cells, five epochs"


def text(optimizer: str, setting: Setting, epochs: int = EPOCHS) -> str:
    """Return the grid of a setting."""
    seeds, epochs = (2, 1) if setting.quick else (8, epochs)
    return grids.text(grids.FASHION, seeds, optimizer=optimizer, lr=RATES[optimizer], epochs=epochs, eval_every=1)


def against_book(setting: Setting) -> AbstractContextManager[tuple[Side, Side]]:
    """Prepare our workers and the book's loop with its DataLoaders."""
    from benchmarks.versus import book

    root = book.unpacked(setting.folder)
    theirs = sides.tasks_of(text("sgd", setting, epochs=1))

    def load(task: Task, workers: int) -> Any:
        return book.fashion_loaders(root, task.batch_size, workers)

    def train(task: Task, workers: int, loaders: Any) -> float:
        import torch

        del workers
        images, tests = loaders
        torch.set_num_threads(setting.jobs)
        curves = book.train_classifier(book.classifier(task, 784), images, tests, task)
        return curves["test_accuracy"][task.epochs]

    sample = sides.spread(theirs, 1 if setting.quick else 2)
    loop = sides.Sequential(load, train, sample, (0, 2, 4), "num_workers", sides.by_epochs, tried=1)
    return sides.steady(setting, text("sgd", setting), 1 if setting.quick else EPOCHS, loop)


def against_resident(setting: Setting, optimizer: str, ways: tuple[str, ...], *, permitted: bool = False) -> Any:
    """Prepare our workers and the plain loop on resident data, whose products torch may round where permitted."""
    size, train = 1 if setting.quick else 2, sides.train_permitted if permitted else sides.train_resident
    loop = sides.plain_loop(text(optimizer, setting), size, ways, setting.jobs, sides.by_epochs, train)
    return sides.steady(setting, text(optimizer, setting), 1 if setting.quick else EPOCHS, loop)


@contextmanager
def share_of_products(setting: Setting) -> Iterator[Any]:
    """Measure the step's products beside the step, one thread, as a worker has it."""
    from benchmarks.versus import products

    limit = 10 if setting.quick else None
    measured = products.Share(text("sgd", setting), steps=limit)
    yield lambda _: measured()


@contextmanager
def throughput(setting: Setting) -> Iterator[Any]:
    """Measure cells times steps a second over the width."""
    from benchmarks.versus import widths

    widths_asked = (1, 2) if setting.quick else (1, 2, 4, 5, 8, 16)
    body = grids.text(grids.FASHION, max(widths_asked), optimizer="sgd", lr=0.1, epochs=1, eval_every=1)
    yield lambda _: widths.throughput(body, widths_asked, steps=20 if setting.quick else 100)


def ceiling(setting: Setting) -> float:
    """Return the cells times steps a second that the machine's best product would allow."""
    from benchmarks.versus import widths

    return widths.ceiling(text("sgd", setting), seconds=2 if setting.quick else 10)


def _resident_row(name: str, optimizer: str, ways: tuple[str, ...], at_least: float | None) -> Contest:
    return Contest(
        name,
        WORK.format(optimizer),
        f"the best plain loop on resident data, torch.optim's {' or '.join(ways)}, best of one and all threads;"
        " two cells a pair",
        "cell and epoch",
        at_least,
        ALIKE,
        "Arithmetic on both sides: products of 256 × 784 × 256. Ours puts a core on each stack and has oneDNN multiply;"
        " theirs puts one core or all on a product, by the BLAS that torch takes for linear layers.",
        lambda setting: against_resident(setting, optimizer, ways),
        NEEDS,
    )


FASHION_PERMITTED = Contest(
    "fashion-permitted",
    WORK.format("sgd"),
    "the same plain loop, which lets torch round its products (set_float32_matmul_precision medium): no bit is rounded"
    " on a processor without units for bfloat16 products, but oneDNN multiplies; two cells a pair",
    "cell and epoch",
    None,
    ALIKE,
    "Arithmetic on both sides, by the same routine. Ours puts a core on each stack; theirs one or all on a product.",
    lambda setting: against_resident(setting, "sgd", ("foreach", "fused"), permitted=True),
    NEEDS,
)
FASHION_BOOK = Contest(
    "fashion-book",
    WORK.format("sgd"),
    "the book's loop with its best num_workers of 0, 2 and 4; two cells of one epoch a pair",
    "cell and epoch",
    7.0,
    "Both judge the test split after each epoch, and the training split's loss by the steps themselves; ours evaluates"
    " all 60,000 training images anew before the first step and after the last, too.",
    "Ours: arithmetic, by oneDNN. Theirs: decoding, converting and collating one image at a time.",
    against_book,
    NEEDS,
)
FASHION_PRODUCTS = Bounded(
    "fashion-products",
    "the step of the Fashion-MNIST perceptron, in the stack that the plan makes, sgd, one thread",
    (
        Limit("share of the step", "%", least=65.0),
        Limit("products", "µs a cell and step"),
        Limit("step", "µs a cell and step"),
    ),
    "An epoch of our steps (batches gathered, losses kept), and then as often the five products of a step at its"
    " shapes, on real images, by the same library: two forward, three backward. By turns, same thread.",
    None,
    share_of_products,
    NEEDS,
)
FASHION_WIDTH = Scaling(
    "fashion-width",
    "the step of the Fashion-MNIST perceptron over the width M, sgd, one thread",
    "cells × steps a second",
    "Steps of training by the engine in this process; the ceiling is the best matrix product measured on one thread.",
    throughput,
    ceiling,
    3,
    NEEDS,
)
ROWS: tuple[Any, ...] = (
    FASHION_BOOK,
    _resident_row("fashion-resident", "sgd", ("foreach", "fused"), 1.2),
    FASHION_PERMITTED,
    FASHION_PRODUCTS,
    _resident_row("fashion-adam", "adam", ("foreach",), 1.2),
    _resident_row("fashion-adam-fused", "adam", ("fused",), None),
    FASHION_WIDTH,
)
