"""Synthetic classifications: clusters that no line divides, and bags of words on several topics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from annotated_types import Ge, Le

from d2lbench.catalogue.datasets.drawn import SPLITS, identity, normals, rows_of, uniforms
from d2lbench.catalogue.datasets.splits import (
    Fold,
    Folds,
    Pool,
    Splits,
    TrainSize,
    refuse_crowds,
    refuse_misfits,
    split,
)
from d2lbench.core.errors import GridError
from d2lbench.core.kinds import DatasetTraits
from d2lbench.core.registry import register

if TYPE_CHECKING:
    from d2lbench.catalogue.datasets.drawn import Reals
    from d2lbench.core.spec import Config

TOPICS: Final = 8
#: How far topics differ: the standard deviation of a word's log frequency about Zipf's law. At 0.7 the best possible
#: classifier of 20 words out of 1,000 is right nine times in ten.
TILT: Final = 0.7


@register(
    DatasetTraits,
    "xor",
    checksum=identity("xor"),
    check=lambda config: refuse_misfits(config, config.dataset.get("train_size")),
    shape=(2,),
    classes=2,
    sizes={"train": 200, "validation": 200, "test": 1000},
)
def xor(
    seed: int,
    /,
    *,
    noise: Annotated[float, Ge(0)] = 0.25,
    train_size: TrainSize = 200,
    folds: Folds = 0,
    fold: Fold = 0,
) -> Splits:
    """Four noisy clusters about (±1, ±1), of which opposite ones form a class: exclusive or (Minsky and Papert 1969).

    ``noise`` is the standard deviation of both coordinates. The clusters take turns, so a multiple of four examples
    is balanced: without noise the best line then has a cross entropy of exactly ln 2, a coin's, and with noise it
    can lie below that by chance alone. 200 more validate, 1,000 test.
    """
    import numpy as np

    sizes = {"train": train_size, "validation": 200, "test": 1000}
    corners = np.array([(-1.0, -1.0), (-1.0, 1.0), (1.0, 1.0), (1.0, -1.0)])
    turn = np.concatenate([np.arange(sizes[name]) % 4 for name in SPLITS])
    offsets = np.concatenate([normals(sizes[name], 2, seed, "xor", name) for name in SPLITS])
    x = (corners[turn] + noise * offsets).astype(np.float32)
    pool = Pool(x, (turn % 2).astype(np.int64), 1.0, 2)
    return split(pool, rows_of(sizes), seed, folds=folds, fold=fold)


def _fits_topics(config: Config) -> None:
    get, room = config.dataset.get, config.model.get("vocabulary")
    if room is None:
        problem = "topics holds numbers of words, not quantities, and the model does not look words up"
        raise GridError(problem, key="model", given=config.model.name, allowed="a model like embedding-bag")
    if get("vocabulary") > room:
        problem = "the model knows fewer words"
        allowed = f"2 to model.vocabulary = {room}"
        raise GridError(problem, key="dataset.vocabulary", given=get("vocabulary"), allowed=allowed)
    refuse_crowds(config, get("length"), get("train_size") + 1500)
    refuse_misfits(config, get("train_size"))


def _frequencies(vocabulary: int, seed: int) -> Reals:
    """Return the cumulative distribution of each topic over the words, (topics, vocabulary)."""
    import numpy as np

    tilts = normals(vocabulary, TOPICS, seed, "topics", "words").T
    sums = np.cumsum(np.exp(TILT * tilts) / np.arange(1, vocabulary + 1), axis=1)
    return np.asarray(sums / sums[:, -1:])


@register(
    DatasetTraits,
    "topics",
    checksum=identity("topics"),
    check=_fits_topics,
    shape=lambda options: (options["length"],),
    classes=TOPICS,
    vocabulary=lambda options: options["vocabulary"],
    sizes={"train": 1000, "validation": 500, "test": 1000},
)
def topics(
    seed: int,
    /,
    *,
    vocabulary: Annotated[int, Ge(2), Le(100_000)] = 1000,
    length: Annotated[int, Ge(1), Le(10_000)] = 20,
    train_size: TrainSize = 1000,
    folds: Folds = 0,
    fold: Fold = 0,
) -> Splits:
    """Bags of 20 words on one of eight topics, for models that look words up (after Joulin et al. 2017).

    An input holds the numbers of ``length`` words, drawn from its topic's distribution: Zipf's law, that the k-th
    word is 1/k as frequent as the first, with every frequency tilted at random for every topic and seed. Topics take
    turns, so that to always name one is right one time in eight. 500 more validate, 1,000 test.
    """
    import numpy as np

    sizes = {"train": train_size, "validation": 500, "test": 1000}
    y = np.concatenate([np.arange(sizes[name]) % TOPICS for name in SPLITS])
    u = np.concatenate([uniforms(sizes[name], length, seed, "topics", name) for name in SPLITS])
    x = np.empty(u.shape, dtype=np.int32)
    for topic, sums in enumerate(_frequencies(vocabulary, seed)):
        of_topic = y == topic
        x[of_topic] = np.searchsorted(sums, u[of_topic], side="right")
    pool = Pool(x, y, 1.0, TOPICS)
    return split(pool, rows_of(sizes), seed, folds=folds, fold=fold)
