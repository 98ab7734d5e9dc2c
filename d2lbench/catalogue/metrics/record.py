"""What a metric reads: one finished run's series, and what stands for the values of a diverged one."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector: TypeAlias = NDArray[np.float64]
    Curve: TypeAlias = tuple[Vector, Vector]

At = Literal["start", "each", "best", "last"]


@dataclass(frozen=True)
class Record:
    """What is known of one finished run: series by name (epochs x, values y), and how to read a diverged one."""

    series: Mapping[str, Curve] = field(default_factory=dict)
    diverged: bool = False
    epochs: int = 0
    chance: float = math.nan
    constant_loss: float = math.nan
    last_finite_loss: float = math.nan

    def curve(self, name: str) -> Curve:
        """Return epochs and values of a series; two empty arrays where the run has none."""
        import numpy as np

        empty = np.empty(0)
        return self.series.get(name, (empty, empty))

    def curves(self, *names: str) -> tuple[Vector, ...]:
        """Return the epochs at which all of some series have a value, and the values of each there.

        The training split may be evaluated less often than the others.
        """
        import numpy as np

        known = [self.curve(name) for name in names]
        x = functools.reduce(np.intersect1d, (epochs for epochs, _ in known))
        return (x, *(values[np.isin(epochs, x)] for epochs, values in known))

    def loss_when_diverged(self) -> float:
        """The larger of the constant predictor's loss and the run's own last finite one."""
        known = [value for value in (self.constant_loss, self.last_finite_loss) if not math.isnan(value)]
        return max(known, default=math.nan)


def value_at(curve: Curve, at: str, better: str | None) -> Any:
    """Return a curve's value at its start (epoch 0), best or last point, or with ``each`` all of them."""
    x, y = curve
    if len(y) == 0:
        return math.nan
    if at == "start":
        return float(y[0]) if x[0] == 0 else math.nan
    if at == "each":
        return y
    if at == "best":
        return float(y.max() if better == "higher" else y.min())
    return float(y[-1])
