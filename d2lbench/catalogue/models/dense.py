"""Models of linear layers: linear and softmax regression, multilayer perceptrons, bags of embeddings."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from annotated_types import Ge, Le, MinLen

from d2lbench.catalogue.layers import (
    Activation,
    BatchNorm,
    Dropout,
    EmbeddingBag,
    Flatten,
    Layer,
    Linear,
    Model,
    Residual,
)
from d2lbench.catalogue.models.sizing import refuse_misfit, vocabulary_of
from d2lbench.core.errors import GridError
from d2lbench.core.kinds import DatasetTraits, ModelTraits
from d2lbench.core.registry import REGISTRY, register

if TYPE_CHECKING:
    from d2lbench.core.spec import Config

Shape: TypeAlias = tuple[int, ...]
ActivationName = Literal["relu", "sigmoid", "tanh", "identity", "scaled-sigmoid"]
Layers = Literal["framework", "scratch"]
Positive = Annotated[int, Ge(1)]
Depth = Annotated[int, Ge(1), Le(1000)]


@register("model", "linear")
def linear(shape: Shape, outputs: int, /, *, layers: Layers = "framework") -> Model:
    """Linear regression: one linear layer (Dive into Deep Learning, section 3.1); ``scratch`` as in section 3.4."""
    return (Flatten(), Linear("output", math.prod(shape), outputs, layers == "scratch"))


@register("model", "softmax")
def softmax(shape: Shape, outputs: int, /, *, layers: Layers = "framework") -> Model:
    """Softmax regression: one linear layer (Dive into Deep Learning, section 4.5); ``scratch`` as in section 4.4."""
    return (Flatten(), Linear("output", math.prod(shape), outputs, layers == "scratch"))


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


def _fits_together(config: Config) -> None:
    """Refuse residual layers of different widths, and a batch of one for batch norm."""
    hidden = config.model.get("hidden")
    if config.model.get("residual") and len(set(hidden)) > 1:
        problem = "adds a layer's input to its output, which needs one width"
        raise GridError(problem, key="model.residual", given=list(hidden), allowed="hidden layers of equal width")
    if config.model.get("batch_norm"):
        refuse_misfit(config)


@register(
    ModelTraits,
    "mlp",
    derived=("depth", "width"),
    exclusive=(("hidden",), ("depth", "width")),
    respell=_respell_mlp,
    normalise=_normalise_mlp,
    check=_fits_together,
)
def mlp(
    shape: Shape,
    outputs: int,
    /,
    *,
    hidden: Annotated[tuple[Positive, ...], MinLen(1)] = (256,),
    depth: Depth = 1,
    width: Positive = 256,
    activation: ActivationName = "relu",
    batch_norm: bool = False,
    residual: bool = False,
    layers: Layers = "framework",
) -> Model:
    """Multilayer perceptron (Dive into Deep Learning, section 5.1): ``hidden`` widths, or ``depth`` × ``width``.

    ``batch_norm`` normalizes before every activation (section 8.5); with ``residual`` every hidden layer but the
    first adds its input to its output (section 8.6); ``scratch`` layers are spelled as in section 5.2.
    """
    del depth, width  # spelled out in ``hidden`` by the time the factory is called
    scratch = layers == "scratch"
    model: list[Layer] = [Flatten()]
    previous = math.prod(shape)
    for index, units in enumerate(hidden):
        block: list[Layer] = [Linear(f"hidden{index + 1}", previous, units, scratch)]
        block += [BatchNorm(f"norm{index + 1}", units)] if batch_norm else []
        block += [Activation(activation), Dropout(index, units)]
        model += [Residual(tuple(block))] if residual and index else block
        previous = units
    return (*model, Linear("output", previous, outputs, scratch))


def _needs_tokens(config: Config) -> None:
    known = vocabulary_of(config.dataset)
    if known is None:
        problem = 'model "embedding-bag" looks tokens up'
        entries = REGISTRY.entries(DatasetTraits)
        allowed = ", ".join(entry.name for entry in entries if entry.traits.vocabulary is not None)
        raise GridError(problem, key="dataset", given=config.dataset.name, allowed=allowed)
    if known > config.model.get("vocabulary"):
        problem = f'dataset "{config.dataset.name}" has more tokens'
        raise GridError(
            problem, key="model.vocabulary", given=config.model.get("vocabulary"), allowed=f"{known} or more"
        )


@register(ModelTraits, "embedding-bag", check=_needs_tokens)
def embedding_bag(shape: Shape, outputs: int, /, *, vocabulary: Positive = 1000, features: Positive = 16) -> Model:
    """The mean of the tokens' embeddings, then one linear layer (Joulin et al. 2017; book section 16.3)."""
    del shape
    return (EmbeddingBag("embedding", vocabulary, features), Linear("output", features, outputs))
