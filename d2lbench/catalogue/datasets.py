"""Datasets, as whole arrays of bytes with index sets: a seed picks rows, it never copies pixels."""

from __future__ import annotations

import functools
import gzip
import hashlib
import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge

from d2lbench.errors import DataError, GridError
from d2lbench.registry import register
from d2lbench.seeding import key_integer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from d2lbench.spec import Config

DIGITS_SHA256 = "65e5b4619795efb40c1082f4c350c049e4ad552200d369b6ae99e21eef5e72c5"
#: The files of Fashion-MNIST (Xiao, Rasul and Vollgraf 2017) and the MD5 sums that torchvision publishes for them.
FASHION_MNIST_MD5 = {
    "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
    "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
    "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
    "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
}
FASHION_MNIST_TRAIN = 60_000


@dataclass(frozen=True)
class Pool:
    """All examples of a dataset: ``x`` (N, features) uint8, ``y`` (N,) int64; an input is ``x`` × ``scale``."""

    x: NDArray[np.uint8]
    y: NDArray[np.int64]
    scale: float
    classes: int


@dataclass(frozen=True)
class Splits:
    """One seed's rows of the pool: integer index arrays; ``validation`` may be empty."""

    pool: Pool
    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]


@functools.cache
def _digits_pool() -> Pool:
    """Read scikit-learn's copy of the digits, without importing the library: that costs seconds a process."""
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
    found = hashlib.sha256(x.tobytes() + y.tobytes()).hexdigest()
    if found != DIGITS_SHA256:
        problem = f"digits: scikit-learn's copy has SHA-256 {found}, expected {DIGITS_SHA256}"
        raise DataError(problem)
    return Pool(x, y, 1 / 16, 10)


def _stratified(
    rows: NDArray[np.int64], y: NDArray[np.int64], size: int, draw: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rest of ``rows`` and a sample of ``size`` of them that has each class in proportion, within one.

    Systematic sampling: rows in random order within their class, every (n / size)-th is taken from a random start.
    """
    import numpy as np

    order = draw.permutation(rows)
    order = order[np.argsort(y[order], kind="stable")]
    places = ((np.arange(size) + draw.random()) * len(rows) / size).astype(np.int64)
    taken = np.zeros(len(rows), dtype=bool)
    taken[places] = True
    return draw.permutation(order[~taken]), draw.permutation(order[taken])


def _fits_digits(config: Config) -> None:
    _fits(config, 900)


def _fits(config: Config, most: int) -> None:
    size = config.dataset.get("train_size")
    if size is not None and size > most:
        problem = f"{config.dataset.name} has fewer training images"
        raise GridError(problem, key="dataset.train_size", given=size, allowed=f"1 to {most}")


@register(
    "dataset",
    "digits",
    checksum=DIGITS_SHA256,
    check=_fits_digits,
    inputs=64,
    classes=10,
    sizes={"train": 900, "validation": 400, "test": 497},
    embedded=True,
)
def digits(seed: int, /, *, train_size: Annotated[int, Ge(1)] | None = None) -> Splits:
    """Handwritten digits, 8 × 8 (scikit-learn): a stratified split per seed into 900, 400 and 497."""
    import numpy as np

    pool = _digits_pool()
    draw = np.random.default_rng(key_integer(seed, "split"))
    rest, test = _stratified(np.arange(len(pool.y)), pool.y, 497, draw)
    train, validation = _stratified(rest, pool.y, 400, draw)
    return Splits(pool, _subset(train, train_size, seed), validation, test)


def _subset(rows: NDArray[np.int64], size: int | None, seed: int) -> NDArray[np.int64]:
    """Return ``size`` of the rows, drawn by the seed; a larger subset contains the smaller one."""
    import numpy as np

    if size is None:
        return rows
    return np.random.default_rng(key_integer(seed, "subset")).permutation(rows)[:size]


def data_folder() -> Path:
    """Return where datasets lie: ``$D2LBENCH_DATA``, else a folder in the user's cache."""
    named = os.environ.get("D2LBENCH_DATA")
    if named:
        return Path(named)
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(cache) / "d2lbench"


def locate_fashion_mnist() -> None:
    """Check, without reading them, that the files are there.

    Raises
    ------
    DataError
        Names the missing file, where it was looked for, and how to get it.
    """
    folder = data_folder() / "FashionMNIST" / "raw"
    for name in FASHION_MNIST_MD5:
        if not (folder / name).is_file():
            problem = (
                f"fashion-mnist: {name} is not in {folder}; set D2LBENCH_DATA to a folder that torchvision's "
                'FashionMNIST(root=…) reads, or fetch it once with: python -c "from torchvision.datasets import '
                f'FashionMNIST; FashionMNIST({str(data_folder())!r}, download=True)"'
            )
            raise DataError(problem)


def _read_idx(name: str, header: int) -> NDArray[np.uint8]:
    """Return the bytes behind an IDX file's header, after checking the file's sum and its magic number."""
    import numpy as np

    path = data_folder() / "FashionMNIST" / "raw" / name
    packed = path.read_bytes()
    found = hashlib.md5(packed, usedforsecurity=False).hexdigest()
    if found != FASHION_MNIST_MD5[name]:
        problem = f"fashion-mnist: {path} is damaged (MD5 {found}, expected {FASHION_MNIST_MD5[name]}); fetch it again"
        raise DataError(problem)
    return np.frombuffer(gzip.decompress(packed), dtype=np.uint8, offset=header)


@functools.cache
def _fashion_mnist_pool() -> Pool:
    import numpy as np

    locate_fashion_mnist()
    images = [_read_idx(f"{part}-images-idx3-ubyte.gz", 16).reshape(-1, 784) for part in ("train", "t10k")]
    labels = [_read_idx(f"{part}-labels-idx1-ubyte.gz", 8) for part in ("train", "t10k")]
    return Pool(np.concatenate(images), np.concatenate(labels).astype(np.int64), 1 / 255, 10)


def _fits_fashion_mnist(config: Config) -> None:
    _fits(config, FASHION_MNIST_TRAIN - config.dataset.get("validation"))


@register(
    "dataset",
    "fashion-mnist",
    checksum=hashlib.sha256("".join(FASHION_MNIST_MD5.values()).encode()).hexdigest(),
    check=_fits_fashion_mnist,
    locate=locate_fashion_mnist,
    inputs=784,
    classes=10,
    sizes={"train": 55_000, "validation": 5_000, "test": 10_000},
    embedded=False,
)
def fashion_mnist(
    seed: int,
    /,
    *,
    train_size: Annotated[int, Ge(1)] | None = None,
    validation: Annotated[int, Ge(0)] = 5_000,
) -> Splits:
    """Fashion-MNIST, 28 × 28: a fixed validation set, training images drawn per seed, the published test set."""
    import numpy as np

    pool = _fashion_mnist_pool()
    order = np.random.default_rng(key_integer(0, "fashion-mnist", "validation")).permutation(FASHION_MNIST_TRAIN)
    test = np.arange(FASHION_MNIST_TRAIN, len(pool.y))
    return Splits(pool, _subset(order[validation:], train_size, seed), order[:validation], test)
