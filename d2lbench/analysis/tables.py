"""Tables: every arm on the headline metric, beside its context's baseline and the trivial predictor."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from d2lbench.analysis.figures import ArmRow, ArmTable
from d2lbench.analysis.headlines import TIME, headline_of, interval, shown_metric
from d2lbench.analysis.statistics.estimates import paired_correlation
from d2lbench.core.spec import Component, Config, Measurement, spelled

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from d2lbench.analysis.headlines import Headline
    from d2lbench.analysis.results import Results
    from d2lbench.grid.arms import Arm, Setting
    from d2lbench.grid.model import Grid


def context_label(context: Sequence[Setting]) -> str:
    """Return a context in words: ``depth=4, xavier-normal``; empty for a grid without contexts."""
    return ", ".join(setting.label for setting in context)


def change_label(grid: Grid, arm: Arm) -> str:
    """Return what an arm changes from its context's baseline; of the baseline, the values that the others change."""
    if arm.change is not None:
        return arm.change.label
    varied = (path for axis in grid.axes if axis.kind == "vary" for path in axis.paths)
    values = dict.fromkeys(value for path in varied if (value := _own_value(arm, path)))
    return f"{', '.join(values)} (baseline)" if values else "baseline"


def _own_value(arm: Arm, path: str) -> str:
    key, _, option = path.partition(".")
    value = arm.config.experiment if isinstance(arm.config, Measurement) else getattr(arm.config, key, None)
    if isinstance(value, Component):
        return spelled(value.get(option)) if option else value.name
    return f"no {path}" if value is None else spelled(value)


def trained(grid: Grid) -> list[Arm]:
    """Return the arms that were trained to be judged: not those looked at for one epoch beside longer ones."""
    longest = max((arm.config.epochs for arm in grid.arms if isinstance(arm.config, Config)), default=0)
    return [
        arm
        for arm in grid.arms
        if isinstance(arm.config, Config)
        and (arm.config.epochs > 1 or longest == 1)
        and (not grid.only or arm.label in grid.selected)
    ]


#: How often a cell ended, ended badly, or is not there.
STATES: Final = ("done", "diverged", "missing")
_COLUMNS: Final = (
    "arm", "seed", "rung", "cell", "status", "picked", "test", "train", "validation", "trivial", "constant_loss",
)  # fmt: skip


def arm_frame(results: Results) -> pd.DataFrame:
    """Return what became of the trained arms: a row for each trial of a tuned arm at a seed, one of any other arm.

    ``arm`` is the arm's place among the trained ones. ``test`` and ``train`` are the headline's values at the end of
    training where a row stands for its arm (``picked``), ``validation`` those that picked it; ``trivial`` is what the
    predictor that never looks at the input gets. All are NaN where they are not known.
    """
    headline, select, rows = headline_of(results.grid), results.grid.table_select, []
    metrics = {split: headline.metric(split) for split in ("test", "train", "validation")}
    for number, arm in enumerate(trained(results.grid)):
        for seed in results.grid.seeds:
            pick = results.pick(arm, seed, select) if arm.rungs else 0
            for rung, cell in enumerate(arm.candidates(seed)):
                run, record = results.run(cell), results.record(cell)
                splits = {"test": rung == pick, "train": rung == pick, "validation": arm.is_tuned}
                row = {split: results.read(cell, metrics[split]) for split, is_read in splits.items() if is_read}
                row |= {"arm": number, "seed": seed, "rung": rung, "cell": cell, "picked": rung == pick}
                if record is not None:
                    row |= {"trivial": headline.trivial(record), "constant_loss": record.constant_loss}
                rows.append(row | {"status": "missing" if run is None else run.status})
    frame = pd.DataFrame(rows, columns=_COLUMNS)
    numbers = frame[[*_COLUMNS[6:]]].astype(float)
    return frame.assign(picked=frame["picked"].astype(bool), **numbers.where(np.isfinite(numbers)))


def arm_table(results: Results) -> ArmTable | None:
    """Return the table of a grid that trains, None for one that measures."""
    arms = trained(results.grid)
    if not arms:
        return None
    headline, frame = headline_of(results.grid), arm_frame(results)
    first = frame[frame["arm"] == 0]
    label, loss = headline.trivial_label, first.loc[first["rung"] == 0, "constant_loss"].mean()
    if not headline.as_ratio and math.isfinite(loss):
        label = f"{label} (class frequencies: test loss {loss:.3f})"
    return ArmTable(
        metric=f"test {headline.word}, last epoch",
        unit=headline.unit,
        train_metric=f"training {headline.word}, last epoch",
        rows=tuple(_rows(results, arms, frame)),
        trivial_label=label,
        trivial=trivial(headline, first),
        as_ratio=headline.as_ratio,
    )


def _rows(results: Results, arms: Sequence[Arm], frame: pd.DataFrame) -> Iterator[ArmRow]:
    headline, picked = headline_of(results.grid), frame[frame["picked"]]
    states = pd.crosstab(frame["arm"], frame["status"]).reindex(columns=STATES, fill_value=0)
    test, train = (
        picked.pivot(index="seed", columns="arm", values=split).reindex(columns=range(len(arms)))  # noqa: PD010
        for split in ("test", "train")  # (nothing to aggregate, which would take ten times as long)
    )
    scaled = test.map(headline.scaled)  # one number per seed and arm, as arms are compared
    baselines = {arm.context: number for number, arm in enumerate(arms) if arm.is_baseline}
    for number, arm in enumerate(arms):
        differences, correlation = None, None
        if not arm.is_baseline and arm.context in baselines:
            pairs = scaled[[number, baselines[arm.context]]].dropna().to_numpy()
            differences = interval(pairs[:, 0] - pairs[:, 1])
            correlation = paired_correlation(*pairs.T) if len(pairs) > 1 else None
        yield ArmRow(
            context=context_label(arm.context),
            label=change_label(results.grid, arm),
            is_baseline=arm.is_baseline,
            metric=headline.average(test[number]),
            tuned=results.picks_in_words(arm, results.grid.table_select),
            train=headline.average(train[number]),
            against_baseline=differences,
            correlation=correlation,
            **{state: int(states[state][number]) for state in STATES},
        )


def trivial(headline: Headline, rows: pd.DataFrame) -> float:
    """Return what a predictor that never looks at the input gets on an arm's test data, averaged as the arms are."""
    return headline.average(rows.loc[rows["rung"] == 0, "trivial"]).mean


def kernel_table(results: Results) -> ArmTable | None:
    """Return the kernels of a grid with their times, geometric means over the rounds; None where nothing is timed."""
    rows = []
    for arm in results.grid.arms:
        cells = [arm.default(seed) for seed in results.grid.seeds]
        times = TIME.average(results.read(cell, shown_metric("time", kernel="")) for cell in cells)
        if times.n:
            done = sum(results.run(cell) is not None for cell in cells)
            label, missing = change_label(results.grid, arm), len(cells) - done
            rows.append(ArmRow(context_label(arm.context), label, arm.is_baseline, times, done=done, missing=missing))
    metric = "time of a call, the median of a process"
    return ArmTable(metric, TIME.unit, rows=tuple(rows), as_ratio=TIME.as_ratio) if rows else None
