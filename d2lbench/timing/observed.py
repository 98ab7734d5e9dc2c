"""What becomes of a kernel in a round; read without importing torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Observed:
    """What became of a kernel in a round: numbers by name, or why there are none.

    Beside ``time``, the median of the windows in seconds, stand the ends of its interval and the count of windows, and
    whether it was known well enough (1) or time ran out (0).
    """

    status: Literal["done", "failed", "skipped"]
    reason: str = ""
    values: dict[str, float] = field(default_factory=dict)
