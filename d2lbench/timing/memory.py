"""Peak memory of a call, in bytes above what was allocated before: of a prediction, of a training step.

On CUDA the caching allocator keeps count. On a CPU nobody does, so the allocator's own events are recorded, every one
with its bytes, and added up in the order of time: the sum's largest value is exact, a sampled one would miss peaks.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import torch

from d2lbench.timing.windows import undisturbed

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
