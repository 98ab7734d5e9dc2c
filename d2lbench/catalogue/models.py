"""Models, as tuples of layer records. A factory gets the number of inputs and of classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le, MinLen

from d2lbench.catalogue.layers import Activation, Dropout, Flatten, Linear, Model
from d2lbench.registry import register

ActivationName = Literal["relu", "sigmoid", "tanh", "identity"]
Positive = Annotated[int, Ge(1)]
Depth = Annotated[int, Ge(1), Le(1000)]


@register("model", "softmax")
def softmax(inputs: int, classes: int, /) -> Model:
    """Softmax regression: one linear layer (Dive into Deep Learning, section 4.5)."""
    return (Flatten(), Linear("output", inputs, classes))


def _respell_mlp(present: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """Merge a change into an MLP's options: ``hidden`` and ``depth`` with ``width`` are two spellings of one thing."""
    merged = {**present, **change}
    if "hidden" in change:
        merged = {name: value for name, value in merged.items() if name not in {"depth", "width"} or name in change}
    elif change.keys() & {"depth", "width"} and "hidden" in merged:
        hidden = merged.pop("hidden")
        if isinstance(hidden, list | tuple) and hidden and len(set(hidden)) == 1:
            merged.setdefault("width", hidden[0])
        if isinstance(hidden, list | tuple) and hidden:
            merged.setdefault("depth", len(hidden))
    return merged


def _normalise_mlp(given: Mapping[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    """Fill in ``hidden`` from depth and width, or depth and width from ``hidden`` (width 0 where it is not uniform)."""
    if "hidden" in given:
        hidden = options["hidden"]
        return {**options, "depth": len(hidden), "width": hidden[0] if len(set(hidden)) == 1 else 0}
    return {**options, "hidden": (options["width"],) * options["depth"]}


@register(
    "model",
    "mlp",
    derived=("depth", "width"),
    exclusive=(("hidden",), ("depth", "width")),
    respell=_respell_mlp,
    normalise=_normalise_mlp,
)
def mlp(
    inputs: int,
    classes: int,
    /,
    *,
    hidden: Annotated[tuple[Positive, ...], MinLen(1)] = (256,),
    depth: Depth = 1,
    width: Positive = 256,
    activation: ActivationName = "relu",
) -> Model:
    """Multilayer perceptron (Dive into Deep Learning, section 5.1): ``hidden`` widths, or ``depth`` × ``width``."""
    del depth, width  # spelled out in ``hidden`` by the time the factory is called
    layers: list[Any] = [Flatten()]
    previous = inputs
    for index, units in enumerate(hidden):
        layers += [Linear(f"hidden{index + 1}", previous, units), Activation(activation), Dropout(index, units)]
        previous = units
    return (*layers, Linear("output", previous, classes))
