"""From a configuration to the layer records of its model, sized for its dataset and its loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from d2lbench.catalogue.layers import norms
from d2lbench.core.errors import GridError
from d2lbench.core.kinds import DatasetTraits, LossTraits, ModelTraits
from d2lbench.core.registry import REGISTRY

if TYPE_CHECKING:
    from d2lbench.catalogue.layers import Model
    from d2lbench.core.spec import Component, Config


def shape_of(dataset: Component) -> tuple[int, ...]:
    """Return the shape of one example of a dataset: (channels, height, width), or (features,)."""
    return REGISTRY.get(DatasetTraits, dataset.name).traits.shape_with(dict(dataset.options))


def classes_of(dataset: Component) -> int:
    """Return the number of a dataset's classes; 0 where its targets are numbers."""
    return REGISTRY.get(DatasetTraits, dataset.name).traits.classes_with(dict(dataset.options))


def vocabulary_of(dataset: Component) -> int | None:
    """Return how many tokens a dataset of bags of words knows; None where its examples are no tokens."""
    return REGISTRY.get(DatasetTraits, dataset.name).traits.vocabulary_with(dict(dataset.options))


def training_examples(dataset: Component) -> int | None:
    """Return how many examples a dataset trains on, or None where its declaration does not say.

    The declared ``sizes`` hold for default options: ``train_size`` takes others, images that ``validation`` leaves over
    train, and one of the ``folds`` does not.
    """
    sizes = REGISTRY.get(DatasetTraits, dataset.name).traits.sizes
    options: dict[str, Any] = dict(dataset.options)
    count = options.get("train_size")
    if count is None:
        if "train" not in sizes:
            return None
        given_up = sizes["validation"] - options["validation"] if "validation" in options else 0
        count = sizes["train"] + given_up
    folds, fold = options.get("folds", 0), options.get("fold", 0)
    return int(count - (count // folds + (fold < count % folds)) if folds else count)


def outputs_of(config: Config) -> int:
    """Return how many outputs the loss of a configuration asks of its model."""
    return REGISTRY.get(LossTraits, config.loss.name).traits.outputs(classes_of(config.dataset))


def model_of(config: Config) -> Model:
    """Return the layer records of a configuration's model.

    Raises
    ------
    GridError
        The model does not fit the dataset: images too small for its windows, or no images at all.
    """
    entry, dataset = REGISTRY.get(ModelTraits, config.model.name), config.dataset
    shape = shape_of(dataset)
    if entry.traits.images and len(shape) != 3:  # noqa: PLR2004  (channels, height, width)
        problem = f'model "{entry.name}" looks at images'
        raise GridError(problem, key="dataset", given=dataset.name, allowed="a dataset of images, like fashion-mnist")
    try:
        layers: Model = entry.factory(shape, outputs_of(config), **dict(config.model.options))
    except ValueError as error:
        problem = f'model "{entry.name}" does not fit images of {shape[1]} × {shape[2]}: {error}'
        raise GridError(problem, key="dataset", given=dataset.name, allowed="larger images") from None
    return layers


def refuse_misfit(config: Config) -> None:
    """Refuse, before anything trains, a dataset that does not fit the model, or a batch of one where it has batch norm.

    Raises
    ------
    GridError
        The model does not fit the dataset; or the batches, or the last one, hold a single example, whose variance batch
        norm would divide by.
    """
    model = model_of(config)
    examples = training_examples(config.dataset)
    last = config.batch_size if examples is None else examples % config.batch_size or config.batch_size
    if norms(model) and last == 1:
        problem = "leaves the last batch a single example, and batch norm has no variance of one"
        allowed = "2 or more" if examples is None else f"2 or more that leave no 1 of {examples:,} training examples"
        raise GridError(problem, key="batch_size", given=config.batch_size, allowed=allowed)
