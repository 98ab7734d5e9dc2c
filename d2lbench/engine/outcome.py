"""What became of one cell: plain arrays and words, so that everything right of the store works without torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Series: TypeAlias = tuple[NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True)
class Outcome:
    """The result of one cell; a diverged one is a result too.

    Attributes
    ----------
    reason
        Why it diverged, in words; empty where it did not.
    diverged_step
        The first step, counted from 1, with a training loss, gradient or parameter that was not finite.
    series
        Name → positions x and values y, float64; x counts epochs, 0 being the state before the first step.
        From the epoch of the divergence on, y is NaN.
    correctness
        Split → packed bits (``numpy.packbits``), one per example, at the cell's last epoch; and their number.
    constant_loss
        Test loss of the predictor that always answers with the training split's class frequencies, in nats.
    chance
        Share of the test split that belongs to the training split's largest class, 0…1.
    weights
        The final parameters as a safetensors file under ``torch.nn``'s names, where the stack keeps them; else empty.
    last_finite_loss
        The last finite mini-batch loss without penalty, in nats; NaN where there was none.
    """

    cell_id: str
    status: Literal["done", "diverged"]
    reason: str = ""
    diverged_step: int | None = None
    series: dict[str, Series] = field(default_factory=dict)
    correctness: dict[str, tuple[bytes, int]] = field(default_factory=dict)
    weights: bytes = b""
    constant_loss: float = float("nan")
    chance: float = float("nan")
    last_finite_loss: float = float("nan")
