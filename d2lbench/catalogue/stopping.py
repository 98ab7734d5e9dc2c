"""What ends a run before its last epoch: nothing, or a validation metric that no longer improves."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge

from d2lbench.catalogue.models.sizing import classes_of
from d2lbench.core.errors import GridError
from d2lbench.core.kinds import DatasetTraits, StoppingTraits
from d2lbench.core.registry import REGISTRY, register

if TYPE_CHECKING:
    from d2lbench.core.spec import Config

Watched = Literal["validation_loss", "validation_accuracy"]
#: Early stopping compares evaluations, so it needs two.
FEWEST_EVALUATIONS = 2


@dataclass(frozen=True)
class Patience:
    """When to stop: after ``patience`` evaluations in a row without an improvement by more than ``min_delta``.

    ``min_delta`` is in the unit of ``metric``: of the loss's value, or of a share of examples (0…1).
    """

    patience: int
    metric: Watched
    min_delta: float


@register("stopping", "none")
def none() -> None:
    """Train to the last epoch and keep its parameters."""


def refuse_nothing_to_watch(config: Config, key: str) -> None:
    """Refuse a ``metric`` of the component under ``key`` that no run has: no validation data, or no classes.

    Raises
    ------
    GridError
        Names the dataset without validation data, or the metric.
    """
    watched = getattr(config, key).get("metric")
    declared = REGISTRY.get(DatasetTraits, config.dataset.name).traits
    if watched.startswith("validation_") and not declared.validates(dict(config.dataset.options)):
        problem = "watches validation data, of which there is none"
        given = config.dataset.label()
        raise GridError(problem, key=key, given=given, allowed="a dataset with validation > 0, or folds")
    if watched.endswith("_accuracy") and not classes_of(config.dataset):
        problem = "does not exist where numbers are predicted"
        raise GridError(problem, key=f"{key}.metric", given=watched, allowed='"validation_loss"')


def _has_something_to_watch(config: Config) -> None:
    """Refuse a metric that no run has, or a single evaluation.

    Raises
    ------
    GridError
        Names the key that stands in the way.
    """
    refuse_nothing_to_watch(config, "stopping")
    most = math.ceil(config.epochs / FEWEST_EVALUATIONS)
    if config.eval_every >= config.epochs:
        problem = "leaves early stopping one evaluation, with nothing to compare it with"
        allowed = f"at most {most}" if config.epochs > 1 else "more than one epoch"
        raise GridError(problem, key="eval_every", given=config.eval_every, allowed=allowed)


@register(StoppingTraits, "patience", check=_has_something_to_watch)
def patience(
    *,
    patience: Annotated[int, Ge(1)] = 5,
    metric: Watched = "validation_loss",
    min_delta: Annotated[float, Ge(0)] = 0.0,
) -> Patience:
    """Stop when a validation metric has not improved for ``patience`` evaluations; keep the best parameters.

    Dive into Deep Learning, section 3.6.3 (early stopping); Prechelt 1998.
    """
    return Patience(patience, metric, min_delta)
