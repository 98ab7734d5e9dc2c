"""Peak memory of a call, in bytes above what was allocated before: of a prediction, of a training step.

On CUDA the caching allocator keeps count. On a CPU nobody does, so the allocator's own events are recorded, every one
with its bytes, and added up in the order of time: the sum's largest value is exact, a sampled one would miss peaks.
"""

from __future__ import annotations

import itertools
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import torch

from d2lbench.core.registry import REGISTRY
from d2lbench.timing.phases import prepare
from d2lbench.timing.windows import undisturbed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from d2lbench.timing.built import Built, Phase


_ALLOCATION: Final = "[memory]"  # what torch's profiler calls an allocation, or with negative bytes a release
_MEASURED: Final = "d2lbench: measured"


def peak_memory(call: Callable[[], object], device: str) -> int:
    """Return the most bytes that torch holds at once during a call, above what it held before.

    The call is made twice and the second one is measured: what a first call leaves for good (an optimizer's state, a
    compiler's buffers, gradients) is there before. On a CPU, what is allocated by the calling thread is counted; what
    oneDNN sets aside for itself is not torch's and is left out. Gradient mode is the caller's.
    """
    return _on_cuda(call) if device == "cuda" else _on_cpu(call)


def _on_cuda(call: Callable[[], object]) -> int:
    with undisturbed():
        call()
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        call()
        torch.cuda.synchronize()
        return int(torch.cuda.max_memory_allocated() - before)


def _on_cpu(call: Callable[[], object]) -> int:
    """Record both calls: a release is told with its bytes only where the allocation was recorded, too."""
    with undisturbed(), _silent(), torch.autograd.profiler.profile(use_kineto=True, profile_memory=True) as recorded:
        call()
        with torch.profiler.record_function(_MEASURED):
            call()
    assert recorded.kineto_results is not None
    events: list[Any] = sorted(recorded.kineto_results.events(), key=lambda event: event.start_ns())
    (began,) = (event.start_ns() for event in events if event.name() == _MEASURED)
    changes: list[int] = [
        event.nbytes() for event in events if event.name() == _ALLOCATION and event.start_ns() >= began
    ]
    return max(itertools.accumulate(changes, initial=0))


@contextmanager
def _silent() -> Iterator[None]:
    """Keep the profiler's library from telling on standard error that it runs, and that there is no GPU."""
    name = "KINETO_LOG_LEVEL"
    given = os.environ.get(name)
    os.environ[name] = given or "6"
    try:
        yield
    finally:
        if given is None:
            del os.environ[name]


def saved_bytes(built: Built) -> int:
    """Return the bytes that the graph of one forward pass holds until the pass back, counted in its storages.

    Each storage counts once, however often it is saved or viewed. Leaves that take a gradient do not count: they are
    parameters, which a prediction holds, too. An input that takes none counts, since a prediction may drop it behind
    the first layer.
    """
    owned = {
        tensor.untyped_storage().data_ptr() for tensor in (*built.inputs, *built.parameters) if tensor.requires_grad
    }
    held: dict[int, int] = {}
    alive = []  # so that no storage takes the place of one that was counted

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in owned:
            held[storage.data_ptr()] = storage.nbytes()
        alive.append(tensor)
        return tensor

    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        alive.append(built.call(*built.inputs))
    return sum(held.values())


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
