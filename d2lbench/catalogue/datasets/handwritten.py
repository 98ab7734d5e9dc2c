"""The digits that come with scikit-learn: the real images of the quick scale."""

from __future__ import annotations

import functools
import gzip
import hashlib
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Final

from d2lbench.catalogue.datasets.splits import Fold, Folds, Pool, Splits, TrainSize, refuse_misfits, split
from d2lbench.core.errors import DataError
from d2lbench.core.kinds import DatasetTraits
from d2lbench.core.registry import register
from d2lbench.core.seeding import key_integer

if TYPE_CHECKING:
    import numpy as np

    from d2lbench.catalogue.datasets.splits import Rows

DIGITS_SHA256: Final = "65e5b4619795efb40c1082f4c350c049e4ad552200d369b6ae99e21eef5e72c5"


@functools.cache
def _pool() -> Pool:
    """Read scikit-learn's copy of the digits, without importing the library, which takes seconds in each process."""
    import numpy as np

    spec = importlib.util.find_spec("sklearn")
    folders = list(spec.submodule_search_locations or ()) if spec else []
    path = Path(*folders[:1], "datasets", "data", "digits.csv.gz")
    try:
        with gzip.open(path, "rt", encoding="ascii") as lines:
            table = np.loadtxt(lines, delimiter=",", dtype=np.uint8)
    except (OSError, ValueError) as error:
        problem = f"digits: scikit-learn's copy cannot be read: {error}; install scikit-learn anew"
        raise DataError(problem) from error
    x, y = table[:, :-1].copy(), table[:, -1].astype(np.int64)
    digest = hashlib.sha256(x.tobytes() + y.tobytes()).hexdigest()
    if digest != DIGITS_SHA256:
        problem = f"digits: scikit-learn's copy has SHA-256 {digest}, expected {DIGITS_SHA256}"
        raise DataError(problem)
    return Pool(x, y, 1 / 16, 10)


def _stratified(rows: Rows, y: Rows, size: int, draw: np.random.Generator) -> tuple[Rows, Rows]:
    """Return the rest of ``rows`` and a stratified sample of ``size`` of them: each class in proportion, within one.

    Systematic sampling: rows in random order within their class, every (n / size)-th is taken from a random start.
    """
    import numpy as np

    order = draw.permutation(rows)
    order = order[np.argsort(y[order], kind="stable")]
    places = ((np.arange(size) + draw.random()) * len(rows) / size).astype(np.int64)
    taken = np.zeros(len(rows), dtype=bool)
    taken[places] = True
    return draw.permutation(order[~taken]), draw.permutation(order[taken])


@functools.lru_cache(maxsize=512)  # of every arm's stack: a seed's draw takes as long as three steps of a small model
def _parts(seed: int) -> tuple[Rows, Rows, Rows]:
    """Return a seed's rows that train, validate and test."""
    import numpy as np

    y = _pool().y.astype(np.int64, copy=False)
    draw = np.random.default_rng(key_integer(seed, "split"))
    rest, test = _stratified(np.arange(len(y)), y, 497, draw)
    train, validation = _stratified(rest, y, 400, draw)
    return train, validation, test


@register(
    DatasetTraits,
    "digits",
    checksum=DIGITS_SHA256,
    check=lambda config: refuse_misfits(config, 900),
    shape=(1, 8, 8),
    classes=10,
    sizes={"train": 900, "validation": 400, "test": 497},
)
def digits(seed: int, /, *, train_size: TrainSize | None = None, folds: Folds = 0, fold: Fold = 0) -> Splits:
    """Handwritten digits, 8 × 8 (scikit-learn): a stratified split per seed into 900, 400 and 497.

    Always naming the commonest class is right one time in ten. Stored as counts from 0 to 16.

    Raises
    ------
    DataError
        Scikit-learn's copy is missing or is not the one that was published.
    """
    return split(_pool(), _parts(seed), seed, train_size=train_size, folds=folds, fold=fold)
