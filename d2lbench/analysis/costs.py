"""What a grid's arms cost beside how well they do: one program's cost serves every arm that trains it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
import pandas as pd

from d2lbench.analysis.headlines import headline_of
from d2lbench.analysis.tables import trained
from d2lbench.analysis.timing_model import CostRow, CostTable
from d2lbench.analysis.timings import time_of, told_machine
from d2lbench.catalogue.models import training_examples
from d2lbench.core.spec import Config

if TYPE_CHECKING:
    from d2lbench.analysis.figures import ArmTable
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
    data = [_judged_on(arm) for arm in arms]
    rows = [
        replace(_cost(results, arm, CostRow(row), costs, programs), data=judged_on if len(set(data)) > 1 else "")
        for arm, row, judged_on in zip(arms, table.rows, data, strict=True)
    ]
    if not programs:
        return None
    sign = headline_of(results.grid).sign
    places = [(row.data, row.seconds, sign * row.arm.metric.mean) for row in rows]
    frame = pd.DataFrame(places, columns=["data", "cost", "quality"])
    best = frozenset[int]().union(*(optimal(own) for _, own in frame.groupby("data")))
    return CostTable(
        rows=tuple(replace(row, is_optimal=number in best) for number, row in enumerate(rows)),
        machine=costs.machine,
        is_tuned=any(arm.is_tuned for arm in arms),
    )


def optimal(points: pd.DataFrame) -> frozenset[int]:
    """Return which rows (``cost``, ``quality``) no other dominates: none is both as cheap and as good, and more of one.

    Rows without both numbers take no part.
    """
    numbers = points[["cost", "quality"]].astype(float)
    known = numbers[np.isfinite(numbers).all(axis=1)]
    best = known.groupby("cost")["quality"].max()  # at each cost, the cheapest first
    front = best[best > best.cummax().shift(fill_value=-math.inf)]
    return frozenset(known.index[known["quality"] == known["cost"].map(front)])


def _judged_on(arm: Arm) -> str:
    assert isinstance(arm.config, Config)  # it trains
    dataset = arm.config.dataset
    judging = tuple((name, value) for name, value in dataset.canonical if name not in _TRAINING_ONLY)
    return replace(dataset, canonical=judging).label()


def _cost(results: Results, arm: Arm, row: CostRow, costs: Costs, programs: dict[str, int]) -> CostRow:
    """Return the row with what its arm's program costs, as it is where that is not known; numbers new programs."""
    config = _trained_config(results, arm)
    program = costs.key(config)
    content = costs.known.get(program)
    if content is None:
        return row
    times = {part: time_of(each["summary"], each["status"]) for part, each in content["parts"].items()}
    step, examples = times.get("step"), training_examples(config.dataset)
    steps_of_an_epoch = math.nan if examples is None else float(math.ceil(examples / config.batch_size))
    steps = _epochs(results, arm, config) * steps_of_an_epoch
    return replace(
        row,
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
        picked = (results.pick(arm, seed, results.grid.table_select) for seed in results.grid.seeds)
        picks = Counter(pick for pick in picked if pick is not None)
        rung = min(picks, key=lambda pick: (-picks[pick], pick), default=0)
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
