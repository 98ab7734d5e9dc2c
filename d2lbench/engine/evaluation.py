"""Evaluation: losses and hits of whole splits, looked at where their examples lie; how far a linear fit is off."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
import torch

from d2lbench.catalogue.layers import Linear, Model, learned
from d2lbench.engine.batches import SPLITS, Feed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from d2lbench.catalogue.losses import Loss
    from d2lbench.engine.parameters import Parameters

    #: Maps inputs to raw outputs, (M, B, …) → (M, B, K), in evaluation mode.
    Outputs: TypeAlias = Callable[[Parameters, torch.Tensor], torch.Tensor]

#: Numbers of one activation that an evaluation holds at once, four megabytes of single precision: half of them take a
#: tenth longer, for more calls, and twice as many do, as they leave the cache.
_CHUNK: Final = 2**20
#: The losses whose best linear fit has a closed form, with their factor before the mean squared error.
SQUARED = {"mse": 1.0, "half-mse": 0.5}


class Evaluation:
    """Losses and hits of every example of every split, in evaluation mode and without penalty."""

    def __init__(self, outputs: Outputs, feed: Feed, loss: Loss, widest: int) -> None:
        self._outputs, self._feed, self._loss, self._widest = outputs, feed, loss, widest
        self._per_example = loss.evaluated or loss.per_example
        self._looks: dict[tuple[str, ...], _Look] = {}
        self.hits: dict[str, torch.Tensor] = {}

    @torch.no_grad()
    def __call__(self, parameters: Parameters, splits: Sequence[str] = SPLITS) -> dict[str, torch.Tensor]:
        """Return ``train_loss``, ``train_accuracy`` and so on; keeps each split's hits (M, n) for :meth:`packed`.

        Vectors (M,) in float64. Where numbers are predicted there are no accuracies and no hits.
        """
        look = self._looks.get(tuple(splits)) or self._looks.setdefault(tuple(splits), _Look(self._feed, splits))
        numbers = max(len(parameters.block) * self._widest, look.copied)  # of an example, at once
        if len(parameters.block) > 1:
            parameters = parameters.turned()
        losses, hits = [], []
        for x, y in look.chunks(max(16, _CHUNK // numbers)):
            o = self._outputs(parameters, x)  # (M, B, K)
            losses.append(self._per_example(o, y))
            if self._feed.classes:
                hits.append(self._loss.hits(o, y))
        self.hits = look.by_split(hits) if hits else {}
        means = {f"{name}_loss": each.double().mean(1) for name, each in look.by_split(losses).items()}
        return means | {f"{name}_accuracy": each.double().mean(1) for name, each in self.hits.items()}

    def packed(self, split: str) -> list[tuple[bytes, int]]:
        """Return for every row the last call's hits of a split as packed bits, and their number."""
        hits = self.hits[split].cpu().numpy()
        return [(np.packbits(row).tobytes(), len(row)) for row in hits]


class _Look:
    """The examples of some splits, and where each split's are among them.

    Where they fill one range of the pool, as all splits together mostly do, they are looked at in the pool's order:
    nothing is gathered, and streams that share the pool share the inputs.
    """

    def __init__(self, feed: Feed, splits: Sequence[str]) -> None:
        self._feed = feed
        self._sizes = {name: feed.rows[name].shape[1] for name in splits if feed.rows[name].shape[1]}
        self._rows = torch.cat([feed.rows[name] for name in splits], dim=1)  # (S, n)
        self._count = self._rows.shape[1]
        first = self._rows.amin(1)  # (S,)
        places = self._rows - first[:, None]
        in_order = torch.arange(self._count, device=places.device).expand_as(places)
        apart = set(first.diff().tolist()) or {0}
        #: Whether every stream's rows fill one range, each once, and the streams' ranges lie evenly.
        self._fill = len(apart) <= 1 and torch.equal(places.sort(1).values, in_order)
        self._first, self._apart = int(first[0]), min(apart)
        if bool((places == places[:1]).all()):  # splits that no seed moves
            places, in_order = places[:1], in_order[:1]
        self._places = None if torch.equal(places, in_order) else feed.streams.spread(places)  # (M, n)
        #: How many numbers of inputs are copied for an example of each stream.
        self.copied = feed.copied(1 if self._fill and not self._apart else len(first), gathered=not self._fill)

    def chunks(self, size: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Iterate over inputs (M, B, *shape) and labels (M, B) of so many examples at most."""
        if not self._fill:
            yield from map(self._feed.gather, torch.split(self._rows, size, dim=1))
            return
        for begin in range(0, self._count, size):
            yield self._feed.ranges(self._first + begin, self._apart, min(size, self._count - begin))

    def by_split(self, chunks: Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
        """Part what was found, (M, B) by chunk, by the splits that have examples: (M, n) in each split's own order."""
        found = torch.cat(list(chunks), 1)
        if self._fill and self._places is not None:
            found = found.gather(1, self._places)
        return dict(zip(self._sizes, torch.split(found, list(self._sizes.values()), dim=1), strict=True))


class Fit:
    """Probes of a linear regression; says nothing where the model, the targets or the loss are of another kind."""

    def __init__(self, model: Model, feed: Feed, loss: str) -> None:
        layers = learned(model)
        self._single = len(layers) == 1 and isinstance(layers[0], Linear) and not feed.classes
        self._path = layers[0].path
        self._truth = feed.truth if self._single else None
        self._spread = feed.streams.spread
        self._optimum: torch.Tensor | None = None
        if self._single and loss in SQUARED:
            self._optimum = SQUARED[loss] * self._spread(least_squares_error(feed))  # (M,)

    @torch.no_grad()
    def __call__(self, parameters: Parameters, evaluated: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Return ``coefficient_error``, the largest over coefficients, and ``optimality_gap`` in the loss's unit."""
        vectors = {}
        if self._truth is not None:
            w = parameters.leaves[f"{self._path}.weight"].squeeze(2).double()  # (M, features)
            b = parameters.leaves[f"{self._path}.bias"].double()  # (M, 1)
            error = (torch.cat([w, b], 1) - self._spread(self._truth)).abs()
            vectors["coefficient_error"] = error.amax(1)
        if self._optimum is not None and "train_loss" in evaluated:
            vectors["optimality_gap"] = evaluated["train_loss"] - self._optimum
        return vectors


def least_squares_error(feed: Feed) -> torch.Tensor:
    """Return every stream's smallest mean squared error of a linear fit to its training split, (S,) in float64.

    Solved on the CPU: a GPU's only driver wants features of full rank, which more features than examples never have.
    """
    rows = feed.rows["train"]
    x, y = feed.examples(rows)  # (S, n, *shape), (S, n)
    x, y = x.flatten(2).double().cpu(), y.double().unsqueeze(2).cpu()
    x = torch.cat([x, torch.ones_like(y)], 2)
    w = torch.linalg.lstsq(x, y, driver="gelsd").solution
    error: torch.Tensor = (x @ w - y).square().mean((1, 2))
    return error.to(rows.device)
