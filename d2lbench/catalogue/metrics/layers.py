"""Metrics of the network itself: norms, sparsity, gradients and activations, layer by layer."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Literal

from annotated_types import Ge

from d2lbench.catalogue.metrics.record import Record, value_at
from d2lbench.core.kinds import MetricTraits
from d2lbench.core.registry import register

Layer = Annotated[int, Ge(1)]


def _layer_series(name: str) -> Callable[[Mapping[str, Any]], tuple[str, ...]]:
    return lambda options: (f"{name}/{options['layer']}" if options.get("layer") else name,)


_MARGINS: Final = {"quick": 0.05, "full": 0.05}
_DECADES: Final = {"quick": 0.2, "full": 0.2}


@register(MetricTraits, "weight_norm", columns=_layer_series("weight_norm"), as_="ratio", margins=_MARGINS)
def weight_norm(record: Record, /, *, layer: Layer | None = None, at: Literal["start", "last"] = "last") -> float:
    """The Euclidean norm of all weights (biases left out), or of one layer's."""
    name = f"weight_norm/{layer}" if layer else "weight_norm"
    return float(value_at(record.curve(name), at, None))


@register(
    MetricTraits,
    "sparsity",
    columns=lambda options: (f"sparsity/{options['measure']}" + (f"/{options['layer']}" if options["layer"] else ""),),
    margins=_MARGINS,
)
def sparsity(
    record: Record,
    /,
    *,
    measure: Literal["hoyer", "share"] = "hoyer",
    layer: Layer | None = None,
    at: Literal["start", "last"] = "last",
) -> float:
    """How few weights carry the norm, free of scale: Hoyer's measure (2004), or the share below 1 % of the maximum."""
    return float(value_at(record.curve(f"sparsity/{measure}" + (f"/{layer}" if layer else "")), at, None))


def _per_layer(name: str, quantity: str) -> None:
    """Register a metric over one layer's probe and, for its ratio between layers, ``<name>_ratio`` in decades."""

    def read(record: Record, /, *, layer: Layer = 1, at: Literal["start", "last"] = "last") -> float:
        return float(value_at(record.curve(f"{name}/{layer}"), at, None))

    read.__doc__ = f"{quantity} at one layer (1 is the nearest to the input)."
    register(MetricTraits, name, columns=_layer_series(name), as_="ratio", margins=_MARGINS)(read)


def _layers(record: Record, name: str) -> list[str]:
    probed = [series for series in record.series if series.startswith(f"{name}/")]
    return sorted(probed, key=lambda series: int(series.rsplit("/", 1)[1]))


def _last_over_first(name: str, quantity: str) -> None:
    def read(record: Record, /, *, at: Literal["start", "last"] = "last", absolute: bool = False) -> float:
        layers = _layers(record, name)
        if not layers:
            return math.nan
        first, last = (float(value_at(record.curve(series), at, None)) for series in (layers[0], layers[-1]))
        decades = _log10(last) - _log10(first)
        return abs(decades) if absolute else decades

    read.__doc__ = (
        f"{quantity}: last layer over first, in decades (log10); ``absolute`` tells how uneven, whichever is larger."
    )
    register(MetricTraits, f"{name}_ratio", columns=lambda _: (f"{name}/1",), margins=_DECADES, unit="decades")(read)


#: Stands for log10 of an exact zero: below the smallest double (5e-324), so that a vanished gradient has a number.
LOG10_OF_ZERO = -324.0


def _log10(value: float) -> float:
    if math.isnan(value):
        return value
    return math.log10(value) if value > 0 else LOG10_OF_ZERO


_per_layer("gradient_norm", "Norm of the loss' gradient with respect to the weights")
_per_layer("activation_variance", "Variance across examples, averaged over units, of the activations")
_per_layer("weight_change", "Distance moved since the start, relative to the weights at the start,")
_last_over_first("gradient_norm", "Gradient norm")
_last_over_first("activation_variance", "Activation variance")
_last_over_first("weight_change", "Relative weight change")


@register(MetricTraits, "log10_gradient_norm", columns=_layer_series("gradient_norm"), margins=_DECADES, unit="decades")
def log10_gradient_norm(record: Record, /, *, layer: Layer = 1, at: Literal["start", "last"] = "last") -> float:
    """Decimal logarithm of a layer's gradient norm: what decays in a straight line when gradients vanish."""
    return _log10(float(value_at(record.curve(f"gradient_norm/{layer}"), at, None)))


@register(MetricTraits, "hidden_spread", margins={"quick": 0.0, "full": 0.0})
def hidden_spread(record: Record, /, *, at: Literal["start", "last"] = "last") -> float:
    """Largest relative spread between the weight rows of one layer's hidden units: 0 while they are all equal."""
    return float(value_at(record.curve("hidden_spread"), at, None))
