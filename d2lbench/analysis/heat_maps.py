"""Heat maps: the headline metric where two things vary, a context's axis and the change, or the change and the rung."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from d2lbench.analysis.figures import FigureGroup, HeatMap
from d2lbench.analysis.headlines import headline_of
from d2lbench.analysis.tables import change_label, context_label, trained

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from d2lbench.analysis.results import Results
    from d2lbench.grid.arms import Arm


def heat_maps(results: Results) -> FigureGroup | None:
    """Return the mean headline where two things vary: a context's axis and the change, or the change and the rung."""
    maps = tuple(_context_maps(results)) or tuple(_rung_maps(results))
    headline = headline_of(results.grid)
    mean = headline.mean.removesuffix("s").capitalize()
    caption = f"{mean} {headline.word} over seeds where two things vary; every cell carries its number."
    return FigureGroup("heat-maps", caption, maps=maps) if maps else None


def _context_maps(results: Results) -> Iterator[HeatMap]:
    """Yield a map of change over one axis of the contexts, for each point of the other axes."""
    arms = trained(results.grid)
    axis = _longest_axis(arms)
    if axis is None:
        return
    groups: dict[str, list[Arm]] = {}
    for arm in arms:
        rest = [setting for setting in arm.context if setting.path != axis]
        groups.setdefault(context_label(rest), []).append(arm)
    for title, members in groups.items():
        columns = list(dict.fromkeys(_on(arm, axis) for arm in members))
        rows = list(dict.fromkeys(change_label(results.grid, arm) for arm in members))
        if min(len(columns), len(rows)) > 1:
            cells = {(change_label(results.grid, arm), _on(arm, axis)): _headline(results, arm) for arm in members}
            values = tuple(tuple(cells.get((row, column), math.nan) for column in columns) for row in rows)
            headline = headline_of(results.grid)
            word, unit, log = f"test {headline.word}", headline.unit, headline.as_ratio
            yield HeatMap(title, "change", axis, tuple(rows), tuple(columns), values, word, unit, log)


def _longest_axis(arms: Sequence[Arm]) -> str | None:
    values: dict[str, set[str]] = {}
    for arm in arms:
        for setting in arm.context:
            values.setdefault(setting.path, set()).add(setting.label)
    several = [path for path, labels in values.items() if len(labels) > 1]
    return max(several, key=lambda path: len(values[path]), default=None)


def _on(arm: Arm, axis: str) -> str:
    return next((setting.label for setting in arm.context if setting.path == axis), "")


def _headline(results: Results, arm: Arm) -> float:
    headline, select = headline_of(results.grid), results.grid.table_select
    readings = [results.reading(arm, seed, headline.metric("test"), "tuned", select) for seed in results.grid.seeds]
    return headline.average([None if reading is None else reading.value for reading in readings]).mean


def _rung_maps(results: Results) -> Iterator[HeatMap]:
    """Yield a map of change over rung for each ladder that at least two arms share."""
    by_ladder: dict[tuple[str, ...], list[Arm]] = {}
    for arm in trained(results.grid):
        if arm.rungs and not arm.rungs[0].is_drawn:
            labels = tuple(", ".join(setting.label for setting in rung.settings) for rung in arm.rungs)
            by_ladder.setdefault((*arm.tuned_keys, *labels), []).append(arm)
    for arms in (arms for arms in by_ladder.values() if len(arms) > 1):
        columns = tuple(", ".join(setting.label for setting in rung.settings) for rung in arms[0].rungs)
        values = tuple(_ladder_means(results, arm) for arm in arms)
        rows = tuple(change_label(results.grid, arm) for arm in arms)
        axis = ", ".join(arms[0].tuned_keys)
        headline = headline_of(results.grid)
        word, unit, log = f"validation {headline.word}", headline.unit, headline.as_ratio
        yield HeatMap(results.grid.title, "change", axis, rows, columns, values, word, unit, log)


def _ladder_means(results: Results, arm: Arm) -> tuple[float, ...]:
    headline, seeds = headline_of(results.grid), results.grid.seeds
    metric = headline.metric("validation")
    return tuple(
        headline.average([results.read(arm.trials(seed)[k], metric) for seed in seeds]).mean
        for k in range(len(arm.rungs))
    )
