"""The numbers of tables and figures: arms, intervals, curves, panels, heat maps."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Interval:
    """A mean over ``n`` seeds with its 95 % Student t interval; ``low``/``high`` are NaN below two seeds."""

    mean: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class ArmRow:
    """One arm in a table: how it did, and how it differs from its context's baseline, seed by seed."""

    context: str
    label: str
    is_baseline: bool
    metric: Interval
    tuned: str = ""  # the picks in words: "optimizer.lr 0.1 (9 of 12 seeds), 0.3 (3)", or ""
    train: Interval | None = None
    against_baseline: Interval | None = None  # paired differences, None for the baseline itself
    correlation: float | None = None  # of the two arms' values over seeds: what pairing bought
    done: int = 0
    diverged: int = 0
    missing: int = 0


@dataclass(frozen=True)
class ArmTable:
    """The arms of a grid on one metric."""

    metric: str
    unit: str
    train_metric: str = ""
    rows: tuple[ArmRow, ...] = ()
    trivial_label: str = ""  # "majority class", "best constant", or ""
    trivial: float = math.nan
    as_ratio: bool = False  # arms differ in logarithms, and means are geometric


@dataclass(frozen=True)
class Curve:
    """Mean over seeds with its 95 % band along x; NaN where fewer than two seeds have a value."""

    label: str
    x: tuple[float, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    is_baseline: bool = False


@dataclass(frozen=True)
class Panel:
    """One set of axes with curves: learning curves of a context, a rate ladder, gradient norm over depth."""

    title: str
    x_label: str
    y_label: str
    curves: tuple[Curve, ...]
    x_log: bool = False
    y_log: bool = False
    reference: float | None = None  # a horizontal line: the trivial baseline
    reference_label: str = ""
    y_unit: str = ""  # "share": ticks in percent
    y_range: tuple[float, float] | None = None  # what the y axis shows at least: panels side by side share it


@dataclass(frozen=True)
class HeatMap:
    """Means where two things vary; ``values[row][column]``, NaN where there is no run."""

    title: str
    row_axis: str
    column_axis: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    values: tuple[tuple[float, ...], ...]
    metric: str
    unit: str = ""  # "share": values in percent
    log: bool = False  # colours follow the logarithm


@dataclass(frozen=True)
class FigureGroup:
    """Panels that belong into one figure: ``kind`` is a slug for its file, ``caption`` a full sentence or two."""

    kind: str
    caption: str
    panels: tuple[Panel, ...] = ()
    maps: tuple[HeatMap, ...] = ()
