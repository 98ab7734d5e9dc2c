"""What tables and figures speak of: accuracy where classes are told apart, loss where numbers are predicted."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from d2lbench.analysis.figures import Interval
from d2lbench.analysis.statistics.estimates import t_interval
from d2lbench.core.kinds import DatasetTraits
from d2lbench.core.registry import REGISTRY
from d2lbench.core.spec import Component, Config, Value
from d2lbench.grid.claims.measures import metric_of

if TYPE_CHECKING:
    from d2lbench.catalogue.metrics import Record
    from d2lbench.grid.arms import Configuration
    from d2lbench.grid.claims.statement import Metric
    from d2lbench.grid.model import Grid

#: Stands for an exact zero, so that it has a logarithm.
SMALLEST: Final = 1e-12


@dataclass(frozen=True)
class Headline:
    """The metric that a grid's tables and figures show.

    Attributes
    ----------
    word
        What it is called behind the name of a split: ``accuracy``, ``loss``.
    unit
        Of its values: ``share`` for 0…1.
    as_ratio
        Whether seeds are averaged, and arms compared, in logarithms: losses span decades.
    trivial_label
        The predictor that never looks at the input.
    when_diverged
        What diverged runs count as, for captions.
    """

    word: str
    unit: str
    as_ratio: bool
    trivial_label: str
    when_diverged: str

    def metric(self, split: str, at: str = "last") -> Metric:
        """Return the metric on a split (``train``, ``validation``, ``test``)."""
        return shown_metric(f"{split}_{self.word}", at=at)

    @property
    def sign(self) -> int:
        """1 where higher is better, else -1."""
        return -1 if self.as_ratio else 1

    @property
    def mean(self) -> str:
        """What its averages over seeds are called."""
        return "geometric means" if self.as_ratio else "means"

    def scaled(self, value: float) -> float:
        """Return a value on the scale on which seeds are averaged and arms compared."""
        return math.log(max(value, SMALLEST)) if self.as_ratio and math.isfinite(value) else value

    def average(self, values: Iterable[float | None]) -> Interval:
        """Return the mean of values with its interval, in the metric's own unit; geometric where it is a ratio's."""
        found = interval(None if value is None else self.scaled(value) for value in values)
        if not self.as_ratio:
            return found
        return replace(found, mean=_exp(found.mean), low=_exp(found.low), high=_exp(found.high))

    def trivial(self, record: Record) -> float:
        """Return what the predictor that never looks at the input gets on the test split of a run."""
        return record.constant_loss if self.as_ratio else record.chance


def shown_metric(name: str, **options: Value) -> Metric:
    """Return a metric that tables, figures and checks show of every grid; those of claims come with the claims."""
    return metric_of(REGISTRY, Component("metric", name, tuple(sorted(options.items()))))


ACCURACY: Final = Headline("accuracy", "share", as_ratio=False, trivial_label="majority class", when_diverged="chance")
LOSS: Final = Headline("loss", "", as_ratio=True, trivial_label="best constant", when_diverged="the best constant")
#: Of grids that time kernels.
TIME: Final = Headline("time", "s", as_ratio=True, trivial_label="", when_diverged="")


def predicts_numbers(config: Configuration) -> bool:
    """Whether a configuration trains a regression."""
    if not isinstance(config, Config):
        return False
    return REGISTRY.get(DatasetTraits, config.dataset.name).traits.task == "regression"


def headline_of(grid: Grid) -> Headline:
    """Return what a grid's tables and figures speak of: loss where every arm that trains predicts numbers."""
    trained = [arm.config for arm in grid.arms if isinstance(arm.config, Config)]
    return LOSS if trained and all(predicts_numbers(config) for config in trained) else ACCURACY


def unit_of(metric: Metric, configs: Iterable[Configuration]) -> str:
    """Return a metric's unit; a squared error is in no nats, which is what losses of classes are in."""
    unit = metric.traits.unit
    return "" if unit == "nats" and any(map(predicts_numbers, configs)) else unit


def interval(values: Iterable[float | None]) -> Interval:
    """Return the mean of the values that are known with its 95 % t interval; NaN ends below two of them."""
    known = [value for value in values if value is not None and math.isfinite(value)]
    if not known:
        return Interval(math.nan, math.nan, math.nan, 0)
    if len(known) == 1:
        return Interval(known[0], math.nan, math.nan, 1)
    found = t_interval(known)
    return Interval(found.estimate, found.low, found.high, len(known))


def _exp(value: float) -> float:
    return math.exp(min(value, 700.0))  # e^710 is beyond a double
