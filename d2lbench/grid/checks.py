"""What the runner adds beside a question: the same again with other draws, and training that cannot work."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from d2lbench.core.kinds import DatasetTraits
from d2lbench.core.spec import Config
from d2lbench.grid.arms import Arm, Configuration
from d2lbench.grid.claims.measures import metric_of
from d2lbench.grid.resolve import Resolver, Written, described

if TYPE_CHECKING:
    from collections.abc import Sequence

    from d2lbench.grid.claims.statement import Metric


def arms(of: Sequence[Arm], resolver: Resolver) -> tuple[Arm, ...]:
    """Return the checks of a grid: in its first context, untuned, the baseline, its replica, and it at rate 0."""
    baseline = next((arm for arm in of if arm.is_baseline), None)
    if baseline is None or not isinstance(baseline.config, Config):
        return ()
    config, context = baseline.config, baseline.context
    found = []
    if baseline.is_tuned:
        found.append(Arm("check: own values", context, None, config, role="check"))
    again = replace(config, replica=config.replica + 1)
    found.append(Arm("check: replica", context, None, again, role="check", check="replica"))
    entry = resolver.registry.get("optimizer", config.optimizer.name)
    if "lr" in entry.options:
        still = described(entry, {**dict(config.optimizer.options), "lr": 0.0})
        frozen = replace(config, optimizer=still)
        found.append(Arm("check: rate 0", context, None, frozen, role="check", check="zero-rate"))
    return tuple(found)


def table_select(config: Configuration, resolver: Resolver) -> Metric | None:
    """Return what picks trials for tables: validation accuracy, or loss where nothing is classified."""
    if not isinstance(config, Config):
        return None
    task = resolver.registry.get(DatasetTraits, config.dataset.name).traits.task
    name = "validation_accuracy" if task == "classification" else "validation_loss"
    if name not in resolver.registry.names("metric"):
        return None
    return metric_of(resolver.registry, resolver.component("metric", Written({"name": name}, "metrics")))
