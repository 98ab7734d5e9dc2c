"""Learning rates as tables: the real torch schedulers, driven once before training."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch

from d2lbench.catalogue import load
from d2lbench.core.kinds import ScheduleTraits

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

    from d2lbench.core.spec import Cell, Component, Config


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
        for row, cell in enumerate(cells):
            config = cast("Config", cell.config)
            schedule, lr = config.schedule, float(config.optimizer.get("lr"))
            if load().get(ScheduleTraits, schedule.name).traits.watches:
                self._plateaus[row] = Plateau(schedule, lr, config.epochs)
            else:
                alike.setdefault((schedule, lr, config.epochs), []).append(row)
        #: Rows and the rates of all their steps: a wide stack is filled by its few tables, not by its many rows.
        self._tables = [(rows, _table_of_steps(*key, steps)) for key, rows in alike.items()]

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


def _table_of_steps(schedule: Component, lr: float, epochs: int, steps: int) -> NDArray[np.float64]:
    if schedule.get("unit", "epoch") == "step":
        return table(schedule, lr, epochs * steps)
    return np.repeat(table(schedule, lr, epochs), steps)
