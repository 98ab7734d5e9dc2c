"""Models, as tuples of layer records. A factory gets the shape of one example and the number of outputs."""

from d2lbench.catalogue.models import convolutional, dense
from d2lbench.catalogue.models.sizing import (
    classes_of,
    model_of,
    outputs_of,
    shape_of,
    training_examples,
    vocabulary_of,
)

__all__ = [
    "classes_of",
    "convolutional",
    "dense",
    "model_of",
    "outputs_of",
    "shape_of",
    "training_examples",
    "vocabulary_of",
]
