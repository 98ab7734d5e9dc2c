"""Metrics: how a run's recorded series become one number. They read; the engine's probes record.

A factory gets a :class:`Record` and its options and returns a number, or with ``at = "each"`` the curve's values.
Its declaration says which series it needs, whether two sides differ (``as_``) by subtraction or by ratio, the
default margin at each scale, and which way is better (which picks trials; never guessed from a name).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from annotated_types import Ge, Gt, Le

from d2lbench.registry import register

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector: TypeAlias = NDArray[np.float64]
    Curve: TypeAlias = tuple[Vector, Vector]

At = Literal["start", "each", "best", "last"]
Layer = Annotated[int, Ge(1)]
Share = Annotated[float, Gt(0), Le(1)]


@dataclass(frozen=True)
class Record:
    """What is known of one finished run: series by name (epochs x, values y), and how to read a diverged one."""

    series: Mapping[str, Curve] = field(default_factory=dict)
    diverged: bool = False
    epochs: int = 0
    chance: float = math.nan
    constant_loss: float = math.nan
    last_finite_loss: float = math.nan

    def curve(self, name: str) -> Curve:
        """Return epochs and values of a series; two empty arrays where the run has none."""
        import numpy as np

        empty = np.empty(0)
        return self.series.get(name, (empty, empty))

    def loss_when_diverged(self) -> float:
        """The larger of the constant predictor's loss and the run's own last finite one."""
        known = [value for value in (self.constant_loss, self.last_finite_loss) if not math.isnan(value)]
        return max(known, default=math.nan)


def _read(curve: Curve, at: str, better: str | None) -> Any:
    x, y = curve
    if len(y) == 0:
        return math.nan
    if at == "start":
        return float(y[0]) if x[0] == 0 else math.nan
    if at == "each":
        return y
    if at == "best":
        return float(y.max() if better == "higher" else y.min())
    return float(y[-1])


def _curve_metric(name: str, better: str | None, filler: Callable[[Record], float], **traits: Any) -> None:
    """Register a metric that reads one series; ``filler`` says what stands for the values of a diverged run."""

    def read(record: Record, /, *, at: At = "last") -> Any:
        import numpy as np

        x, y = record.curve(name)
        if record.diverged:
            y = np.where(np.isfinite(y), y, filler(record))
        value = _read((x, y), at, better)
        diverged_end = record.diverged and at in {"last", "best"}
        return filler(record) if diverged_end else value

    split, _, what = name.partition("_")
    read.__doc__ = f"{what.capitalize()} on the {split} examples, in evaluation mode."
    columns = {"columns": lambda _: (name,), "better": better, "curve": True}
    register("metric", name, **columns, **traits)(read)


_ACCURACY = {"as_": "difference", "margins": {"quick": 0.01, "full": 0.005}, "unit": "share"}
_LOSS = {"as_": "ratio", "margins": {"quick": 0.05, "full": 0.05}, "unit": "nats"}

for _split in ("train", "validation", "test"):
    _curve_metric(f"{_split}_accuracy", "higher", lambda record: record.chance, split=_split, **_ACCURACY)
    _curve_metric(f"{_split}_loss", "lower", Record.loss_when_diverged, split=_split, **_LOSS)


@register(
    "metric",
    "batch_loss",
    columns=lambda _: ("batch_loss",),
    better="lower",
    split="train",
    curve=True,
    **_LOSS,
)
def batch_loss(record: Record, /, *, at: At = "last") -> Any:
    """The mean loss of an epoch's mini-batches, as training sees them (dropout on, penalties left out)."""
    import numpy as np

    x, y = record.curve("batch_loss")
    if record.diverged:
        y = np.where(np.isfinite(y), y, record.loss_when_diverged())
        if at in {"last", "best"}:
            return record.loss_when_diverged()
    return _read((x, y), "each" if at == "each" else "last" if at == "last" else at, "lower")


@register(
    "metric",
    "gap",
    columns=lambda _: ("train_accuracy", "test_accuracy"),
    better="lower",
    split="test",
    **_ACCURACY,
)
def gap(record: Record, /, *, at: Literal["start", "each", "last"] = "last") -> Any:
    """Training accuracy minus test accuracy, both in evaluation mode; 0 for a diverged run (both at chance)."""
    if record.diverged and at == "last":
        return 0.0
    x, train = record.curve("train_accuracy")
    return _read((x, train - record.curve("test_accuracy")[1]), at, None)


def _layer_series(name: str) -> Callable[[Mapping[str, Any]], tuple[str, ...]]:
    return lambda options: (f"{name}/{options['layer']}" if options.get("layer") else name,)


_NORM = {"as_": "ratio", "margins": {"quick": 0.05, "full": 0.05}, "better": None}
_PLAIN = {"as_": "difference", "better": None}


@register("metric", "weight_norm", columns=_layer_series("weight_norm"), **_NORM)
def weight_norm(record: Record, /, *, layer: Layer | None = None, at: Literal["start", "last"] = "last") -> float:
    """The Euclidean norm of all weights (biases left out), or of one layer's."""
    name = f"weight_norm/{layer}" if layer else "weight_norm"
    return float(_read(record.curve(name), at, None))


@register(
    "metric",
    "sparsity",
    columns=lambda options: (f"sparsity/{options['measure']}" + (f"/{options['layer']}" if options["layer"] else ""),),
    margins={"quick": 0.05, "full": 0.05},
    **_PLAIN,
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
    return float(_read(record.curve(f"sparsity/{measure}" + (f"/{layer}" if layer else "")), at, None))


def _per_layer(name: str, quantity: str, **traits: Any) -> None:
    """Register a metric over one layer's probe and, for its ratio between layers, ``<name>_ratio`` in decades."""

    def read(record: Record, /, *, layer: Layer = 1, at: Literal["start", "last"] = "last") -> float:
        return float(_read(record.curve(f"{name}/{layer}"), at, None))

    read.__doc__ = f"{quantity} at one layer (1 is the nearest to the input)."
    register("metric", name, columns=_layer_series(name), **{**_NORM, **traits})(read)


def _layers(record: Record, name: str) -> list[str]:
    found = [series for series in record.series if series.startswith(f"{name}/")]
    return sorted(found, key=lambda series: int(series.rsplit("/", 1)[1]))


def _last_over_first(name: str, quantity: str) -> None:
    def read(record: Record, /, *, at: Literal["start", "last"] = "last") -> float:
        layers = _layers(record, name)
        if not layers:
            return math.nan
        first, last = (float(_read(record.curve(series), at, None)) for series in (layers[0], layers[-1]))
        return _log10(last) - _log10(first)

    read.__doc__ = f"{quantity}: last layer over first, in decades (log10)."
    register(
        "metric",
        f"{name}_ratio",
        columns=lambda _: (f"{name}/1",),
        margins={"quick": 0.2, "full": 0.2},
        unit="decades",
        **_PLAIN,
    )(read)


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


@register(
    "metric",
    "log10_gradient_norm",
    columns=_layer_series("gradient_norm"),
    margins={"quick": 0.2, "full": 0.2},
    unit="decades",
    **_PLAIN,
)
def log10_gradient_norm(record: Record, /, *, layer: Layer = 1, at: Literal["start", "last"] = "last") -> float:
    """Decimal logarithm of a layer's gradient norm: what decays in a straight line when gradients vanish."""
    return _log10(float(_read(record.curve(f"gradient_norm/{layer}"), at, None)))


@register(
    "metric",
    "epochs_to_target",
    columns=lambda options: (f"{options['split']}_accuracy",),
    as_="difference",
    margins={"quick": 1.0, "full": 1.0},
    better="lower",
    split=lambda options: options["split"],
    unit="epochs",
    censored=True,
)
def epochs_to_target(
    record: Record, /, *, target: Share, split: Literal["train", "validation", "test"] = "validation"
) -> float:
    """The first evaluated epoch at which accuracy reaches ``target``; budget + 1 where it never does (censored)."""
    x, y = record.curve(f"{split}_accuracy")
    reached = x[y >= target]
    return float(reached[0]) if len(reached) else float(record.epochs + 1)


@register(
    "metric",
    "late_variation",
    columns=lambda _: ("batch_loss",),
    as_="ratio",
    margins={"quick": 0.2, "full": 0.2},
    better=None,
    split="train",
)
def late_variation(record: Record, /, *, share: Share = 0.34) -> float:
    """How much the loss still jumps at the end of training, relative to its height.

    The standard deviation, about a straight line, of the last epochs' batch losses, over their mean. A diverged run
    has no number of its own and reads 1.
    """
    import numpy as np

    _, y = record.curve("batch_loss")
    late = y[-max(3, round(share * len(y))) :]
    if record.diverged:
        return 1.0
    if len(late) < 3 or not np.isfinite(late).all():  # noqa: PLR2004  (a line through two points leaves no rest)
        return math.nan
    t = np.arange(len(late))
    rest = late - np.polyval(np.polyfit(t, late, 1), t)
    return float(max(np.sqrt((rest**2).sum() / max(1, len(late) - 2)), 1e-12) / max(late.mean(), 1e-12))


@register(
    "metric",
    "step_oscillation",
    columns=lambda _: ("step_oscillation",),
    as_="difference",
    margins={"quick": 0.05, "full": 0.05},
    better=None,
    optional=True,
)
def step_oscillation(record: Record, /, *, at: Literal["each", "last"] = "last") -> Any:
    """The variance of an epoch's steps, free of their size: the share of their squared length that cancels out.

    0 when all steps agree, near 1 when they undo each other.
    """
    return _read(record.curve("step_oscillation"), at, None)


@register(
    "metric", "hidden_spread", columns=lambda _: ("hidden_spread",), margins={"quick": 0.0, "full": 0.0}, **_PLAIN
)
def hidden_spread(record: Record, /, *, at: Literal["start", "last"] = "last") -> float:
    """Largest relative spread between the weight rows of one layer's hidden units: 0 while they are all equal."""
    return float(_read(record.curve("hidden_spread"), at, None))
