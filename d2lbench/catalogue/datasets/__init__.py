"""Datasets, as whole arrays with index sets: a seed picks rows of published images, or draws examples of its own.

What a dataset declares beside its factory stands in :class:`d2lbench.core.kinds.DatasetTraits`. The baseline of every
model, the best constant, is computed by the engine from the training targets.
"""

from d2lbench.catalogue.datasets.classification import topics, xor
from d2lbench.catalogue.datasets.files import data_folder
from d2lbench.catalogue.datasets.handwritten import digits
from d2lbench.catalogue.datasets.images import cifar10, fashion_mnist, kmnist, mnist
from d2lbench.catalogue.datasets.regression import high_dim_linear, least_squares, polynomial, sparse_linear
from d2lbench.catalogue.datasets.splits import Pool, Splits

__all__ = [
    "Pool",
    "Splits",
    "cifar10",
    "data_folder",
    "digits",
    "fashion_mnist",
    "high_dim_linear",
    "kmnist",
    "least_squares",
    "mnist",
    "polynomial",
    "sparse_linear",
    "topics",
    "xor",
]
