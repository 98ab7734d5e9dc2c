"""A run: what became of a cell. One type from the process that trains it to the store and the tables read from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Series: TypeAlias = tuple[NDArray[np.float64], NDArray[np.float64]]

Status = Literal["done", "diverged", "failed", "skipped"]

#: The states of a cell that has its result; `failed` and `skipped` ones are tried again.
FINISHED: Final = ("done", "diverged")


@dataclass(frozen=True)
class Run:
    """What became of a cell in an environment; a diverged cell is a result, too.

    Attributes
    ----------
    cell, seed, identity
        The cell's identity (64 hexadecimal digits), its seed, and its configuration as canonical JSON.
    reason
        Why it diverged, failed or was skipped, in words; empty where it is done.
    diverged_step
        The first step, counted from 1, with a training loss, gradient or parameter that was not finite.
    chance
        Share of the test split that belongs to the training split's largest class, 0…1.
    constant_loss
        Test loss of the best constant output for the training split, in nats for cross-entropy.
    last_finite_loss
        The last finite mini-batch loss without penalty.
    extras
        The optional series that were asked for when it was trained.
    series
        Name → positions x and values y, float64 of one length; x counts epochs, 0 is the state before the first step.
        From the epoch of the divergence on, y is NaN.
    correctness
        Split → packed bits (``numpy.packbits``), one per example, at the cell's last epoch; and their number.
    weights
        The final parameters as a safetensors file under ``torch.nn``'s names, where they are kept, else empty. They are
        written with a run, but read by :meth:`Store.weights` only.
    sequence, stored_at
        The store's own number and moment of writing.

    Numbers that do not exist are NaN or None; the store gives None for both.
    """

    cell: str
    seed: int
    identity: str
    status: Status
    reason: str = ""
    diverged_step: int | None = None
    chance: float | None = None
    constant_loss: float | None = None
    last_finite_loss: float | None = None
    extras: frozenset[str] = frozenset()
    series: dict[str, Series] = field(default_factory=dict)
    correctness: dict[str, tuple[bytes, int]] = field(default_factory=dict)
    weights: bytes = b""
    sequence: int = 0
    stored_at: str = ""
