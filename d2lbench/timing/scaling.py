"""How memory grows with a network: training beside prediction, over depth and over the batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import torch

from d2lbench.registry import REGISTRY
from d2lbench.timing.memory import peak_memory
from d2lbench.timing.phases import prepare

if TYPE_CHECKING:
    from d2lbench.timing.built import Built, Phase

#: The perceptron that grows: inputs and units are equal, so that every layer keeps as much.
INPUTS = WIDTH = 64
DEPTH, BATCH = 4, 256
#: Along each axis the other one stands still.
AXES: Final[dict[str, tuple[int, ...]]] = {"depth": (1, 2, 4, 8, 16, 32), "batch": (32, 64, 128, 256, 512, 1024)}
_PHASES: Final[dict[str, Phase]] = {"prediction": "forward", "training": "whole"}


def memory_scaling(device: str, dtype: str = "float32") -> list[dict[str, Any]]:
    """Return the peak memory of a perceptron's prediction and training as plain rows, one for each point of an axis.

    A row holds ``axis``, ``depth``, ``batch``, ``what`` (``prediction`` or ``training``) and ``bytes``.
    """
    rows = []
    for axis, places in AXES.items():
        for place in places:
            size = {"depth": DEPTH, "batch": BATCH, axis: place}
            for what, phase in _PHASES.items():
                told = {"axis": axis, **size, "what": what, "network": _network(axis), "device": device, "dtype": dtype}
                rows.append({**told, "bytes": _peak(size, phase, device, dtype)})
    return rows


def _network(axis: str) -> str:
    other = f"batch {BATCH}" if axis == "depth" else f"{DEPTH} hidden layers"
    return f"perceptron, {WIDTH} units, {other}"


def _peak(size: dict[str, int], phase: Phase, device: str, dtype: str) -> int:
    factory = REGISTRY.get("kernel", "mlp").factory
    built: Built = factory(device, getattr(torch, dtype), inputs=INPUTS, width=WIDTH, **size)
    prepared = prepare([built], phase)
    with torch.set_grad_enabled(prepared.records):
        return peak_memory(prepared.call, device)
