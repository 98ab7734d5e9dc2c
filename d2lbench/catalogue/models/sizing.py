"""From a configuration to the layer records of its model, sized for its dataset and its loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from d2lbench.errors import GridError
from d2lbench.registry import REGISTRY

if TYPE_CHECKING:
    from d2lbench.catalogue.layers import Model
    from d2lbench.spec import Component, Config


def _declared(dataset: Component, trait: str) -> Any:
    """Return a trait of a dataset that may depend on its options."""
    value = REGISTRY.get("dataset", dataset.name).trait(trait)
    return value(dict(dataset.options)) if callable(value) else value


def shape_of(dataset: Component) -> tuple[int, ...]:
    """Return the shape of one example of a dataset: (channels, height, width), or (features,)."""
    shape: tuple[int, ...] = _declared(dataset, "shape")
    return shape


def classes_of(dataset: Component) -> int:
    """Return the number of a dataset's classes; 0 where its targets are numbers."""
    return int(_declared(dataset, "classes"))


def vocabulary_of(dataset: Component) -> int | None:
    """Return how many tokens a dataset of bags of words knows; None where its examples are no tokens."""
    count = _declared(dataset, "vocabulary")
    return None if count is None else int(count)


def outputs_of(config: Config) -> int:
    """Return how many outputs the loss of a configuration asks of its model."""
    outputs = REGISTRY.get("loss", config.loss.name).trait("outputs")
    return int(outputs(classes_of(config.dataset)))


def model_of(config: Config) -> Model:
    """Return the layer records of a configuration's model.

    Raises
    ------
    GridError
        The model does not fit the dataset: images too small for its windows, or no images at all.
    """
    entry, dataset = REGISTRY.get("model", config.model.name), config.dataset
    shape = shape_of(dataset)
    if entry.trait("images") and len(shape) != 3:  # noqa: PLR2004  (channels, height, width)
        problem = f'model "{entry.name}" looks at images'
        raise GridError(problem, key="dataset", given=dataset.name, allowed="a dataset of images, like fashion-mnist")
    try:
        layers: Model = entry.factory(shape, outputs_of(config), **dict(config.model.options))
    except ValueError as error:
        problem = f'model "{entry.name}" does not fit images of {shape[1]} × {shape[2]}: {error}'
        raise GridError(problem, key="dataset", given=dataset.name, allowed="larger images") from None
    return layers


def refuse_misfit(config: Config) -> None:
    """Refuse, before anything trains, a dataset that does not fit the model."""
    model_of(config)
