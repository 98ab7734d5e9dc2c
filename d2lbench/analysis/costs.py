"""What a grid's arms cost beside how well they do: one program's cost serves every arm that trains it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from d2lbench.analysis.headlines import headline_of
from d2lbench.analysis.tables import trained
from d2lbench.analysis.timing_model import CostPlot, CostPoint, CostRow, CostTable
from d2lbench.analysis.timings import time_of, told_machine
from d2lbench.catalogue.models import training_examples
from d2lbench.core.spec import Config

if TYPE_CHECKING:
    from d2lbench.analysis.model import ArmRow, ArmTable
    from d2lbench.analysis.results import Results
    from d2lbench.grid.arms import Arm
    from d2lbench.store import Store

#: Tells which program a configuration trains; configurations of one program cost the same a step.
CostKey: TypeAlias = Callable[[Config], str]

#: Options of a dataset that leave the data on which arms are judged alone.
_TRAINING_ONLY: Final = frozenset({"train_size", "validation", "folds", "fold"})


@dataclass(frozen=True)
class Costs:
    """The costs that a store knows of one machine, by program; ``key`` tells the program of a configuration."""

    key: CostKey
    known: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    machine: tuple[tuple[str, str], ...] = ()

    def of(self, config: Config) -> tuple[str, Mapping[str, Any]] | None:
        """Return a configuration's program and what it costs; None where that is not known."""
        program = self.key(config)
        found = self.known.get(program)
        return None if found is None else (program, found)


def known_costs(store: Store, environment: str, key: CostKey) -> Costs:
    """Return the costs that the store holds of the machine that it knows the most programs of, at a tie the last."""
    rows = [each for each in store.timings("cost") if each.environment == environment]
    if not rows:
        return Costs(key)
    counts = Counter(each.machine for each in rows)
    last = {each.machine: each.sequence for each in rows}
    machine = max(counts, key=lambda name: (counts[name], last[name]))
    facts = [
        each.content for each in store.timings("machine") if (each.machine, each.environment) == (machine, environment)
    ]
    known = {each.key: each.content for each in rows if each.machine == machine}
    return Costs(key, known, told_machine(facts[-1] if facts else {}))


def cost_table(results: Results, table: ArmTable | None, costs: Costs | None) -> CostTable | None:
    """Return the arms' costs beside their headline metric; None where the store knows no cost of any of them."""
    if table is None or costs is None:
        return None
    arms = trained(results.grid)
    programs: dict[str, int] = {}
    pairs = [(arm, _row(results, arm, row, costs, programs)) for arm, row in zip(arms, table.rows, strict=True)]
    if not programs:
        return None
    sign = headline_of(results.grid).sign
    rows: dict[int, CostRow] = {}
    plots = []
    for title, members in _by_data(arms).items():
        own = [(number, pairs[number][1]) for number in members]
        best = optimal([(row.seconds, sign * row.quality.mean) for _, row in own])
        own = [(number, replace(row, is_optimal=place in best)) for place, (number, row) in enumerate(own)]
        rows |= dict(own)
        points = tuple(_plotted(row) for _, row in own if _is_placed(row))
        if points:
            plots.append(CostPlot(title, table.metric, table.unit, table.as_ratio, points))
    return CostTable(
        metric=table.metric,
        unit=table.unit,
        as_ratio=table.as_ratio,
        rows=tuple(rows[number] for number in range(len(pairs))),
        plots=tuple(plots),
        machine=costs.machine,
        is_tuned=any(arm.is_tuned for arm in arms),
    )


def optimal(points: Sequence[tuple[float, float]]) -> frozenset[int]:
    """Return which (cost, quality) no other point dominates: none costs as little and is as good, and one of both more.

    Points without both numbers take no part.
    """
    order = sorted(
        (number for number, point in enumerate(points) if all(map(math.isfinite, point))),
        key=lambda number: (points[number][0], -points[number][1]),
    )
    found: list[int] = []
    best, cost_of_best = -math.inf, math.nan
    for number in order:
        cost, quality = points[number]
        if quality > best or (quality == best and cost == cost_of_best):
            found.append(number)
            best, cost_of_best = quality, cost
    return frozenset(found)


def _by_data(arms: Sequence[Arm]) -> dict[str, list[int]]:
    """Return which arms are judged on the same data, by those data in words; empty words where all are."""
    found: dict[str, list[int]] = {}
    for number, arm in enumerate(arms):
        found.setdefault(_judged_on(arm), []).append(number)
    return found if len(found) > 1 else {"": list(range(len(arms)))}


def _judged_on(arm: Arm) -> str:
    dataset = arm.config.dataset  # type: ignore[union-attr]  # (arms that train have one)
    return replace(
        dataset, canonical=tuple((name, value) for name, value in dataset.canonical if name not in _TRAINING_ONLY)
    ).label()


def _row(results: Results, arm: Arm, row: ArmRow, costs: Costs, programs: dict[str, int]) -> CostRow:
    config = _trained_config(results, arm)
    blank = CostRow(row.context, row.label, row.is_baseline, row.metric, None)
    found = costs.of(config)
    if found is None:
        return blank
    program, content = found
    times = {part: time_of(each["summary"], each["status"]) for part, each in content["parts"].items()}
    step = times.get("step")
    steps = _epochs(results, arm, config) * _steps_of_an_epoch(config)
    return replace(
        blank,
        program=programs.setdefault(program, len(programs) + 1),
        parameters=int(content["parameters"]),
        batch=int(content["batch"]),
        forward=times.get("forward-train"),
        backward=times.get("backward"),
        step=step,
        memory=float(content["held"] + content["peak"]),
        steps=steps,
        seconds=step.median * steps if step else math.nan,
    )


def _trained_config(results: Results, arm: Arm) -> Config:
    """Return the configuration that stands for an arm: its own, or of a tuned one that of the rung picked most."""
    config = arm.config
    if arm.rungs:
        picks = Counter(
            pick
            for seed in results.grid.seeds
            if (pick := results.pick(arm, seed, results.grid.table_select)) is not None
        )
        rung = min(picks, key=lambda pick: (-picks[pick], pick)) if picks else 0
        config = arm.rungs[rung].config(results.grid.seeds[0])
    assert isinstance(config, Config)
    return config


def _epochs(results: Results, arm: Arm, config: Config) -> float:
    """Return the epochs of a run, averaged over seeds where early stopping ends runs before their last."""
    epochs = []
    for seed in results.grid.seeds:
        cell, _ = results.cell(arm, seed, "tuned", results.grid.table_select)
        run = results.run(cell) if cell is not None else None
        stopped = run.series.get("stopped") if run is not None else None
        ended = float(stopped[1][-1]) if stopped is not None and len(stopped[1]) else 0.0
        epochs.append(ended if ended > 0 else float(config.epochs))
    return sum(epochs) / len(epochs) if epochs else float(config.epochs)


def _steps_of_an_epoch(config: Config) -> float:
    examples = training_examples(config.dataset)
    return math.nan if examples is None else float(math.ceil(examples / config.batch_size))


def _is_placed(row: CostRow) -> bool:
    return math.isfinite(row.seconds) and math.isfinite(row.quality.mean)


def _plotted(row: CostRow) -> CostPoint:
    quality = row.quality
    return CostPoint(
        row.label, row.context, row.is_baseline, row.seconds, quality.mean, quality.low, quality.high, row.is_optimal
    )
