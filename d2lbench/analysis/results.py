"""Reading runs: the number that a metric gives for an arm at a seed, tuned inside that seed."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from d2lbench.catalogue.metrics import Record
from d2lbench.core.kinds import DatasetTraits
from d2lbench.core.registry import REGISTRY, Registry
from d2lbench.core.spec import Cell, Config
from d2lbench.store import FINISHED, Run

if TYPE_CHECKING:
    from d2lbench.core.spec import Component
    from d2lbench.grid.arms import Arm
    from d2lbench.grid.claims.statement import Metric
    from d2lbench.grid.model import Grid


#: Standard errors of a binomial share by which an accuracy must beat chance to have learned something.
LUCK = 3.0
#: The share by which a loss must undercut the constant predictor's to have learned something.
SCARCELY = 0.01


@dataclass(frozen=True)
class Reading:
    """One number read of a run, or of the runs of a side; and whether one of them diverged.

    Attributes
    ----------
    pick
        The rungs that were picked, in words.
    edge
        Whether a pick lies at an end of its ladder, and no rung inside the ladder is as good.
    cut
        Whether a window runs into the ladder's end.
    """

    value: float
    diverged: bool = False
    pick: str = ""
    edge: bool = False
    cut: bool = False


@dataclass
class Results:
    """A grid's runs in an environment, by cell; reads metrics and picks trials. Unfinished cells read as None."""

    grid: Grid
    runs: Mapping[str, Run]
    registry: Registry = field(default=REGISTRY)
    environment: str = ""
    _values: dict[tuple[str, Metric], Any] = field(default_factory=dict)
    _records: dict[str, Record] = field(default_factory=dict)
    _picks: dict[tuple[str, int, Metric], tuple[int, bool] | None] = field(default_factory=dict)

    def run(self, cell: Cell) -> Run | None:
        """Return the finished run of a cell, or None."""
        run = self.runs.get(cell.id)
        return run if run is not None and run.status in FINISHED else None

    def record(self, cell: Cell) -> Record | None:
        """Return what a metric reads of a finished run, or None."""
        run = self.run(cell)
        if run is None:
            return None
        if cell.id not in self._records:
            self._records[cell.id] = Record(
                series=run.series or {},
                diverged=run.status == "diverged",
                epochs=cell.config.epochs if isinstance(cell.config, Config) else 0,
                chance=_number(run.chance),
                constant_loss=_number(run.constant_loss),
                last_finite_loss=_number(run.last_finite_loss),
            )
        return self._records[cell.id]

    def read(self, cell: Cell, metric: Metric) -> Any:
        """Return a metric's value (a number, or a curve's values) of a cell; None where the cell is not finished."""
        key = (cell.id, metric)
        if key not in self._values:
            record = self.record(cell)
            self._values[key] = None if record is None else metric.read(record)
        return self._values[key]

    def positions(self, cell: Cell, metric: Metric) -> Any:
        """Return the epochs of a curve metric's values."""
        record = self.record(cell)
        return None if record is None else record.curve(metric.series[0])[0]

    # ------------------------------------------------------------------------------------------------- tuning

    def pick(self, arm: Arm, seed: int, select: Metric | None) -> int | None:
        """Return which rung the arm picks at a seed by ``select``; None where a trial is missing or nothing tuned.

        Ties go to the first rung; a diverged trial ranks last.
        """
        found = self._picked(arm, seed, select)
        return None if found is None else found[0]

    def _picked(self, arm: Arm, seed: int, select: Metric | None) -> tuple[int, bool] | None:
        """Return the rung that an arm picks, and whether it points beyond the ladder's end."""
        if not arm.rungs or select is None:
            return None
        key = (arm.label, seed, select)
        if key not in self._picks:
            self._picks[key] = self._best(arm, seed, select)
        return self._picks[key]

    def _best(self, arm: Arm, seed: int, select: Metric) -> tuple[int, bool] | None:
        cells = arm.trials(seed)
        values = [self.read(cell, select) for cell in cells]
        if any(value is None for value in values):
            return None
        ranks = []
        for cell, value in zip(cells, values, strict=True):
            run = self.run(cell)
            last = run is None or run.status == "diverged" or math.isnan(value)
            ranks.append(-math.inf if last else select.sign * value)
        best = ranks.index(max(ranks))
        inside = [ranks[k] for k in range(len(ranks)) if k not in ladder_ends(arm)]
        beyond = best in ladder_ends(arm) and max(inside, default=-math.inf) < ranks[best]
        return best, beyond and self._learned(cells[best], select, values[best])

    def _learned(self, cell: Cell, select: Metric, value: float) -> bool:
        """Say whether a trial did better than a predictor that never looks at the input."""
        record = self.record(cell)
        if record is None or not isinstance(cell.config, Config):
            return True
        if select.name.endswith("_accuracy"):
            n = self._examples(cell.config.dataset, select.name.partition("_")[0])
            return value > record.chance + LUCK * math.sqrt(record.chance * (1 - record.chance) / n)
        return not select.name.endswith("_loss") or value < (1 - SCARCELY) * record.constant_loss

    def _examples(self, dataset: Component, split: str) -> float:
        """Return how many examples a split has; infinite where the dataset does not say."""
        sizes = self.registry.get(DatasetTraits, dataset.name).traits.sizes
        most = sizes.get("train", math.inf)
        train, folds = dataset.get("train_size") or most, dataset.get("folds") or 0
        if split == "train":
            return float(train - (train // folds if folds else 0))
        if split == "validation" and folds:
            return float(train // folds)
        own = dataset.get(split)
        return float(sizes.get(split, math.inf) if own is None else own)

    def on_the_edge(self, arm: Arm, seed: int, select: Metric | None) -> bool:
        """Say whether an arm's pick lies at an end of its ladder, so that a longer ladder might hold a better one.

        Not so where an inner rung is as good (a strength too small to matter ties with its neighbour), nor where no
        rung learned anything: an arm at chance all along the ladder picks by the luck of a validation image or two,
        and such a pick points nowhere.
        """
        found = self._picked(arm, seed, select)
        return found is not None and found[1]

    def cell(self, arm: Arm, seed: int, stage: str, select: Metric | None) -> tuple[Cell | None, int | None]:
        """Return the cell that stands for an arm at a seed, and the rung that it was picked from."""
        if not arm.rungs or stage == "default":
            return arm.default(seed), None
        pick = self.pick(arm, seed, select)
        return (None, None) if pick is None else (arm.trials(seed)[pick], pick)

    def reading(self, arm: Arm, seed: int, metric: Metric, stage: str, select: Metric | None) -> Reading | None:
        """Return a scalar metric of an arm at a seed; None where a cell that it takes is missing."""
        cell, pick = self.cell(arm, seed, stage, select)
        if cell is None:
            return None
        value = self.read(cell, metric)
        if value is None:
            return None
        edge = pick is not None and self.on_the_edge(arm, seed, select)
        run = self.run(cell)  # what is read before the first step knows of no divergence
        diverged = run is not None and run.status == "diverged" and metric.get("at") != "start"
        return Reading(float(value), diverged, "" if pick is None else rung_label(arm, pick), edge)

    def picks_in_words(self, arm: Arm, select: Metric | None) -> str:
        """Say which rungs the seeds picked: ``lr=0.1 (9 seeds), lr=0.3 (3)``."""
        picks = [self.pick(arm, seed, select) for seed in self.grid.seeds]
        counts = Counter(pick for pick in picks if pick is not None)
        if not counts:
            return ""
        told = [
            f"{rung_label(arm, pick)} ({count}{' seeds' if place == 0 else ''})"
            for place, (pick, count) in enumerate(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
        ]
        return ", ".join(told)

    def counts(self) -> dict[str, int]:
        """Return how many of the grid's cells are in which state; ``missing`` ones have no row yet."""
        counts = Counter(self._state(cell) for cell in self.grid.cells())
        return {state: counts[state] for state in ("done", "diverged", "failed", "skipped", "missing")}

    def reasons(self) -> tuple[tuple[str, int], ...]:
        """Return why cells failed or were skipped, the most frequent reason first."""
        rows = (self.runs.get(cell.id) for cell in self.grid.cells())
        found = Counter(run.reason for run in rows if run is not None and run.status not in FINISHED)
        return tuple(sorted(found.items(), key=lambda item: (-item[1], item[0])))

    def _state(self, cell: Cell) -> str:
        run = self.runs.get(cell.id)
        return "missing" if run is None else run.status


def decisive_seeds(grid: Grid) -> list[int]:
    """Return the seeds that verdicts rest on: those of the run that the file declares."""
    return [seed for seed in grid.seeds if seed in set(grid.declared_seeds)]


def rung_label(arm: Arm, pick: int) -> str:
    """Return a rung's values in words; of a trial whose values each seed draws, which draw it is."""
    if arm.rungs[pick].is_drawn:
        return arm.rungs[pick].label
    return ", ".join(setting.label for setting in arm.rungs[pick].settings)


def ladder_ends(arm: Arm) -> frozenset[int]:
    """Return the rungs at the ends of an arm's ladder.

    None for a single rung, where several keys span it, and where the rungs are in no order: words, or draws of a seed.
    A rung at 0 is no end: nothing lies below no penalty.
    """
    if len(arm.rungs) < 2 or len(arm.tuned_keys) != 1:  # noqa: PLR2004  (one rung has no ends)
        return frozenset()
    positions = [rung.position(arm.tuned_keys[0]) for rung in arm.rungs]
    places = [position for position in positions if position is not None]
    if len(places) < len(positions):
        return frozenset()
    return frozenset(places.index(end) for end in (min(places), max(places)) if end != 0)


def _number(value: float | None) -> float:
    return math.nan if value is None else value
