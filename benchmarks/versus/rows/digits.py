"""The perceptron 64-64-10 on the digits: a mix of optimizers, torch.func, and whole processes."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict
from typing import Any

from benchmarks.versus import engine, grids, peers, sides
from benchmarks.versus.row import Bounded, Contest, Limit, Sample, Scaling, Setting, Side

ARMS = 12
ALIKE = "Both evaluate all splits (900, 400 and 497 images) before the first step and after each of the 20 epochs."
OURS_TOO = " Ours also judges the networks by its probes."
FIXED = (
    "Theirs: the fixed cost of operations on matrices of 64 × 64. Ours: the same, shared by a stack, and arithmetic."
)


def mixed(setting: Setting) -> AbstractContextManager[tuple[Side, Side]]:
    """Prepare 12 arms × 25 seeds, and one cell of every arm a pair for the plain loop."""
    text = grids.text(grids.DIGITS, 2 if setting.quick else 25, epochs=5 if setting.quick else 20)
    loop = sides.plain_loop(text, ARMS, ("foreach", "one by one"), setting.jobs, sides.by_cells)
    return sides.steady(setting, text, 1, loop)


@contextmanager
def functional(setting: Setting) -> Iterator[tuple[Side, Side]]:
    """Prepare one stack of ours and one of torch.func, both in this process on one thread; training alone."""
    import torch

    from benchmarks.versus.ensembles import Ensemble
    from benchmarks.versus.tasks import resident, task_of
    from d2lbench.engine.train import Training

    epochs = 3 if setting.quick else 40
    stack = engine.stack_of(grids.text(grids.DIGITS_SGD, 8, epochs=epochs), 32)
    tasks = [task_of(cell) for cell in stack.cells]
    data = [resident(task) for task in tasks]
    examples = len(data[0]["train"][1])

    def ours(_: int) -> Sample:
        torch.set_num_threads(1)
        training = Training(stack, "cpu")
        began = time.perf_counter()
        for epoch in range(1, epochs + 1):
            training.train_epoch(epoch)
        return Sample(time.perf_counter() - began, len(tasks) * epochs)

    def theirs(_: int) -> Sample:
        torch.set_num_threads(1)
        ensemble = Ensemble(tasks, data)
        began = time.perf_counter()
        for _epoch in range(epochs):
            ensemble.train_epoch(torch.stack([torch.randperm(examples) for _task in tasks]))
        return Sample(time.perf_counter() - began, len(tasks) * epochs)

    yield ours, theirs


@contextmanager
def whole(setting: Setting, seeds: int, peer: peers.Peer) -> Iterator[tuple[Side, Side]]:
    """Prepare a command of ours and one of a peer on the same cells; a warm-up of either trains twelve of them."""
    epochs = 2 if setting.quick else 20

    def seeds_of(pair: int) -> int:
        return 1 if pair == 0 or setting.quick else seeds

    def ours(pair: int) -> Sample:
        text = grids.text(grids.DIGITS, seeds_of(pair), epochs=epochs)
        return _complete(engine.command(text, setting.folder / f"ours{pair}", setting.jobs), ARMS * seeds_of(pair))

    def theirs(pair: int) -> Sample:
        tasks = sides.tasks_of(grids.text(grids.DIGITS, seeds_of(pair), epochs=epochs))
        listed = setting.folder / f"tasks{pair}.json"
        listed.write_text(json.dumps([asdict(task) for task in tasks]), encoding="utf-8")
        return _complete(peer(listed, setting.folder / f"theirs{pair}", setting.jobs), len(tasks))

    yield ours, theirs


def _complete(sample: Sample, cells: int) -> Sample:
    """Refuse a run that stored fewer results than cells."""
    if sample.units != cells:
        problem = f"{sample.units:.0f} of {cells} cells were stored"
        raise RuntimeError(problem)
    return sample


@contextmanager
def share_of_evaluation(setting: Setting) -> Iterator[Any]:
    """Measure what evaluation and probes take beside training."""
    from benchmarks.versus import evaluation

    epochs = 3 if setting.quick else 21
    digits = {every: grids.text(grids.DIGITS, 3, epochs=epochs, eval_every=every) for every in (1, 3)}
    fashion = grids.text(grids.FASHION, 4, optimizer="sgd", lr=0.1, epochs=evaluation.EPOCHS)
    yield lambda _: evaluation.shares(digits, fashion, fashion_epochs=1 if setting.quick else 2)


@contextmanager
def throughput(setting: Setting) -> Iterator[Any]:
    """Measure cells times steps a second over the width."""
    from benchmarks.versus import widths

    asked = (1, 8) if setting.quick else (1, 2, 4, 8, 16, 32, 64, 128)
    text = grids.text(grids.DIGITS_SGD, -(-max(asked) // 4), epochs=1)
    yield lambda _: widths.throughput(text, asked, steps=30 if setting.quick else 450)


def ceiling(setting: Setting) -> float:
    """Return the cells times steps a second that the machine's best product would allow."""
    from benchmarks.versus import widths

    return widths.ceiling(grids.text(grids.DIGITS_SGD, 1, epochs=1), seconds=2 if setting.quick else 10)


def _whole_row(seeds: int, peer: peers.Peer, at_least: float) -> Contest:
    cells = ARMS * seeds
    return Contest(
        f"digits-{cells}-{peer.name}",
        f"digits, 64-64-10, batch 64, 20 epochs, {cells} cells: whole process, from command to stored results",
        peer.says,
        "cell",
        at_least,
        ALIKE + OURS_TOO,
        "Theirs: the fixed cost of operations, and what the peer does around a cell. Ours: at 60 cells mostly the start"
        " of Python and torch in the command and its workers; at 600 the training.",
        lambda setting: whole(setting, seeds, peer),
        needs=peer.needs,
    )


ROWS: tuple[Any, ...] = (
    Contest(
        "digits-mixed",
        "digits, 64-64-10, batch 64, 20 epochs, 300 cells of mixed optimizers and rates",
        "the best plain loop on resident data, in sequence; best of one and all threads, of tensors updated together"
        " and one by one; twelve cells a pair, one of each arm",
        "cell",
        4.0,
        ALIKE + OURS_TOO,
        FIXED,
        mixed,
    ),
    Contest(
        "digits-torch-func",
        "digits, 64-64-10, batch 64, sgd, one stack of 32 cells on one thread, training alone",
        "torch.func: stack_module_state, vmap of grad, the same 32 cells on one thread",
        "cell and epoch",
        None,
        "Neither evaluates.",
        "Both: the fixed cost of operations and arithmetic of small matrices; torch.func also dispatches through vmap.",
        functional,
    ),
    *(_whole_row(seeds, peer, peer.at_least[ARMS * seeds]) for peer in peers.PEERS for seeds in (5, 50)),
    Bounded(
        "evaluation-share",
        "evaluation and probes beside training, one thread: digits, 64-64-10, 21 epochs, evaluated after every third as"
        " the quick questions are; Fashion-MNIST, 784-256-10, ten epochs, judged as the book does: by the test split"
        " before the first epoch and after each",
        (
            Limit("digits", "% of training time", most=40.0),
            Limit("digits, every epoch", "% of training time"),
            Limit("fashion-mnist", "% of training time", most=10.0),
            Limit("fashion-mnist, all images at both ends", "% of training time"),
        ),
        "The digits by a whole training. Fashion-MNIST by a training of two epochs: its start and end with their"
        " probes, a look at the test split and one at all 70,000 images are timed, and put together for ten. By"
        " arithmetic alone the test split is 9 % of training, and 19 % with all images at both ends, whatever the"
        " speed: an image costs half of a training step's products to evaluate, and 110,000 or 230,000 are, beside"
        " 600,000 that are trained on.",
        3,
        share_of_evaluation,
        needs=("fashion-mnist",),
    ),
    Scaling(
        "digits-width",
        "the step of the digits perceptron over the width M, sgd, batch 64, one thread",
        "cells × steps a second",
        "Steps of training by the engine in this process; the ceiling is the best matrix product measured on one"
        " thread.",
        throughput,
        ceiling,
        3,
    ),
)
