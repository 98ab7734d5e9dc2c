"""What a dataset hands out: one pool of examples and, for a seed, which rows of it train, validate and test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias

from annotated_types import Ge, Le

from d2lbench.core.errors import GridError
from d2lbench.core.seeding import key_integer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from d2lbench.core.spec import Config

    Inputs: TypeAlias = NDArray[np.uint8] | NDArray[np.int32] | NDArray[np.float32]
    Targets: TypeAlias = NDArray[np.int64] | NDArray[np.float32]
    Rows: TypeAlias = NDArray[np.int64]

#: The most examples that a dataset draws: one zero too many in a grid would fill the memory.
MOST_EXAMPLES: Final = 100_000
#: The most numbers in one seed's synthetic pool (400 MB).
MOST_NUMBERS: Final = 100_000_000

#: How many examples train: drawn by the seed, a larger number contains the smaller.
TrainSize: TypeAlias = Annotated[int, Ge(1), Le(MOST_EXAMPLES)]
#: How many examples are kept apart for validation.
Validation: TypeAlias = Annotated[int, Ge(0), Le(MOST_EXAMPLES)]
#: Into how many parts the training examples are cut for K-fold cross-validation; 0 is not at all.
Folds: TypeAlias = Annotated[int, Ge(0)]
#: Which of the parts, from 0, validates.
Fold: TypeAlias = Annotated[int, Ge(0)]


@dataclass(frozen=True)
class Pool:
    """All examples of a dataset, or those that one seed draws.

    Attributes
    ----------
    x
        (N, features): bytes of images, numbers of tokens, or real features. An input is ``x`` × ``scale``.
    y
        (N,): int64 classes, or float32 numbers to predict.
    scale
        What turns stored inputs into inputs.
    classes
        How many classes; 0 where numbers are predicted.
    truth
        Where the data come from a linear model: its weights in the order of the features, then its bias.
    """

    x: Inputs
    y: Targets
    scale: float
    classes: int
    truth: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class Splits:
    """One seed's rows of the pool: integer index arrays; ``validation`` may be empty."""

    pool: Pool
    train: Rows
    validation: Rows
    test: Rows


def split(
    pool: Pool, parts: tuple[Rows, Rows, Rows], seed: int, *, train_size: int | None = None, folds: int, fold: int
) -> Splits:
    """Return the splits of a seed: the one place where training examples are subsampled and cut into folds.

    ``parts`` are the rows that train, validate and test. First ``train_size`` of the training rows are kept, drawn by
    the seed; a larger subset contains the smaller. With ``folds`` they are then cut into so many parts, sizes at most
    one apart: part ``fold`` validates, in place of the dataset's own validation rows, and the others train.
    """
    import numpy as np

    train, validation, test = parts
    if train_size is not None:
        train = np.random.default_rng(key_integer(seed, "subset")).permutation(train)[:train_size]
    if folds:
        order = np.random.default_rng(key_integer(seed, "folds")).permutation(train)
        cut = np.array_split(order, folds)
        validation = cut.pop(fold)
        train = np.concatenate(cut)
    return Splits(pool, train, validation, test)


def refuse_misfits(config: Config, most: int) -> None:
    """Check ``train_size``, ``folds`` and ``fold`` against the ``most`` examples that can train, and each other.

    Raises
    ------
    GridError
        More training images than there are, folds without an example each, or a fold that is none of them.
    """
    dataset = config.dataset
    size = dataset.get("train_size")
    if size is not None and size > most:
        problem = f"{dataset.name} has fewer training images"
        raise GridError(problem, key="dataset.train_size", given=size, allowed=f"1 to {most}")
    size = size or most
    folds, fold = dataset.get("folds", 0), dataset.get("fold", 0)
    if folds == 1 or folds > size:
        problem = f"cannot cut {size} training examples into a part that validates and others that train"
        raise GridError(problem, key="dataset.folds", given=folds, allowed=f"0 for none, or 2 to {size}")
    if fold >= max(folds, 1):
        problem = f"is none of the {folds} folds" if folds else "needs folds"
        raise GridError(problem, key="dataset.fold", given=fold, allowed=f"0 to {folds - 1}" if folds else "folds ≥ 2")


def refuse_crowds(config: Config, features: int, examples: int) -> None:
    """Check that a synthetic pool fits into memory.

    Raises
    ------
    GridError
        Names the product and the most there may be.
    """
    if features * examples > MOST_NUMBERS:
        problem = f"{config.dataset.name} would hold too many numbers"
        given = f"{examples} examples × {features} features"
        raise GridError(problem, key="dataset", given=given, allowed=f"{MOST_NUMBERS} numbers in all")
