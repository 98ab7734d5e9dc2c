"""Export: a row per cell, its configuration in columns, what became of it, and a column per scalar metric."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from d2lbench.analysis.headlines import shown_metric
from d2lbench.analysis.tables import change_label, context_label
from d2lbench.core.registry import REGISTRY, REQUIRED
from d2lbench.core.spec import COMPONENT_KEYS, SCALAR_KEYS, Config, spelled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from d2lbench.analysis.results import Results
    from d2lbench.core.spec import Cell
    from d2lbench.grid.arms import Arm
    from d2lbench.grid.claims.statement import Metric

#: Cells that spreadsheets would run as formulas begin so.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def frame(results: Results) -> pd.DataFrame:
    """Return a tidy table of a grid: a row per cell that it asks for, whether there is a run of it or not."""
    metrics = _metrics(results)
    rows = [
        {**_described(results, arm, trial, cell), **_measured(results, cell, metrics)}
        for arm, trial, cell in _cells(results)
    ]
    return pd.DataFrame(rows)


def _cells(results: Results) -> Iterator[tuple[Arm, str, Cell]]:
    grid = results.grid
    for arm in grid.chosen():
        for seed in grid.seeds:
            for rung, cell in zip(arm.rungs, arm.trials(seed), strict=True):
                yield arm, ", ".join(setting.label for setting in rung.settings), cell
            if not arm.rungs or arm.label in grid.own_values:
                yield arm, "", arm.default(seed)


def _metrics(results: Results) -> list[Metric]:
    """Return the metrics that need no further option and those that claims name, if the grid trains; else those."""
    claimed = [part.measure.metric for claim in results.grid.claims for part in claim.parts]
    if not any(isinstance(arm.config, Config) for arm in results.grid.arms):
        return []
    plain = [
        shown_metric(entry.name, **entry.resolve({}))
        for entry in REGISTRY.entries("metric")
        if not any(option.default is REQUIRED for option in entry.options.values())
    ]
    return [*plain, *(metric for metric in dict.fromkeys(claimed) if metric not in plain)]


def _described(results: Results, arm: Arm, trial: str, cell: Cell) -> dict[str, Any]:
    row: dict[str, Any] = {
        "cell": cell.id,
        "context": context_label(arm.context),
        "arm": change_label(results.grid, arm) if not arm.check else arm.check,
        "trial": trial,
        "seed": cell.seed,
    }
    config = cell.config
    if isinstance(config, Config):
        row |= {key: getattr(config, key).label() for key in COMPONENT_KEYS}
        plain = {key: getattr(config, key) for key in SCALAR_KEYS}
        row |= {key: "" if value is None else spelled(value) for key, value in plain.items()}
    else:
        row[config.experiment.kind] = config.experiment.label()
    run = results.runs.get(cell.id)
    if run is None:
        return row | {"status": "missing", "reason": "", "diverged_step": None}
    return row | {"status": run.status, "reason": run.reason, "diverged_step": run.diverged_step}


def _measured(results: Results, cell: Cell, metrics: list[Metric]) -> dict[str, float | None]:
    run = results.run(cell)
    if run is None:
        return {metric.label(): None for metric in metrics}
    if not isinstance(cell.config, Config):  # an experiment names its own metrics
        return {name: float(y[-1]) for name, (_, y) in sorted((run.series or {}).items())}
    values = {metric.label(): results.read(cell, metric) for metric in metrics}
    return {name: float(value) for name, value in values.items() if not hasattr(value, "__len__")}


def as_csv(table: pd.DataFrame) -> str:
    """Return the table as CSV; text that a spreadsheet would run as a formula is quoted with an apostrophe."""

    def guarded(value: Any) -> Any:
        return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value

    return str(table.map(guarded).to_csv(index=False))
