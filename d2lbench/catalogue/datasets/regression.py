"""Synthetic regressions: numbers to predict, made by a linear model whose weights are known.

Losses named below are half the squared error, with the best constant for a predictor: what every model must beat.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias

from annotated_types import Ge, Le, Lt

from d2lbench.catalogue.datasets.drawn import identity, normals, regression_splits
from d2lbench.catalogue.datasets.splits import (
    Fold,
    Folds,
    Splits,
    TrainSize,
    Validation,
    refuse_crowds,
    refuse_misfits,
)
from d2lbench.core.errors import GridError
from d2lbench.core.kinds import DatasetTraits
from d2lbench.core.registry import register
from d2lbench.core.seeding import key_integer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from d2lbench.catalogue.datasets.drawn import Reals
    from d2lbench.core.spec import Config

Features: TypeAlias = Annotated[int, Ge(1), Le(100_000)]
Noise: TypeAlias = Annotated[float, Ge(0)]

#: Weights 5, 1.2, -3.4, 5.6 of x^0/0! to x^3/3!: the cubic of Dive into Deep Learning 0.17, section 4.4.
CUBIC: Final = (5.0, 1.2, -3.4, 5.6)
#: Of the targets of ``least-squares``: with the noise at 0.7 their variance is 1, as of standardized data.
SIGNAL_VARIANCE: Final = 0.51
LEAST_SQUARES_FEATURES: Final = 5


def _fits_high_dim(config: Config) -> None:
    get = config.dataset.get
    refuse_crowds(config, get("features"), get("train_size") + get("validation") + 100)
    refuse_misfits(config, get("train_size"))


@register(
    DatasetTraits,
    "high-dim-linear",
    checksum=identity("high-dim-linear"),
    check=_fits_high_dim,
    shape=lambda options: (options["features"],),
    sizes={"train": 20, "validation": 0, "test": 100},
    classes=0,
    task="regression",
)
def high_dim_linear(
    seed: int,
    /,
    *,
    features: Features = 200,
    train_size: TrainSize = 20,
    validation: Validation = 0,
    folds: Folds = 0,
    fold: Fold = 0,
) -> Splits:
    """More features than examples: y = 0.05 + 0.01 (x_1 + … + x_200) + N(0, 0.01²) (Dive into Deep Learning, 3.7).

    20 examples train, 100 test; none validate unless asked for. Hard to beat: the constant 0.05 has a loss of
    (200 · 0.01² + 0.01²) / 2 = 0.01005.
    """
    import numpy as np

    truth = np.append(np.full(features, 0.01), 0.05)

    def draw(name: str, n: int) -> tuple[Reals, Reals]:
        x = normals(n, features, seed, "high-dim-linear", name)
        return x, x @ truth[:-1] + truth[-1]

    sizes = {"train": train_size, "validation": validation, "test": 100}
    return regression_splits("high-dim-linear", seed, sizes, draw, truth=truth, noise=0.01, folds=folds, fold=fold)


@register(
    DatasetTraits,
    "polynomial",
    checksum=identity("polynomial"),
    check=lambda config: refuse_misfits(config, config.dataset.get("train_size")),
    shape=lambda options: (options["degree"],),
    sizes={"train": 100, "validation": 0, "test": 100},
    classes=0,
    task="regression",
)
def polynomial(
    seed: int,
    /,
    *,
    degree: Annotated[int, Ge(1), Le(100)] = 3,
    train_size: TrainSize = 100,
    validation: Validation = 0,
    folds: Folds = 0,
    fold: Fold = 0,
) -> Splits:
    """A noisy cubic: y = 5 + 1.2 x - 3.4 x²/2! + 5.6 x³/3! + N(0, 0.1²), x from N(0, 1) (book 0.17, section 4.4).

    The features are x^i/i! for i from 1 to ``degree``: degree 1 cannot fit, 3 is right, 19 is the book's too many.
    The book makes the constant 1 a feature and fits without a bias; here the bias is the constant's weight, which is
    the same model with the same gradients. 100 examples train, 100 test. The best constant has a loss of 13.5, the
    true coefficients one of 0.005.
    """
    import numpy as np

    cubic = np.array(CUBIC)
    truth = np.zeros(degree + 1)
    truth[: min(degree, 3)] = cubic[1 : degree + 1]
    truth[-1] = cubic[0]
    orders = np.arange(1, max(degree, 3) + 1)

    def draw(name: str, n: int) -> tuple[Reals, Reals]:
        factors = normals(n, 1, seed, "polynomial", name) / orders
        powers: Reals = np.cumprod(factors, axis=1, dtype=np.float64)  # (n, orders): x^i/i!
        return powers[:, :degree], powers[:, :3] @ cubic[1:] + cubic[0]

    sizes = {"train": train_size, "validation": validation, "test": 100}
    return regression_splits("polynomial", seed, sizes, draw, truth=truth, noise=0.1, folds=folds, fold=fold)


def _fits_copies(config: Config) -> None:
    size, copies = config.dataset.get("train_size"), config.dataset.get("copies")
    if size % copies:
        problem = f"cannot be copies of {copies} each"
        allowed = f"a multiple of dataset.copies = {copies}"
        raise GridError(problem, key="dataset.train_size", given=size, allowed=allowed)
    if copies > 1 and config.dataset.get("folds"):
        problem = "would put copies of one example on both sides of a fold"
        raise GridError(problem, key="dataset.copies", given=copies, allowed="1 where dataset.folds is set")
    refuse_misfits(config, size)


def _axes(seed: int, condition: float) -> Reals:
    """Return A (5, 5) so that z A, z standard normal, has a covariance of that condition number and trace 5.

    Its eigenvalues are evenly spaced in their logarithm and lie along axes drawn by the seed, not along features:
    otherwise a rate per feature would undo them.
    """
    import numpy as np

    count = LEAST_SQUARES_FEATURES
    eigenvalues = condition ** -np.linspace(0, 1, count)
    eigenvalues *= count / eigenvalues.sum()
    q, r = np.linalg.qr(normals(count, count, seed, "least-squares", "axes"))
    return np.asarray(np.sqrt(eigenvalues)[:, None] * (q * np.sign(np.diag(r))).T)


@register(
    DatasetTraits,
    "least-squares",
    checksum=identity("least-squares"),
    check=_fits_copies,
    shape=(LEAST_SQUARES_FEATURES,),
    sizes={"train": 1500, "validation": 500, "test": 500},
    classes=0,
    task="regression",
)
def least_squares(
    seed: int,
    /,
    *,
    condition: Annotated[float, Ge(1), Le(1e8)] = 10.0,
    noise: Noise = 0.7,
    train_size: TrainSize = 1500,
    copies: Annotated[int, Ge(1)] = 1,
    folds: Folds = 0,
    fold: Fold = 0,
) -> Splits:
    """A stand-in for the airfoil data of Dive into Deep Learning, chapter 12: 1500 × 5, linear with noise.

    Not those data but their shape: features of mean 0 whose population covariance has the ``condition`` number and
    an average variance of 1, targets of variance 1 at the default noise, of which a line explains 51 %. The best
    constant has a loss of 0.5 and the true weights one of 0.245, near the book's 0.242 to 0.252.

    With ``copies`` = k the same number of examples train, but only every k-th is distinct: each is there k times.
    500 more validate, 500 test.
    """
    import numpy as np

    axes = _axes(seed, condition)
    direction = normals(LEAST_SQUARES_FEATURES, 1, seed, "least-squares", "weights")[:, 0]
    weights = direction * np.sqrt(SIGNAL_VARIANCE / ((axes @ direction) ** 2).sum())

    def draw(name: str, n: int) -> tuple[Reals, Reals]:
        x = normals(n, LEAST_SQUARES_FEATURES, seed, "least-squares", name) @ axes
        return x, x @ weights

    sizes = {"train": train_size // copies, "validation": 500, "test": 500}
    truth = np.append(weights, 0.0)
    splits = regression_splits("least-squares", seed, sizes, draw, truth=truth, noise=noise, folds=folds, fold=fold)
    return replace(splits, train=np.tile(splits.train, copies))


#: How many neighbouring features have a cause in common where features are correlated.
GROUP: Final = 5


def _fits_sparse(config: Config) -> None:
    get = config.dataset.get
    if get("relevant") > get("features"):
        problem = "more features are relevant than there are"
        raise GridError(
            problem, key="dataset.relevant", given=get("relevant"), allowed=f"0 to dataset.features = {get('features')}"
        )
    refuse_crowds(config, get("features") + get("noise_features"), get("train_size") + 1100)
    refuse_misfits(config, get("train_size"))


def _chosen(features: int, relevant: int, seed: int) -> NDArray[np.int64]:
    """Return which features are relevant, no two of a group before every group has one; more contain the fewer."""
    import numpy as np

    order = np.random.default_rng(key_integer(seed, "sparse-linear", "relevant")).permutation(features)
    met: Counter[int] = Counter()
    ranks = []
    for group in order // GROUP:
        ranks.append(met[group])
        met[group] += 1
    return order[np.argsort(ranks, kind="stable")][:relevant]


def _correlated(x: Reals, correlation: float, *key: int | str) -> Reals:
    """Mix a common factor of each group into standard normal features (n, d); the variances stay 1."""
    import numpy as np

    groups = np.arange(x.shape[1]) // GROUP
    shared = normals(len(x), int(groups[-1]) + 1, *key, "shared")
    return np.asarray(np.sqrt(correlation) * shared[:, groups] + np.sqrt(1 - correlation) * x)


@register(
    DatasetTraits,
    "sparse-linear",
    checksum=identity("sparse-linear"),
    check=_fits_sparse,
    shape=lambda options: (options["features"] + options["noise_features"],),
    classes=0,
    task="regression",
    sizes={"train": 100, "validation": 100, "test": 1000},
)
def sparse_linear(
    seed: int,
    /,
    *,
    features: Features = 200,
    relevant: Annotated[int, Ge(0)] = 5,
    noise_features: Annotated[int, Ge(0), Le(100_000)] = 0,
    correlation: Annotated[float, Ge(0), Lt(1)] = 0.0,
    noise: Noise = 1.0,
    train_size: TrainSize = 100,
    folds: Folds = 0,
    fold: Fold = 0,
) -> Splits:
    """Few of many features matter: a sum of 5 out of 200, with random signs, plus N(0, 1) (after Tibshirani 1996).

    ``noise_features`` more columns are drawn that mean nothing. With a ``correlation`` the features come in groups of
    five neighbours that correlate so with each other, and a relevant one is in the company of four that only look
    like it (after Zou and Hastie 2005). 100 examples train, 100 validate, 1,000 test. Half the squared error is 3 of
    the best constant and 0.5 of the true weights.
    """
    import numpy as np

    weights = np.zeros(features + noise_features)
    signs = np.sign(normals(features, 1, seed, "sparse-linear", "signs")[:, 0])
    chosen = _chosen(features, relevant, seed)
    weights[chosen] = signs[: len(chosen)]

    def draw(name: str, n: int) -> tuple[Reals, Reals]:
        x = normals(n, features, seed, "sparse-linear", name)
        if correlation:
            x = _correlated(x, correlation, seed, "sparse-linear", name)
        if noise_features:
            x = np.hstack([x, normals(n, noise_features, seed, "sparse-linear", name, "irrelevant")])
        return x, x @ weights

    sizes = {"train": train_size, "validation": 100, "test": 1000}
    truth = np.append(weights, 0.0)
    return regression_splits("sparse-linear", seed, sizes, draw, truth=truth, noise=noise, folds=folds, fold=fold)
