"""A regression in which few of many features matter."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Final

from annotated_types import Ge, Le, Lt

from d2lbench.catalogue.datasets.drawn import identity, normals, regression_splits
from d2lbench.catalogue.datasets.splits import Fold, Folds, Splits, TrainSize, refuse_crowds, refuse_misfits
from d2lbench.core.errors import GridError
from d2lbench.core.kinds import DatasetTraits
from d2lbench.core.registry import register
from d2lbench.core.seeding import key_integer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from d2lbench.catalogue.datasets.drawn import Reals
    from d2lbench.core.spec import Config

#: How many neighbouring features have a cause in common where features are correlated.
GROUP: Final = 5


def _fits(config: Config) -> None:
    get = config.dataset.get
    if get("relevant") > get("features"):
        problem = "more features are relevant than there are"
        raise GridError(
            problem, key="dataset.relevant", given=get("relevant"), allowed=f"0 to dataset.features = {get('features')}"
        )
    refuse_crowds(config, get("features") + get("noise_features"), get("train_size") + 1100)
    refuse_misfits(config, get("train_size"))


def _chosen(features: int, relevant: int, seed: int) -> NDArray[np.int64]:
    """Return which features matter: no two of a group before every group has one; more of them keep the others."""
    import numpy as np

    order = np.random.default_rng(key_integer(seed, "sparse-linear", "relevant")).permutation(features)
    met: Counter[int] = Counter()
    ranks = []
    for group in order // GROUP:
        ranks.append(met[group])
        met[group] += 1
    return order[np.argsort(ranks, kind="stable")][:relevant]


def _correlated(x: Reals, correlation: float, *key: int | str) -> Reals:
    """Mix into standard normal features (n, d) what each group has in common; the variances stay 1."""
    import numpy as np

    groups = np.arange(x.shape[1]) // GROUP
    shared = normals(len(x), int(groups[-1]) + 1, *key, "shared")
    return np.asarray(np.sqrt(correlation) * shared[:, groups] + np.sqrt(1 - correlation) * x)


@register(
    DatasetTraits,
    "sparse-linear",
    checksum=identity("sparse-linear"),
    check=_fits,
    shape=lambda options: (options["features"] + options["noise_features"],),
    classes=0,
    task="regression",
    sizes={"train": 100, "validation": 100, "test": 1000},
    embedded=True,
)
def sparse_linear(
    seed: int,
    /,
    *,
    features: Annotated[int, Ge(1), Le(100_000)] = 200,
    relevant: Annotated[int, Ge(0)] = 5,
    noise_features: Annotated[int, Ge(0), Le(100_000)] = 0,
    correlation: Annotated[float, Ge(0), Lt(1)] = 0.0,
    noise: Annotated[float, Ge(0)] = 1.0,
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
