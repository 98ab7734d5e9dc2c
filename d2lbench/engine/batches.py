"""The data of a stack: one pool on the device, and for every stream of random numbers its rows of it.

A stream is a (seed, replica): its cells see the same batches, so a batch is gathered once and shared among them.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final

import torch

from d2lbench.catalogue import load
from d2lbench.catalogue.layers import Dropout, Model, dropouts
from d2lbench.catalogue.models import shape_of
from d2lbench.core.generators import generator
from d2lbench.core.seeding import key_integer
from d2lbench.core.spec import configs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from d2lbench.catalogue.datasets import Splits
    from d2lbench.core.spec import Cell

#: So many numbers (2 MB in single precision) of a pool are converted once, and of an epoch's batches gathered at once.
FEW: Final = 2**19
SPLITS = ("train", "validation", "test")
HELD_OUT = SPLITS[1:]


class Streams:
    """The distinct (seed, replica) of a stack's cells and which of them each row follows."""

    def __init__(self, cells: Sequence[Cell], device: str) -> None:
        keys = [(cell.seed, cell.config.replica) for cell in cells]
        self.keys = tuple(dict.fromkeys(keys))
        self._row, self.width = None, len(keys)
        if len(self.keys) < len(keys):
            self._row = torch.tensor([self.keys.index(key) for key in keys], device=device)
        #: How many neighbouring rows follow each stream; 0 where not as many follow each.
        self.each = len(keys) // len(self.keys)
        if keys != [key for key in self.keys for _ in range(self.each)]:
            self.each = 0

    def spread(self, shared: torch.Tensor) -> torch.Tensor:
        """Hand every row its stream's part, or what all streams share: (S, …) or (1, …) → (M, …), to be read only.

        Rows of one stream may share its memory.
        """
        if len(shared) == 1:
            return shared.expand(self.width, *shared.shape[1:])
        return shared if self._row is None else shared.index_select(0, self._row)


class Feed:
    """Batches and splits of the data, as inputs (M, B, *shape), or (S, B, *shape) where shared, and labels (M, B)."""

    def __init__(self, cells: Sequence[Cell], dtype: torch.dtype, device: str, *, takes_shared: bool = False) -> None:
        config = configs(cells)[0]
        self.streams = Streams(cells, device)
        #: Whether inputs come once a stream, (S, B, *shape): as many neighbouring rows share each, and the model knows.
        self.shares = takes_shared and self.streams.each > 1
        self.batch_size = config.batch_size
        factory = load().get("dataset", config.dataset.name).factory
        seeds = {seed for seed, _ in self.streams.keys}
        splits: dict[int, Splits] = {seed: factory(seed, **dict(config.dataset.options)) for seed in sorted(seeds)}
        pools = list({id(each.pool): each.pool for each in splits.values()}.values())
        self.classes, self.scale, self.dtype, self.device = pools[0].classes, pools[0].scale, dtype, device
        self.shape = shape_of(config.dataset)
        self._x = torch.cat([torch.from_numpy(pool.x) for pool in pools]).to(device)  # (N, features)
        #: Whether the pool holds inputs as the model reads them: where there is nothing to convert, or little.
        self._ready = self._x.dtype == dtype or self._x.numel() <= FEW
        if self._ready:
            self._x = self._x.to(dtype) if self.scale == 1 else self._x.to(dtype) * self.scale
        self._y = torch.cat([torch.from_numpy(pool.y) for pool in pools]).to(device)  # (N,)
        if not self.classes:
            self._y = self._y.to(dtype)
        #: Every stream's true coefficients, (S, features + 1) with the bias last, where the data were made from some.
        self.truth: torch.Tensor | None = None
        if pools[0].truth is not None:
            truths = [torch.as_tensor(splits[seed].pool.truth, dtype=torch.float64) for seed, _ in self.streams.keys]
            self.truth = torch.stack(truths).to(device)
        begins = itertools.accumulate((len(pool.y) for pool in pools), initial=0)
        begin = {id(pool): row for pool, row in zip(pools, begins, strict=False)}  # data drawn by the seed lie apart
        own = [(splits[seed], begin[id(splits[seed].pool)]) for seed, _ in self.streams.keys]
        #: Split → every stream's rows of the pool, (S, n), on the device.
        self.rows = {
            name: torch.stack([torch.from_numpy(getattr(split, name)) + row for split, row in own]).to(device)
            for name in SPLITS
        }

    @property
    def train_size(self) -> int:
        """How many training examples a cell has."""
        return self.rows["train"].shape[1]

    def batch_sizes(self) -> list[int]:
        """Return the sizes of an epoch's batches: the last one may be smaller."""
        full, rest = divmod(self.train_size, self.batch_size)
        return [self.batch_size] * full + [rest] * (rest > 0)

    def batches(self, epoch: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Iterate over an epoch's batches, every stream in its own order."""
        numbers = torch.Generator()  # one for all: making it takes as long as the order of twenty examples
        orders = [
            torch.randperm(self.train_size, generator=numbers.manual_seed(key_integer(seed, replica, "order", epoch)))
            for seed, replica in self.streams.keys
        ]
        shuffled = self.rows["train"].gather(1, torch.stack(orders).to(self.device))  # (S, n)
        copies = len(self.streams.keys) if self.shares else self.streams.width
        if copies * self.train_size * self._x.shape[1] <= FEW:  # gathered at once: batches are views
            x, y = self.gather(shuffled)
            yield from zip(torch.split(x, self.batch_size, 1), torch.split(y, self.batch_size, 1), strict=True)
            return
        for rows in torch.split(shuffled, self.batch_size, dim=1):
            yield self.gather(rows)

    def examples(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return inputs (S, B, *shape) and labels or targets (S, B) of rows (S, B) of the pool."""
        x, y = self._x.index_select(0, rows.flatten()), self._y.index_select(0, rows.flatten())
        return self._inputs(x.view(*rows.shape, -1)), y.view(rows.shape)

    def ranges(self, first: int, apart: int, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return inputs (M, B, *shape) and labels (M, B) of ranges of the pool, to be read only.

        Every stream's range has so many rows, and begins so far apart from that of the stream before; where they are
        not apart, it is one that every row sees.
        """
        streams, features = len(self.streams.keys) if apart else 1, self._x.shape[1]
        x = self._x.as_strided((streams, count, features), (apart * features, features, 1), first * features)
        y = self._y.as_strided((streams, count), (apart, 1), first)
        return self._spread(self._inputs(x), y)

    def _inputs(self, stored: torch.Tensor) -> torch.Tensor:
        """Turn what the pool holds, (S, B, features), into inputs (S, B, *shape)."""
        x = stored if self._ready else stored.to(self.dtype).mul_(self.scale)
        return x.view(*x.shape[:2], *self.shape)

    def gather(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return inputs and labels of rows (S, B) of the pool, spread to (M, B, …)."""
        if self._ready and len(rows) > 1 and not self.shares:
            return self.examples(self.streams.spread(rows))  # one copy, where there is nothing to convert
        return self._spread(*self.examples(rows))

    def copied(self, streams: int, *, gathered: bool) -> int:
        """Return how many numbers of inputs :meth:`ranges` or :meth:`gather` copies for an example of each stream."""
        features = self._x.shape[1]
        if not self.shares and 1 < streams < self.streams.width:
            return self.streams.width * features
        return 0 if self._ready and not gathered else streams * features

    def _spread(self, x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return x if self.shares else self.streams.spread(x), self.streams.spread(y)

    def labels(self, split: str) -> torch.Tensor:
        """Return a split's labels or targets, (S, n)."""
        return self._y[self.rows[split]]


class Uniforms:
    """Dropout's masks: uniforms drawn per stream, layer and epoch, which each row compares with its own rates.

    So a unit that a small rate drops is dropped by every larger rate too.
    """

    def __init__(self, streams: Streams, model: Model, rates: Sequence[Sequence[float]], device: str) -> None:
        self._streams, self._layers, self._device = streams, dropouts(model), device
        p = torch.tensor(rates, dtype=torch.float64).T[:, :, None, None]  # (layers, M, 1, 1)
        # Thresholds are float32 like the uniforms, so that the dtype of the cell moves no mask.
        self._thresholds = p.to(device, torch.float32)
        self._scales = (1 / (1 - p)).to(device)
        self._generators: dict[int, list[torch.Generator]] = {}

    def begin(self, epoch: int, dtype: torch.dtype, *, purpose: str = "dropout") -> None:
        """Start the epoch's draws; those of another purpose than training are others."""
        self._dtype = dtype
        self._generators = {
            layer.index: [
                generator(seed, replica, purpose, layer.index, epoch, device=self._device)
                for seed, replica in self._streams.keys
            ]
            for layer in self._layers
        }

    def __call__(self, layer: Dropout, size: int) -> torch.Tensor:
        """Return the next batch's factors of a layer, (M, B, H)."""
        generators = self._generators[layer.index]
        u = torch.stack([torch.rand(size, layer.width, generator=g, device=self._device) for g in generators])
        kept = self._streams.spread(u) >= self._thresholds[layer.index]
        return kept.to(self._dtype).mul_(self._scales[layer.index].to(self._dtype))
