"""Datasets, as whole arrays with index sets: a seed picks rows of published images, or draws examples of its own.

What a dataset declares beside its factory, in the call of ``register``:

``shape``, ``classes``, ``task``, ``sizes``
    An example's shape (a tuple, or a function of the options), the number of classes (0 for ``task = "regression"``),
    and how many examples train, validate and test by default.
``checksum``
    What identifies the data in a cell: of the published files, or of the name and version of a generator.
``embedded``, ``locate``
    Whether it is there without any file, and else what checks that its files are.
``vocabulary``
    Of bags of words: how many words there are (a function of the options).

What no model may be proud of beating, the best constant, the engine computes from the training targets.
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
