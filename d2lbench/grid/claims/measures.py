"""What a claim reads: its metric and statistic, what picks its trials, and how large a difference matters."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from d2lbench.core.errors import GridError, nearest_name
from d2lbench.core.kinds import As, ExperimentTraits, MetricTraits, StatisticTraits
from d2lbench.core.registry import Entry
from d2lbench.core.spec import Component, Measurement
from d2lbench.grid import kernels
from d2lbench.grid.file import record
from d2lbench.grid.file.claims import QuickText
from d2lbench.grid.file.shape import with_article
from d2lbench.grid.resolve import Resolver, Written

if TYPE_CHECKING:
    from d2lbench.core.registry import Registry
    from d2lbench.grid.arms import Arm
    from d2lbench.grid.file.claims import PartText


def looked_up(kind: str, raw: Any, key: str, resolver: Resolver) -> Component:
    """Return a metric or statistic that is written as a name or as a table with options."""
    table = {"name": raw} if isinstance(raw, str) else raw
    if not isinstance(table, Mapping) or "name" not in table:
        problem = "is neither a name nor a table with one"
        raise GridError(problem, key=key, given=raw, allowed=", ".join(resolver.registry.names(kind)))
    return resolver.component(kind, Written(dict(table), key))


def metric_entry(registry: Registry, metric: Component) -> Entry[MetricTraits]:
    """Return what is declared of a metric: a registered one's entry, or one made of what declares its number."""
    experiment, kernel = metric.get("experiment"), metric.get("kernel")
    if experiment is None and kernel is None:
        return registry.get(MetricTraits, metric.name)
    declared = kernels.METRICS if experiment is None else returned(registry, Component("experiment", experiment))
    return Entry(metric.name, functools.partial(_only_value, metric.name), {}, declared[metric.name])


def returned(registry: Registry, measured: Component) -> Mapping[str, MetricTraits]:
    """Return the metrics that an experiment declares or a kernel has, each with what is said of them."""
    if measured.kind == "kernel":
        return kernels.metrics_of(measured)
    return registry.get(ExperimentTraits, measured.name).traits.metrics


def _only_value(name: str, record: Any, **whose: str) -> float:
    """Read the one value that a measurement has of a metric; NaN where it has none."""
    del whose
    values = record.curve(name)[1]
    return float(values[-1]) if len(values) else float("nan")


def measured_of(arms: Iterable[Arm]) -> tuple[Component, ...]:
    """Return the experiments among arms, each name once, or the kernels; none where they train."""
    configs = (arm.config for arm in arms)
    found = [config.experiment for config in configs if isinstance(config, Measurement)]
    if any(each.kind == "kernel" for each in found):
        return tuple(dict.fromkeys(found))  # one kernel has other metrics in another phase
    return tuple(Component("experiment", name) for name in dict.fromkeys(each.name for each in found))


class Measures:
    """Metrics as a grid may name them: registered ones, or those that what is measured returns in every case."""

    def __init__(self, resolver: Resolver, measured: tuple[Component, ...] = ()) -> None:
        self.resolver, self._measured = resolver, measured

    def metric(self, raw: Any, key: str) -> Component:
        """Return a metric; beside experiments or kernels it is one of theirs.

        Raises
        ------
        GridError
            There is no such metric, or not of everything measured, or two experiments mean different things by it.
        """
        name = raw.get("name") if isinstance(raw, Mapping) else raw
        if not self._measured or not isinstance(name, str):
            return looked_up("metric", raw, key, self.resolver)
        kind = self._measured[0].kind
        if isinstance(raw, Mapping) and len(raw) > 1:
            problem = f"is one number of {with_article(kind)} and has no options"
            raise GridError(problem, key=key, given=raw, allowed=f'"{name}"')
        declared = {each: returned(self.resolver.registry, each) for each in self._measured}
        for each, metrics in declared.items():
            if name not in metrics:
                problem = f'the {kind} returns no such metric: "{each.label()}"'
                allowed = ", ".join(metrics) or "none: it declares no metrics"
                raise GridError(problem, key=key, given=name, allowed=allowed, nearest=nearest_name(name, metrics))
        if any(metrics[name] != declared[self._measured[0]][name] for metrics in declared.values()):
            problem = "is declared differently by the experiments that the sides select"
            names = _named(each.name for each in declared)
            raise GridError(problem, key=key, given=name, allowed=f"sides of one experiment, not {names}")
        options = ((kind, self._measured[0].name),)  # tells whose number it is; no option of the grid's
        return Component("metric", name, options)

    def traits(self, metric: Component) -> MetricTraits:
        """Return what is declared of a metric."""
        return metric_entry(self.resolver.registry, metric).traits

    def columns(self, metric: Component) -> tuple[str, ...]:
        """Return the series that a metric reads."""
        return self.traits(metric).series(metric)

    def reads_test(self, metric: Component) -> bool:
        """Whether the metric looks at test data."""
        return any(column.startswith("test_") for column in self.columns(metric))

    def reads_validation(self, metric: Component) -> bool:
        """Whether the metric looks at validation data and at nothing else."""
        return all(column.startswith("validation_") for column in self.columns(metric))

    def select(self, text: PartText, metric: Component, *, needed: bool) -> Component | None:
        """Return what picks the trials: what the claim names, else the metric's validation twin.

        Raises
        ------
        GridError
            There is no twin and nothing is named; it reads test data; or nobody says which way is better.
        """
        key = f"{text.key}.select"
        if text.select is not None:
            chosen = self.metric(text.select, key)
        elif not needed:
            return None
        else:
            chosen = self._twin(metric, key)
        if self.reads_test(chosen):
            problem = "reads test data, which may not pick"
            raise GridError(problem, key=key, given=chosen.name, allowed="metrics of validation or training data")
        if self.traits(chosen).better is None:
            problem = "does not say which way is better, so it cannot pick"
            raise GridError(problem, key=key, given=chosen.name, allowed="a metric like validation_accuracy")
        return chosen

    def _twin(self, metric: Component, key: str) -> Component:
        if self.reads_validation(metric):
            return metric
        if dict(metric.options).get("split") == "test":
            named = {option: _plain(value) for option, value in metric.canonical}
            return self.metric({"name": metric.name, **named, "split": "validation"}, key)
        name = metric.name.replace("test_", "validation_", 1)
        if not metric.name.startswith("test_") or name not in self.resolver.registry.names("metric"):
            problem = f'is missing: "{metric.name}" has no column of validation data that could pick the trials'
            raise GridError(problem, key=key, allowed='a metric like "validation_accuracy"')
        options = {option: _plain(value) for option, value in metric.canonical}
        return self.metric({"name": name, **options}, key)

    def margin(
        self, text: PartText, metric: Component, statistic: Component, kind: str, scale: str, *, against_number: bool
    ) -> tuple[float, As]:
        """Return the margin and whether sides differ by subtraction or by ratio.

        Raises
        ------
        GridError
            A margin of one's own without a reason, or none where there is no default.
        """
        if kind in ("identity", "count"):
            return _tolerance(text, scale), text.as_ or "difference"
        if text.tolerance is not None:
            problem = "goes with identities and counts"
            raise GridError(problem, key=f"{text.key}.tolerance", given=text.tolerance, allowed="margin")
        summed = self.resolver.registry.get(StatisticTraits, statistic.name).traits
        usual: As = "difference" if summed.own_unit else self.traits(metric).as_
        margins = None if text.as_ not in (None, usual) else summed.margins
        if margins is None and not summed.own_unit and text.as_ in (None, usual):
            margins = self.traits(metric).margins
        default = 0.0 if against_number or kind == "demonstration" else (margins or {}).get(scale)
        return _margin(text, scale, default, f"{statistic.name} of {metric.name}"), text.as_ or usual


def _tolerance(text: PartText, scale: str) -> float:
    """Return how far an identity or a count may be off."""
    declared = _declared(text, scale)
    if text.tolerance is not None and declared is not None:
        problem = "is the same thing as tolerance here"
        raise GridError(problem, key=f"{text.key}.margin", given=declared, allowed="one of the two")
    return (text.tolerance or 0.0) if declared is None else declared


def _declared(text: PartText, scale: str) -> float | None:
    at_scale = quick(text, scale).margin
    return text.margin if at_scale is None else at_scale


def _margin(text: PartText, scale: str, default: float | None, what: str) -> float:
    declared = _declared(text, scale)
    if declared is None and default is None:
        problem = f"is missing: there is no default for {what}"
        raise GridError(problem, key=f"{text.key}.margin", allowed="number ≥ 0, and a reason")
    if declared is not None and declared != default and not text.reason:
        problem = "is missing: a margin of one's own needs one"
        usual = "" if default is None else f", or the margin {default:g}"
        raise GridError(problem, key=f"{text.key}.reason", given=declared, allowed=f"text{usual}")
    found = declared if declared is not None else default or 0.0
    if text.direction == "same" and found == 0:
        problem = "no two things are the same within nothing"
        raise GridError(problem, key=f"{text.key}.margin", given=found, allowed="number > 0")
    return found


def _named(names: Iterable[str]) -> str:
    return " and ".join(f'"{name}"' for name in names)


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def quick(text: PartText, scale: str) -> QuickText:
    """Return what the part says otherwise at this scale."""
    return record.read(QuickText, text.quick or {}) if scale == "quick" else QuickText()
