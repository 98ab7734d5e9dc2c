"""How much of a training's time is evaluation and probes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import torch

from benchmarks.versus.engine import stack_of
from d2lbench.engine.train import Training

#: Epochs of the book's run that the Fashion-MNIST share is put together for.
EPOCHS = 10


def shares(digits: Mapping[int, str], fashion: str, *, fashion_epochs: int) -> Mapping[str, float]:
    """Return evaluation and probes in percent of training, on one thread; ``digits`` by how often they are judged."""
    torch.set_num_threads(1)
    found = {}
    for every, text in digits.items():
        observed, trained = _whole(Training(stack_of(text), "cpu"))
        found["digits, every epoch" if every == 1 else "digits"] = 100 * observed / trained
    training = Training(stack_of(fashion), "cpu")
    start = _seconds(training.begin_anew)
    epoch = sum(_seconds(training.train_epoch, e) for e in range(1, fashion_epochs + 1)) / fashion_epochs
    shown = training.shown()
    whole, tested = _seconds(training.evaluate, 0, shown), _seconds(training.evaluate, 1, shown)
    probes = start + _seconds(training.observe, EPOCHS) - 2 * whole
    looks = {
        "fashion-mnist": (EPOCHS + 1) * tested,
        "fashion-mnist, all images at both ends": (EPOCHS - 1) * tested + 2 * whole,
    }
    return found | {name: 100 * (seconds + probes) / (EPOCHS * epoch) for name, seconds in looks.items()}


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
