"""How much of a training's time is evaluation and probes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import torch

from benchmarks.versus.engine import stack_of
from d2lbench.engine.train import Training

#: Epochs of the published grids that the Fashion-MNIST share is put together for, and how often they evaluate.
EPOCHS, EVERY = 10, 5


def shares(digits: str, fashion: str, *, fashion_epochs: int) -> Mapping[str, float]:
    """Return evaluation and probes in percent of training, for both grids, on one thread."""
    torch.set_num_threads(1)
    training = Training(stack_of(digits), "cpu")
    observed, trained = _whole(training)
    found = {"digits": 100 * observed / trained}
    training = Training(stack_of(fashion), "cpu")
    start = _seconds(training.begin_anew)
    epoch = sum(_seconds(training.train_epoch, e) for e in range(1, fashion_epochs + 1)) / fashion_epochs
    between = _seconds(training.evaluate, 1, training.shown())
    end = _seconds(training.observe, EPOCHS)

    def share(evaluations: int) -> float:
        return 100 * (start + end + (evaluations - 1) * between) / (EPOCHS * epoch)

    return found | {"fashion-mnist": share(EPOCHS // EVERY), "fashion-mnist, every epoch": share(EPOCHS)}


def _whole(training: Training) -> tuple[float, float]:
    """Return the seconds that observing and training took, of a training from its start to its end."""
    observed, trained = _seconds(training.begin_anew), 0.0
    for epoch in range(1, training.journal.last_epoch + 1):
        trained += _seconds(training.train_epoch, epoch)
        observed += _seconds(training.observe, epoch)
    return observed, trained


def _seconds(call: Callable[..., object], *given: object) -> float:
    began = time.perf_counter()
    call(*given)
    return time.perf_counter() - began
