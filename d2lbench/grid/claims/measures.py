"""What a claim reads: its metric and statistic, what picks its trials, and how large a difference matters."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from d2lbench.core.errors import GridError, nearest_name
from d2lbench.core.kinds import As, ExperimentTraits, MetricTraits, StatisticTraits
from d2lbench.core.spec import Component, Measurement
from d2lbench.grid import kernels
from d2lbench.grid.claims.statement import Metric, Statistic
from d2lbench.grid.file.claims import QuickText
from d2lbench.grid.file.shape import with_article
from d2lbench.grid.resolve import Resolver, Written

if TYPE_CHECKING:
    from d2lbench.core.registry import Registry
    from d2lbench.grid.arms import Arm
    from d2lbench.grid.file.claims import PartText


def _looked_up(kind: str, raw: Any, key: str, resolver: Resolver) -> Component:
    """Return a metric or statistic that is written as a name or as a table with options."""
    table = {"name": raw} if isinstance(raw, str) else raw
    if not isinstance(table, Mapping) or "name" not in table:
        problem = "is neither a name nor a table with one"
        raise GridError(problem, key=key, given=raw, allowed=", ".join(resolver.registry.names(kind)))
    return resolver.component(kind, Written(dict(table), key))


def statistic(raw: Any, key: str, resolver: Resolver) -> Statistic:
    """Return a statistic that is written as a name or as a table with options.

    Raises
    ------
    GridError
        It is unknown, one of its options is not allowed, or the ranking that it refers to is none.
    """
    found = _looked_up("statistic", raw, key, resolver)
    reference = found.get("reference")
    if reference is not None:
        allowed = {"stage": ("tuned", "default"), "seeds": ("others",)}
        if not isinstance(reference, dict) or any(reference.get(name) not in allowed[name] for name in allowed):
            problem = "is not a ranking to compare with"
            words = '{ stage = "tuned" or "default", seeds = "others" }'
            raise GridError(problem, key=f"{key}.reference", given=reference, allowed=words)
    entry = resolver.registry.get(StatisticTraits, found.name)
    return Statistic(**vars(found), traits=entry.traits, factory=entry.factory)


def metric_of(registry: Registry, metric: Component) -> Metric:
    """Return a metric with what its registration declares, or what the experiment or kernel does that returns it."""
    experiment, kernel = metric.get("experiment"), metric.get("kernel")
    if experiment is None and kernel is None:
        entry = registry.get(MetricTraits, metric.name)
        return Metric(**vars(metric), traits=entry.traits, factory=entry.factory)
    declared = kernels.METRICS if experiment is None else _returned(registry, Component("experiment", experiment))
    read = functools.partial(_only_value, metric.name)
    return Metric(**vars(metric), traits=declared[metric.name], factory=read)


def _returned(registry: Registry, measured: Component) -> Mapping[str, MetricTraits]:
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

    def metric(self, raw: Any, key: str) -> Metric:
        """Return a metric; beside experiments or kernels it is one of theirs.

        Raises
        ------
        GridError
            There is no such metric, or not of everything measured, or two experiments mean different things by it.
        """
        name = raw.get("name") if isinstance(raw, Mapping) else raw
        registry = self.resolver.registry
        if not self._measured or not isinstance(name, str):
            return metric_of(registry, _looked_up("metric", raw, key, self.resolver))
        kind = self._measured[0].kind
        if isinstance(raw, Mapping) and len(raw) > 1:
            problem = f"is one number of {with_article(kind)} and has no options"
            raise GridError(problem, key=key, given=raw, allowed=f'"{name}"')
        declared = {each: _returned(registry, each) for each in self._measured}
        for each, metrics in declared.items():
            if name not in metrics:
                problem = f'the {kind} returns no such metric: "{each.label()}"'
                allowed = ", ".join(metrics) or "none: it declares no metrics"
                raise GridError(problem, key=key, given=name, allowed=allowed, nearest=nearest_name(name, metrics))
        if any(metrics[name] != declared[self._measured[0]][name] for metrics in declared.values()):
            problem = "is declared differently by the experiments that the sides select"
            names = " and ".join(f'"{each.name}"' for each in declared)
            raise GridError(problem, key=key, given=name, allowed=f"sides of one experiment, not {names}")
        options = ((kind, self._measured[0].name),)  # tells whose number it is; no option of the grid's
        return metric_of(registry, Component("metric", name, options))

    def select(self, text: PartText, metric: Metric, *, needed: bool) -> Metric | None:
        """Return what picks the trials: what the claim names, else the metric's validation twin.

        Raises
        ------
        GridError
            There is no twin and nothing is named; it reads test data; or nobody says which way is better.
        """
        key = f"{text.key}.select"
        if text.select is None and not needed:
            return None
        chosen = self._twin(metric, key) if text.select is None else self.metric(text.select, key)
        if any(series.startswith("test_") for series in chosen.series):
            problem = "reads test data, which may not pick"
            raise GridError(problem, key=key, given=chosen.name, allowed="metrics of validation or training data")
        if chosen.traits.better is None:
            problem = "does not say which way is better, so it cannot pick"
            raise GridError(problem, key=key, given=chosen.name, allowed="a metric like validation_accuracy")
        return chosen

    def _twin(self, metric: Metric, key: str) -> Metric:
        """Return the metric that reads of validation data what ``metric`` reads of test data."""
        if reads_validation(metric):
            return metric
        options = {option: _plain(value) for option, value in metric.canonical}
        if metric.get("split") == "test":
            return self.metric({"name": metric.name, **options, "split": "validation"}, key)
        name = metric.name.replace("test_", "validation_", 1)
        if not metric.name.startswith("test_") or name not in self.resolver.registry.names("metric"):
            problem = f'is missing: "{metric.name}" has no column of validation data that could pick the trials'
            raise GridError(problem, key=key, allowed='a metric like "validation_accuracy"')
        return self.metric({"name": name, **options}, key)


def reads_validation(metric: Metric) -> bool:
    """Whether a metric looks at validation data and at nothing else."""
    return all(series.startswith("validation_") for series in metric.series)


def margin(
    text: PartText, metric: Metric, statistic: Statistic, kind: str, scale: str, *, against_number: bool
) -> tuple[float, As]:
    """Return the margin (a tolerance, of an identity or a count) and whether sides differ by subtraction or by ratio.

    Raises
    ------
    GridError
        A margin of one's own without a reason, none where there is no default, or a margin beside a tolerance.
    """
    at_scale = quick(text, scale).margin
    own = text.margin if at_scale is None else at_scale
    if kind in ("identity", "count"):
        if text.tolerance is not None and own is not None:
            problem = "is the same thing as tolerance here"
            raise GridError(problem, key=f"{text.key}.margin", given=own, allowed="one of the two")
        return (text.tolerance or 0.0) if own is None else own, text.as_ or "difference"
    if text.tolerance is not None:
        problem = "goes with identities and counts"
        raise GridError(problem, key=f"{text.key}.tolerance", given=text.tolerance, allowed="margin")
    usual: As = "difference" if statistic.traits.own_unit else metric.traits.as_
    default = None
    if text.as_ in (None, usual):  # the defaults are in the usual unit
        margins = statistic.traits.margins or (None if statistic.traits.own_unit else metric.traits.margins)
        default = (margins or {}).get(scale)
    if against_number or kind == "demonstration":
        default = 0.0
    return _own_or_default(text, own, default, f"{statistic.name} of {metric.name}"), text.as_ or usual


def _own_or_default(text: PartText, own: float | None, default: float | None, what: str) -> float:
    if own is None and default is None:
        problem = f"is missing: there is no default for {what}"
        raise GridError(problem, key=f"{text.key}.margin", allowed="number ≥ 0, and a reason")
    if own is not None and own != default and not text.reason:
        problem = "is missing: a margin of one's own needs one"
        usual = "" if default is None else f", or the margin {default:g}"
        raise GridError(problem, key=f"{text.key}.reason", given=own, allowed=f"text{usual}")
    found = own if own is not None else default or 0.0
    if text.direction == "same" and found == 0:
        problem = "no two things are the same within nothing"
        raise GridError(problem, key=f"{text.key}.margin", given=found, allowed="number > 0")
    return found


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def quick(text: PartText, scale: str) -> QuickText:
    """Return what the part says otherwise at this scale."""
    return text.quick if scale == "quick" and text.quick else QuickText()
