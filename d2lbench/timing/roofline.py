"""What a case could reach on this machine, from ceilings that were measured, and which of them binds it.

Williams, Waterman and Patterson, Roofline: an insightful visual performance model (2009), with the cost of launching
kernels as a third ceiling.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Bound = Literal["compute", "memory", "launch"]


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
