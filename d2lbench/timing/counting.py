"""What a phase of a case does beside taking time: FLOPs, bytes moved at least, kernels launched, memory held.

An unknown count is an error, never 0. Peak memory is told in bytes above what was allocated before. On CUDA the caching
allocator keeps count. On a CPU nobody does, so the allocator's own events are recorded, every one with its bytes, and
added up in the order of time: the sum's largest value is exact, a sampled one would miss peaks.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from d2lbench.core.errors import TimingError
from d2lbench.core.kinds import KernelTraits
from d2lbench.core.registry import REGISTRY
from d2lbench.timing.phases import Prepared, leaves, prepare
from d2lbench.timing.roofline import Work
from d2lbench.timing.windows import undisturbed

if TYPE_CHECKING:
    from d2lbench.store.timings import Phase
    from d2lbench.timing.kernels import Built

#: Operations that only set memory aside, read a number back or leave a mark launch no kernel of their own.
_NO_KERNELS = ("aten::empty", "aten::new_empty", "aten::_local_scalar_dense", "profiler::")
_ALLOCATION: Final = "[memory]"  # what torch's profiler calls an allocation, or with negative bytes a release
_MEASURED: Final = "d2lbench: measured"


def work(built: Built, phase: Phase) -> Work:
    """Return what one call of a phase does, as the case says, or as torch counts where the case is silent.

    Raises
    ------
    TimingError
        The case does not say how many FLOPs it takes, and torch knows none of its operations.
    """
    call, recording = prepare([built], phase), torch.set_grad_enabled
    flops = _said(built.flops, phase)
    if flops is None:
        counter = FlopCounterMode(display=False)
        with recording(call.records), counter:
            call.call()
        flops = float(counter.get_total_flops())
        if flops == 0:
            problem = f"FLOPs of its {phase} phase are unknown: torch counts none, and the case does not say"
            raise TimingError(problem)
    launches = _Launches()
    with recording(call.records):
        call.call()  # what is made once, an optimizer's state, is not made in every call
        with launches:
            call.call()
    moved = _said(built.bytes, phase)
    return Work(flops, least_bytes(built, phase) if moved is None else moved, max(launches.count, 1))


def _said(counts: Mapping[str, float], phase: Phase) -> float | None:
    """Return a phase's count, which for the composed ones follows from the others'."""
    if phase in counts:
        return float(counts[phase])
    if phase == "forward-train" and "forward" in counts:
        return float(counts["forward"])
    if phase == "whole" and "backward" in counts:
        forward = _said(counts, "forward-train")
        return None if forward is None else forward + float(counts["backward"])
    return None


def least_bytes(built: Built, phase: Phase) -> float:
    """Return the bytes of everything that goes in and comes out of a phase, once each: no route moves less.

    Backward reads inputs, parameters and the output's gradient and writes a gradient for each leaf.
    """
    read = _size(*built.inputs, *built.parameters)
    if phase == "step":
        return 2.0 * _size(*built.parameters)
    with torch.no_grad():
        output = _size(built.call(*built.inputs))
    forward, backward = read + output, read + output + _size(*leaves(built))
    return float({"backward": backward, "whole": forward + backward}.get(phase, forward))


def footprint(built: Built) -> int:
    """Return the bytes of a case's own tensors."""
    return _size(*built.inputs, *built.parameters)


def _size(*tensors: torch.Tensor) -> int:
    distinct = {tensor.data_ptr(): tensor for tensor in tensors}
    return sum(tensor.numel() * tensor.element_size() for tensor in distinct.values())


class _Launches(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the operations that reach a kernel: views and allocations do not."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = 0

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Count ``func`` and call it."""
        del types
        name = func._schema.name  # type: ignore[attr-defined]  # noqa: SLF001  (torch offers no other name)
        self.count += not (getattr(func, "is_view", False) or name.startswith(_NO_KERNELS))
        return func(*args, **(kwargs or {}))


def peak_memory(call: Callable[[], object], device: str) -> int:
    """Return the most bytes that torch holds at once during a call, above what it held before.

    The call is made twice and the second one is measured: what a first call leaves for good (an optimizer's state, a
    compiler's buffers, gradients) is there before. On a CPU, what is allocated by the calling thread is counted; what
    oneDNN sets aside for itself is not torch's and is left out. Gradient mode is the caller's.
    """
    return _on_cuda(call) if device == "cuda" else _on_cpu(call)


def phase_memory(prepared: Prepared, device: str) -> int:
    """Return the peak memory of a phase, in its own gradient mode."""
    with torch.set_grad_enabled(prepared.records):
        return peak_memory(prepared.call, device)


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
    factory = REGISTRY.get(KernelTraits, "mlp").factory
    rows = []
    for axis, places in AXES.items():
        other = f"batch {BATCH}" if axis == "depth" else f"{DEPTH} hidden layers"
        about = {"network": f"perceptron, {WIDTH} units, {other}", "device": device, "dtype": dtype}
        for place in places:
            size = {"depth": DEPTH, "batch": BATCH, axis: place}
            for what, phase in _PHASES.items():
                built: Built = factory(device, getattr(torch, dtype), inputs=INPUTS, width=WIDTH, **size)
                held = phase_memory(prepare([built], phase), device)
                rows.append({"axis": axis, **size, "what": what, **about, "bytes": held})
    return rows
