"""LeNet on Fashion-MNIST: a model whose arithmetic, not its steps, is what takes time."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from benchmarks.versus import grids, sides
from benchmarks.versus.row import Contest, Setting, Side


def against_resident(setting: Setting) -> AbstractContextManager[tuple[Side, Side]]:
    """Prepare eight cells, and two of them a pair for the plain loop."""
    seeds, size, epochs = (2, 1_000, 1) if setting.quick else (8, 10_000, 2)
    text = grids.text(grids.LENET, seeds, size=size, epochs=epochs)
    loop = sides.plain_loop(text, 1 if setting.quick else 2, ("foreach", "fused"), setting.jobs, sides.by_epochs)
    return sides.steady(setting, text, epochs, loop)


ROWS: tuple[Any, ...] = (
    Contest(
        "lenet",
        "LeNet on 10,000 images of Fashion-MNIST, batch 256, sgd, eight cells, two epochs",
        "the best plain loop on resident data, best of one and all threads; two cells a pair",
        "cell and epoch",
        1.4,
        "Both evaluate the 10,000 training and the 10,000 test images before the first and after the last step.",
        "Arithmetic and memory on both sides: sigmoids and small convolutions. Ours trains a cell a core, theirs puts"
        " all cores on one cell.",
        against_resident,
        needs=("fashion-mnist",),
    ),
)
