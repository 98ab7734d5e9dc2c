"""What a case could reach on this machine: ceilings that are measured, and which of them binds a measured time.

Williams, Waterman and Patterson, Roofline: an insightful visual performance model (2009), with the cost of launching
kernels as a third ceiling. Ceilings are the rate of matrix products, of copies at several sizes, and the time of the
smallest kernel.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch

from d2lbench.core.generators import generator
from d2lbench.timing.windows import Rule, collect, undisturbed

if TYPE_CHECKING:
    from d2lbench.timing.clock import Call, Clock

Bound = Literal["compute", "memory", "launch"]

#: Sides of square products: a library reaches its best at one of them.
SIDES = {"cpu": (256, 512, 1024), "cuda": (2048, 4096, 8192)}
SMALL_COPY = 2**18
#: Larger copies, in quarters of the last cache.
QUARTERS = (1, 4, 8, 16)
_RULE = Rule(0.02, least=15)


@dataclass(frozen=True)
class Ceilings:
    """The best this machine does in a dtype with so many threads.

    ``flops`` is the rate of the best matrix product in FLOP/s, ``copies`` the rates of copies in bytes/s by the bytes
    that they move, ascending (caches are faster than memory), and ``launch`` the seconds of the smallest kernel.
    """

    flops: float
    copies: tuple[tuple[float, float], ...]
    launch: float

    def bandwidth(self, moved: float, *, cold: bool) -> float:
        """Return the bytes/s of the smallest copy that moves as much; of the largest where nothing is in a cache."""
        fitting = [rate for size, rate in self.copies if size >= moved]
        return fitting[0] if fitting and not cold else self.copies[-1][1]


@dataclass(frozen=True)
class Work:
    """What one call does: floating-point operations, bytes moved at least, kernels launched."""

    flops: float
    bytes: float
    launches: int


@dataclass(frozen=True)
class Place:
    """Where a measured time stands: rates per second, the ceiling that binds, and its share, 1 for all of it."""

    flops_per_second: float
    bytes_per_second: float
    bound: Bound
    share: float


def place(work: Work, seconds: float, ceilings: Ceilings, *, cold: bool = False) -> Place:
    """Return the place of a call that took so many seconds.

    Each ceiling alone says how long the work would take; the largest of these times binds, and its share of the
    measured time is how near the call comes to it.
    """
    least: dict[Bound, float] = {
        "compute": work.flops / ceilings.flops,
        "memory": work.bytes / ceilings.bandwidth(work.bytes, cold=cold),
        "launch": work.launches * ceilings.launch,
    }
    bound = max(least, key=lambda name: least[name])
    return Place(work.flops / seconds, work.bytes / seconds, bound, least[bound] / seconds)


def measure_ceilings(device: str, dtype: torch.dtype, clock: Clock, *, cache: int, seconds: float) -> Ceilings:
    """Measure for ``seconds`` at most and return the ceilings; ``cache`` is the last level's size in bytes.

    Copies are of a quarter of a megabyte and of a quarter, all, twice and four times of the cache, from which what is
    a little larger still profits. Half is read and half written; their rate is the better one of a copy and of a sum
    in place: a processor that copies first reads what it is to overwrite, which moves half as much again and counts
    for nothing, while a sum in place reads and writes no more than it must.
    """
    sizes = sorted({SMALL_COPY, *(max(quarters * cache // 4, SMALL_COPY) for quarters in QUARTERS)})
    share = seconds / (2 * len(SIDES[device]) + 2 * len(sizes) + 1)

    def median_of(call: Call) -> float:
        return collect(call, clock, _RULE, time.monotonic() + share).summary.median

    with torch.no_grad(), undisturbed():
        flops = max(2 * side**3 / median_of(product) for side, product in _products(device, dtype))
        copies = tuple(
            (float(size), max(moved / median_of(call) for moved, call in _copies(device, size))) for size in sizes
        )
        one = torch.ones(1, device=device)
        return Ceilings(flops, copies, median_of(one.neg_))


def _products(device: str, dtype: torch.dtype) -> Iterator[tuple[int, Call]]:
    """Yield products of square matrices, on a CPU by both libraries that torch has for them.

    torch multiplies float32 matrices with its BLAS and convolves with oneDNN; on processors that the BLAS was not made
    for, oneDNN's product is twice as fast, and convolutions would stand far above a ceiling by the BLAS alone.
    """
    for side in SIDES[device]:
        draw = generator(0, "ceiling", side)
        a, b = (torch.randn(side, side, generator=draw).to(device, dtype) for _ in range(2))
        yield side, functools.partial(torch.mm, a, b)
        if device == "cpu" and dtype == torch.float32 and torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
            yield side, functools.partial(torch.nn.functional.linear, a.to_mkldnn(), b)


def _copies(device: str, size: int) -> Iterator[tuple[float, Call]]:
    """Yield a copy and a sum in place over two blocks of ``size`` bytes together, each with the bytes that it moves."""
    block = torch.randn(2**13, generator=generator(0, "ceiling")).to(device)  # one draw, repeated: draws take longer
    source = block.repeat(size // 2**16)  # 2**13 numbers of 4 bytes, read and written
    target = torch.empty_like(source)
    yield float(size), lambda: target.copy_(source)
    yield 1.5 * size, lambda: target.add_(source)  # 2**24 sums of normal numbers stay finite
