"""Early stopping inside a stack: every row keeps its best parameters, and stands still once its patience is over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from d2lbench.catalogue import load

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from d2lbench.catalogue.stopping import Patience
    from d2lbench.core.spec import Cell, Config
    from d2lbench.engine.parameters import Parameters


def patience_of(config: Config) -> Patience | None:
    """Return how a configuration stops early, or None where it does not."""
    found: Patience | None = load().get("stopping", config.stopping.name).factory(**dict(config.stopping.options))
    return found


class Stopping:
    """The early stopping of a stack's rows.

    Attributes
    ----------
    epochs
        The epoch, counted from 1, after which each row stood still, (M,); 0 where it did not.
    """

    def __init__(self, cells: Sequence[Cell], parameters: Parameters) -> None:
        configs: list[Any] = [cell.config for cell in cells]
        self._rules = [patience_of(config) for config in configs]
        self._epochs = [(config.eval_every, config.epochs) for config in configs]
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
            self._go_back(np.flatnonzero(self.stopped).tolist())

    def watch(self, epoch: int, evaluated: Mapping[str, NDArray[np.float64]], shown: torch.Tensor) -> bool:
        """Look at an epoch's evaluation at parameters ``shown`` (M, N); return whether some row went back to its best.

        An averaging optimizer's rows are shown at their average, which is then what they keep and end with.
        """
        due = [row for row, rule in enumerate(self._rules) if rule is not None and self._is_due(row, epoch)]
        better = [row for row in due if self._improves(row, float(evaluated[self._rule(row).metric][row]))]
        self._keep(better, shown)
        ended = []
        for row in due:
            self._waited[row] = 0 if row in better else self._waited[row] + 1
            if self._waited[row] >= self._rule(row).patience and epoch < self._epochs[row][1]:
                self.epochs[row] = epoch
                ended.append(row)
            elif epoch == self._epochs[row][1] and row not in better:
                ended.append(row)
        self._go_back(ended)
        self.returned[ended] = True
        return bool(ended)

    def _rule(self, row: int) -> Patience:
        rule = self._rules[row]
        assert rule is not None
        return rule

    def _is_due(self, row: int, epoch: int) -> bool:
        every, last = self._epochs[row]
        return not self.epochs[row] and epoch <= last and (epoch % every == 0 or epoch == last)

    def _improves(self, row: int, value: float) -> bool:
        """Note a value that is better than the best so far by more than the rule's smallest change; NaN never is."""
        rule, best = self._rule(row), self._best_value[row]
        gain = value - best if rule.metric.endswith("accuracy") else best - value
        if np.isnan(value) or not (np.isnan(best) or gain > rule.min_delta):
            return False
        self._best_value[row] = value
        return True

    @torch.no_grad()
    def _keep(self, rows: list[int], shown: torch.Tensor) -> None:
        for name, present in {**self._state(), "block": shown}.items():
            if rows:
                self._kept[name][rows] = present[rows]

    @torch.no_grad()
    def _go_back(self, rows: list[int]) -> None:
        for name, present in self._state().items():
            if rows:
                present[rows] = self._kept[name][rows]
