"""How synthetic data are drawn: keyed by seed, dataset, split and columns, so that no option moves another's draws.

Some columns of a split, always as many, are a stream of their own: more rows append to every stream, more columns open
new ones. So a larger training set contains the smaller, and features that are added leave the others as they were.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final, TypeAlias

from d2lbench.catalogue.datasets.splits import Pool, Splits, split
from d2lbench.core.seeding import key_integer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np
    from numpy.typing import NDArray

    Reals: TypeAlias = NDArray[np.float64]

#: Raised when a generator of this folder draws other numbers: runs that are stored of the old ones then do not count.
VERSION: Final = 2
#: How many columns share a stream: a generator costs as much as some hundred numbers, and one for each column of the
#: d = 200 regression took longer than its training.
BLOCK: Final = 16
SPLITS: Final = ("train", "validation", "test")


def identity(dataset: str) -> str:
    """Return the check sum of a synthetic dataset: of its name and of the version of its generator."""
    return hashlib.sha256(f"d2lbench synthetic {dataset} {VERSION}".encode()).hexdigest()


def normals(rows: int, columns: int, *key: int | str) -> Reals:
    """Return independent standard normal numbers, (rows, columns)."""
    return _blocks(rows, columns, key, lambda numbers, shape: numbers.standard_normal(shape))


def uniforms(rows: int, columns: int, *key: int | str) -> Reals:
    """Return independent numbers, uniform over [0, 1), (rows, columns)."""
    return _blocks(rows, columns, key, lambda numbers, shape: numbers.random(shape))


def _blocks(
    rows: int, columns: int, key: tuple[int | str, ...], draw: Callable[[np.random.Generator, tuple[int, int]], Reals]
) -> Reals:
    """Draw blocks of columns row by row, each block from its own generator; the last one is cut to size."""
    import numpy as np

    starts = range(0, columns, BLOCK)
    blocks = [draw(np.random.default_rng(key_integer(*key, start // BLOCK)), (rows, BLOCK)) for start in starts]
    return np.concatenate(blocks, axis=1)[:, :columns]


def rows_of(sizes: Mapping[str, int]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows that train, validate and test in a pool that holds the splits one after the other."""
    import numpy as np

    ends = np.cumsum([sizes[name] for name in SPLITS])
    train, validation, test = np.split(np.arange(ends[-1]), ends[:-1])
    return train, validation, test


def regression_splits(
    dataset: str,
    seed: int,
    sizes: Mapping[str, int],
    draw: Callable[[str, int], tuple[Reals, Reals]],
    *,
    truth: Reals,
    noise: float,
    folds: int,
    fold: int,
) -> Splits:
    """Return a regression's splits: what ``draw(split, n)`` returns, with normal noise on the numbers to predict.

    ``draw`` returns features (n, d) and numbers without noise (n,); ``truth`` (d + 1,) is the model
    behind them, weights and then bias.
    """
    import numpy as np

    features, targets = [], []
    for name in SPLITS:
        x, y = draw(name, sizes[name])
        features.append(x)
        targets.append(y + noise * normals(len(y), 1, seed, dataset, name, "noise")[:, 0])
    pool = Pool(np.concatenate(features, dtype=np.float32), np.concatenate(targets, dtype=np.float32), 1.0, 0, truth)
    return split(pool, rows_of(sizes), seed, folds=folds, fold=fold)
