"""What a phase of a case does: FLOPs, bytes moved at least, kernels launched. An unknown count is an error, never 0."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from d2lbench.core.errors import TimingError
from d2lbench.timing.phases import leaves, prepare
from d2lbench.timing.roofline import Work

if TYPE_CHECKING:
    from d2lbench.timing.built import Built, Phase

#: Operations that only set memory aside, read a number back or leave a mark launch no kernel of their own.
_NO_KERNELS = ("aten::empty", "aten::new_empty", "aten::_local_scalar_dense", "profiler::")


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
