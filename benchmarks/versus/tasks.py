"""What a cell trains, in words that need neither the engine nor torch: what every baseline is handed."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import torch

    from d2lbench.core.spec import Cell

#: Split → inputs (n, *shape) and labels or targets (n,).
Data: TypeAlias = "dict[str, tuple[torch.Tensor, torch.Tensor]]"
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Task:
    """One cell: all that a plain training loop has to know, as plain numbers and words that JSON can hold.

    ``hidden`` are the units of an MLP's hidden layers, none for a linear model; ``decay`` is SGD's weight decay of
    the weights, biases left out.
    """

    dataset: str
    model: str
    loss: str
    optimizer: str
    options: Mapping[str, Any]
    epochs: int
    batch_size: int
    seed: int
    eval_every: int = 1
    eval_train_every: int | None = None
    hidden: tuple[int, ...] = ()
    decay: float = 0.0
    normal_start: float = 0.0  # standard deviation of normal weights where they do not begin as torch.nn's
    dataset_options: Mapping[str, Any] = field(default_factory=dict)
    dtype: str = "float32"

    def evaluates(self, epoch: int) -> bool:
        """Say whether the cell is judged after an epoch, 0 being before the first step: as the engine judges it."""
        return epoch % self.eval_every == 0 or epoch == self.epochs

    def evaluates_training(self, epoch: int) -> bool:
        """Say whether the training split is judged, too."""
        return epoch % (self.eval_train_every or self.eval_every) == 0 or epoch == self.epochs


def task_of(cell: Cell) -> Task:
    """Return a cell of the engine as a task.

    Raises
    ------
    ValueError
        The cell asks for something that the baselines do not do.
    """
    config: Any = cell.config
    plain = {"schedule": "constant", "stopping": "none"}
    regularizer, init = config.regularizer, config.init
    strange = [f"{key} {getattr(config, key).name}" for key, name in plain.items() if getattr(config, key).name != name]
    strange += [f"regularizer {regularizer.name}"] if regularizer.name not in ("none", "weight-decay") else []
    strange += [f"init {init.name}"] if init.name not in ("default", "normal") else []
    if strange:
        problem = f"no baseline knows {', '.join(strange)}"
        raise ValueError(problem)
    return Task(
        dataset=config.dataset.name,
        dataset_options=dict(config.dataset.options),
        model=config.model.name,
        hidden=tuple(config.model.get("hidden") or ()),
        loss=config.loss.name,
        optimizer=config.optimizer.name,
        options=dict(config.optimizer.options),
        decay=regularizer.get("strength") if regularizer.name == "weight-decay" else 0.0,
        normal_start=init.get("std") if init.name == "normal" else 0.0,
        epochs=config.epochs,
        eval_every=config.eval_every,
        eval_train_every=config.eval_train_every,
        batch_size=config.batch_size,
        seed=cell.seed,
        dtype=config.dtype,
    )


def resident(task: Task) -> Data:
    """Return every split that has examples as tensors in memory: inputs (n, *shape) and labels or targets (n,)."""
    drawn = task.dataset_options.get("train_size") is not None or task.dataset != "fashion-mnist"
    options = tuple(sorted(task.dataset_options.items()))
    return _resident(task.dataset, options, task.seed if drawn else 0, task.dtype, task.model)


@functools.lru_cache(maxsize=2)
def _resident(dataset: str, options: tuple[tuple[str, Any], ...], seed: int, dtype: str, model: str) -> Data:
    import torch

    splits = _splits(dataset, options, seed)
    pool, kind = splits.pool, getattr(torch, dtype)
    found = {}
    for name in SPLITS:
        rows = getattr(splits, name)
        if len(rows):
            x = torch.from_numpy(pool.x[rows]).to(kind).mul_(pool.scale)
            y = torch.from_numpy(pool.y[rows])
            side = round(x.shape[1] ** 0.5)
            found[name] = (x.view(-1, 1, side, side) if model == "lenet" else x, y if pool.classes else y.to(kind))
    return found


def _splits(dataset: str, options: tuple[tuple[str, Any], ...], seed: int) -> Any:
    from d2lbench import catalogue

    return catalogue.load().get("dataset", dataset).factory(seed, **dict(options))
