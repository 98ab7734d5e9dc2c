"""The journal of a stack: what is recorded when, which rows have diverged, and what became of each row's cell."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from d2lbench.core.runs import Run
from d2lbench.core.spec import configs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import torch
    from numpy.typing import NDArray

    from d2lbench.core.spec import Cell

    Vector = NDArray[np.float64]

#: Series that are recorded every epoch; all others of training are evaluations, at ``eval_every``.
EVERY_EPOCH = frozenset({"batch_loss", "learning_rate", "step_oscillation"})
#: Series of evaluations of the training split, which may be rarer: at ``eval_train_every``.
OF_TRAINING = frozenset({"train_loss", "train_accuracy", "optimality_gap"})
#: Series that are recorded before the first step and at the last epoch.
PROBES = ("gradient_norm", "activation_variance", "weight_norm", "sparsity", "hidden_spread")
#: Series that are recorded at the last epoch only.
AT_THE_END = frozenset({"weight_change", "stopped", "doubt_auroc"})

#: What a journal holds beside the series.
_WRITTEN = ("_diverged", "_diverged_epoch", "_reasons", "_last_finite", "_constants", "_correctness", "_weights")


class Journal:
    """Collects named vectors (M,) by epoch and turns them into one run a row; ``extras`` are the optional series."""

    def __init__(self, cells: Sequence[Cell], extras: frozenset[str]) -> None:
        self._cells, self._extras = cells, extras
        trained = configs(cells)
        self._epochs = np.array([config.epochs for config in trained])
        self._eval_every = np.array([config.eval_every for config in trained])
        self._train_every = np.array([config.eval_train_every or config.eval_every for config in trained])
        self._values: dict[str, dict[int, Vector]] = {}
        self._diverged = np.zeros(len(cells), dtype=np.int64)  # step, 0 where not
        self._diverged_epoch = np.full(len(cells), np.iinfo(np.int64).max)
        self._reasons = [""] * len(cells)
        self._last_finite = np.full(len(cells), math.nan)
        self._constants: tuple[Vector, Vector] = (self._last_finite, self._last_finite)
        self._correctness: list[dict[str, tuple[bytes, int]]] = [{} for _ in cells]
        self._weights = [b""] * len(cells)

    @property
    def last_epoch(self) -> int:
        """The epoch after which no row has anything left to do."""
        return int(self._epochs.max())

    def running(self, epoch: int) -> bool:
        """Whether some row that has not diverged still has this epoch to train."""
        return bool(((self._epochs >= epoch) & (self._diverged == 0)).any())

    def evaluates(self, epoch: int, *, training: bool = False) -> bool:
        """Whether some row, or its ``training`` split, is to be evaluated after this epoch."""
        every = self._train_every if training else self._eval_every
        due = (epoch % every == 0) | (self._epochs == epoch)
        return bool((due & (self._epochs >= epoch)).any())

    def ends(self, epoch: int) -> bool:
        """Whether this epoch is some row's last."""
        return bool((self._epochs == epoch).any())

    def note(self, epoch: int, vectors: Mapping[str, torch.Tensor | Vector]) -> None:
        """Write down named vectors (M,) of an epoch."""
        for name, vector in vectors.items():
            self._values.setdefault(name, {})[epoch] = np.asarray(vector, dtype=np.float64)

    def at(self, epoch: int) -> dict[str, Vector]:
        """Return everything that was written down for an epoch."""
        return {name: values[epoch] for name, values in self._values.items() if epoch in values}

    def note_constants(self, loss: torch.Tensor, chance: torch.Tensor) -> None:
        """Write down loss and accuracy of predictors that never look at the input, (M,) each."""
        self._constants = (np.asarray(loss), np.asarray(chance))

    def note_correctness(self, epoch: int, split: str, packed: Sequence[tuple[bytes, int]]) -> None:
        """Keep the packed hits of the rows whose last epoch this is."""
        for row in np.flatnonzero(self._epochs == epoch).tolist():
            self._correctness[row][split] = packed[row]

    def note_weights(self, epoch: int, packed: Callable[[int], bytes]) -> None:
        """Keep the final weights of the rows whose last epoch this is."""
        for row in np.flatnonzero(self._epochs == epoch).tolist():
            self._weights[row] = packed(row)

    def note_steps(self, epoch: int, losses: Vector, health: Vector) -> None:
        """Judge an epoch's steps: ``losses`` (T, M), and ``health`` (T, M), not finite where a parameter is not."""
        steps, live = len(losses), (self._epochs >= epoch) & (self._diverged == 0)
        if np.isfinite(losses[:, live]).all() and np.isfinite(health[:, live]).all():
            self._last_finite[live] = losses[-1, live]
            return
        bad_loss, bad = ~np.isfinite(losses), ~(np.isfinite(losses) & np.isfinite(health))
        for row in np.flatnonzero(live):
            first = int(bad[:, row].argmax()) if bad[:, row].any() else steps
            finite = losses[: first + 1, row][np.isfinite(losses[: first + 1, row])]
            if len(finite):
                self._last_finite[row] = finite[-1]
            if first < steps:
                step = (epoch - 1) * steps + first + 1
                loss = f"the training loss became {losses[first, row]}"
                what = loss if bad_loss[first, row] else "a parameter overflowed"
                self._diverged[row], self._diverged_epoch[row] = step, epoch
                self._reasons[row] = f"{what} at step {step} (epoch {epoch})"

    def snapshot(self) -> dict[str, Any]:
        """Return everything that was written down; a series as its epochs and their vectors, (epochs, M)."""
        values = {name: (list(series), np.stack(list(series.values()))) for name, series in self._values.items()}
        return {"_values": values, **{name: getattr(self, name) for name in _WRITTEN}}

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Take over a snapshot."""
        series = snapshot["_values"].items()
        self._values = {name: dict(zip(epochs, vectors, strict=True)) for name, (epochs, vectors) in series}
        for name in _WRITTEN:
            setattr(self, name, snapshot[name])

    def runs(self) -> list[Run]:
        """Return what became of every row's cell, in the order of the rows."""
        return [self._run(row, cell) for row, cell in enumerate(self._cells)]

    def _run(self, row: int, cell: Cell) -> Run:
        step = int(self._diverged[row])
        return Run(
            cell=cell.id,
            seed=cell.seed,
            identity=cell.identity,
            status="diverged" if step else "done",
            reason=self._reasons[row],
            diverged_step=step or None,
            chance=float(self._constants[1][row]),
            constant_loss=float(self._constants[0][row]),
            last_finite_loss=float(self._last_finite[row]),
            extras=self._extras,
            series={name: self._series(name, row) for name in self._values},
            correctness={} if step else self._correctness[row],
            weights=self._weights[row],
        )

    def _series(self, name: str, row: int) -> tuple[Vector, Vector]:
        """Return one series of a row at its own epochs; NaN from its divergence on."""
        epochs, kind = int(self._epochs[row]), name.partition("/")[0]
        every = int((self._train_every if name in OF_TRAINING else self._eval_every)[row])
        if name in EVERY_EPOCH:
            x = [*range(1, epochs + 1)]
        elif kind in AT_THE_END:
            x = [epochs]
        elif kind in PROBES:
            x = [0, epochs]
        else:
            x = [*range(0, epochs, every), epochs]
        values, end = self._values[name], self._diverged_epoch[row]
        y = [values[epoch][row] if epoch in values and epoch < end else math.nan for epoch in x]
        return np.array(x, dtype=np.float64), np.array(y, dtype=np.float64)
