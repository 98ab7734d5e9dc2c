"""What an epoch decides about the next: learning rates and early stopping.

Rates are tables: the real torch schedulers, driven once before training; only a plateau's is decided on the way. Early
stopping works inside a stack: every row keeps its best parameters, and stands still once its patience is over.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch

from d2lbench.catalogue import load
from d2lbench.core.kinds import ScheduleTraits
from d2lbench.core.spec import configs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

    from d2lbench.catalogue.stopping import Patience
    from d2lbench.core.spec import Cell, Component
    from d2lbench.engine.parameters import Parameters


class Carrier(torch.optim.Optimizer):
    """An optimizer without parameters, which only carries a rate for a scheduler to change.

    It leaves out the constructor of its class, which loads torch's compiler: seconds for a process that trains for
    less.
    """

    def __init__(self, lr: float) -> None:
        self.param_groups = [{"params": [], "lr": lr}]
        self.defaults: dict[str, Any] = {}

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Do nothing: a scheduler wants to see a step before its own."""


def rate_of(optimizer: torch.optim.Optimizer) -> float:
    """Return the rate that a scheduler has left in an optimizer."""
    return float(optimizer.param_groups[0]["lr"])


def warm_up(lr: float, units: int, start: float) -> NDArray[np.float64]:
    """Return ``units`` rates that rise in a straight line from ``start`` times lr; the next one would be lr."""
    return lr * (start + (1 - start) * np.arange(units) / max(units, 1))


@functools.lru_cache(maxsize=4096)
def table(schedule: Component, lr: float, units: int) -> NDArray[np.float64]:
    """Return the rate of every unit (epoch or step), warm-up first; the schedule then gets the remaining units.

    A schedule that comes late starts with the optimizer's own rate and never comes to what was meant for the last unit.
    """
    warm = min(int(schedule.get("warmup", 0)), units)
    rates = [warm_up(lr, warm, float(schedule.get("warmup_start", 0.0)))]
    optimizer = Carrier(lr)
    scheduler: LRScheduler = _make(schedule, optimizer, max(units - warm, 1))
    rest = np.empty(units - warm)
    for unit in range(units - warm):
        rest[unit] = rate_of(optimizer)
        optimizer.step()
        scheduler.step()
    meant = np.concatenate([*rates, rest])
    return np.concatenate([[lr], meant[:-1]]) if schedule.get("late", False) else meant


def _make(schedule: Component, optimizer: torch.optim.Optimizer, units: int) -> Any:
    return load().get("schedule", schedule.name).factory(optimizer, units, **dict(schedule.options))


class Plateau:
    """One cell's ReduceLROnPlateau: the only schedule that is decided while training."""

    def __init__(self, schedule: Component, lr: float, epochs: int) -> None:
        self.metric, self.epochs = str(schedule.get("metric")), epochs
        self._warm = warm_up(lr, int(schedule.get("warmup", 0)), float(schedule.get("warmup_start", 0.0)))
        self._optimizer = Carrier(lr)
        self._scheduler = cast("ReduceLROnPlateau", _make(schedule, self._optimizer, epochs))

    def rate(self, epoch: int) -> float:
        """Return the rate of an epoch, counted from 1."""
        return float(self._warm[epoch - 1]) if epoch <= len(self._warm) else rate_of(self._optimizer)

    def watch(self, epoch: int, value: float) -> None:
        """Tell it the metric after an epoch; during the warm-up it does not look."""
        if epoch > len(self._warm):
            self._scheduler.step(value)


class Rates:
    """The learning rates of a stack: ``of(epoch)`` is (T, M), float64, T steps to the epoch."""

    def __init__(self, cells: Sequence[Cell], steps: int) -> None:
        self._steps, self._rows = steps, len(cells)
        self._plateaus: dict[int, Plateau] = {}
        alike: dict[tuple[Component, float, int], list[int]] = {}
        for row, config in enumerate(configs(cells)):
            schedule, lr = config.schedule, float(config.optimizer.get("lr"))
            if load().get(ScheduleTraits, schedule.name).traits.watches:
                self._plateaus[row] = Plateau(schedule, lr, config.epochs)
            else:
                alike.setdefault((schedule, lr, config.epochs), []).append(row)
        #: Rows and the rates of all their steps: a wide stack is filled by its few tables, not by its many rows.
        self._tables: list[tuple[list[int], NDArray[np.float64]]] = []
        for (schedule, lr, epochs), rows in alike.items():
            by_step = schedule.get("unit", "epoch") == "step"
            rates = table(schedule, lr, epochs * steps) if by_step else np.repeat(table(schedule, lr, epochs), steps)
            self._tables.append((rows, rates))

    def of(self, epoch: int) -> NDArray[np.float64]:
        """Return the rates of an epoch, counted from 1; a row past its own end stands still at 0."""
        rates = np.zeros((self._steps, self._rows))
        first = (epoch - 1) * self._steps
        for rows, table in self._tables:
            if first < len(table):
                rates[:, rows] = table[first : first + self._steps, None]
        for row, plateau in self._plateaus.items():
            if epoch <= plateau.epochs:
                rates[:, row] = plateau.rate(epoch)
        return rates

    def watch(self, epoch: int, metrics: Mapping[str, NDArray[np.float64]]) -> None:
        """Hand the metrics of an epoch, each (M,), to the schedules that look at them; none does past its own end."""
        for row, plateau in self._plateaus.items():
            if epoch <= plateau.epochs:
                plateau.watch(epoch, float(metrics[plateau.metric][row]))


class Stopping:
    """The early stopping of a stack's rows.

    Attributes
    ----------
    epochs
        The epoch, counted from 1, after which each row stood still, (M,); 0 where it did not.
    """

    def __init__(self, cells: Sequence[Cell], parameters: Parameters) -> None:
        trained = configs(cells)
        self._rules: list[Patience | None] = [
            load().get("stopping", config.stopping.name).factory(**dict(config.stopping.options)) for config in trained
        ]
        self._epochs = [(config.eval_every, config.epochs) for config in trained]
        self._parameters = parameters
        self._best_value = np.full(len(cells), np.nan)
        self._waited = np.zeros(len(cells), dtype=np.int64)
        self.epochs = np.zeros(len(cells), dtype=np.int64)
        #: Which rows have gone back to their best: they are judged at their parameters, no average of later ones.
        self.returned = np.zeros(len(cells), dtype=np.bool_)
        self._kept = {name: tensor.clone() for name, tensor in self._state().items()} if self.active else {}

    @property
    def active(self) -> bool:
        """Whether any row may stop early."""
        return any(rule is not None for rule in self._rules)

    @property
    def stopped(self) -> NDArray[np.bool_]:
        """Which rows stand still, (M,)."""
        return self.epochs > 0

    def _state(self) -> dict[str, torch.Tensor]:
        return {"block": self._parameters.block, **self._parameters.buffers}

    def snapshot(self) -> dict[str, Any]:
        """Return what the next looks depend on."""
        return {"best": self._best_value, "waited": self._waited, "epochs": self.epochs, "kept": self._kept}

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Take over a snapshot."""
        self._best_value, self._waited, self.epochs = (snapshot[name] for name in ("best", "waited", "epochs"))
        self.returned = self.stopped
        for name, values in self._kept.items():
            values.copy_(snapshot["kept"][name])

    def hold(self) -> None:
        """Put the rows that stand still back to their best: batch norm's statistics move in every training pass."""
        if self.active:
            self._copy(np.flatnonzero(self.stopped).tolist(), self._kept, self._state())

    def watch(self, epoch: int, evaluated: Mapping[str, NDArray[np.float64]], shown: torch.Tensor) -> bool:
        """Look at an epoch's evaluation at parameters ``shown`` (M, N); return whether some row went back to its best.

        An averaging optimizer's rows are shown at their average, which is then what they keep and end with.
        """
        due = {row: rule for row, rule in enumerate(self._rules) if rule is not None and self._is_due(row, epoch)}
        better = [row for row, rule in due.items() if self._improves(row, rule, float(evaluated[rule.metric][row]))]
        self._copy(better, {**self._state(), "block": shown}, self._kept)
        ended = []
        for row, rule in due.items():
            self._waited[row] = 0 if row in better else self._waited[row] + 1
            if self._waited[row] >= rule.patience and epoch < self._epochs[row][1]:
                self.epochs[row] = epoch
                ended.append(row)
            elif epoch == self._epochs[row][1] and row not in better:
                ended.append(row)
        self._copy(ended, self._kept, self._state())
        self.returned[ended] = True
        return bool(ended)

    def _is_due(self, row: int, epoch: int) -> bool:
        every, last = self._epochs[row]
        return not self.epochs[row] and epoch <= last and (epoch % every == 0 or epoch == last)

    def _improves(self, row: int, rule: Patience, value: float) -> bool:
        """Note a value that is better than the best so far by more than the rule's smallest change; NaN never is."""
        best = self._best_value[row]
        gain = value - best if rule.metric.endswith("accuracy") else best - value
        if np.isnan(value) or not (np.isnan(best) or gain > rule.min_delta):
            return False
        self._best_value[row] = value
        return True

    @staticmethod
    @torch.no_grad()
    def _copy(rows: list[int], source: Mapping[str, torch.Tensor], target: Mapping[str, torch.Tensor]) -> None:
        """Copy some rows of every tensor from one state to another: to keep them, or to go back."""
        if rows:
            for name, values in target.items():
                values[rows] = source[name][rows]
