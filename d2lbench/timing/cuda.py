"""A CUDA device as its clock sees it: torch's events on the current stream, and a queued sleep."""

from __future__ import annotations

from typing import Any

import torch

#: torch's sleep counts cycles; from 1.5 GHz on this is at least as long as asked, and the clock doubles what is short.
_CYCLES_PER_SECOND = 2e9


class CudaDevice:
    """The current CUDA device; needs one."""

    def synchronize(self) -> None:
        """Wait until everything queued is done."""
        torch.cuda.synchronize()

    def sleep(self, seconds: float) -> None:
        """Queue a pause of the device."""
        torch.cuda._sleep(int(seconds * _CYCLES_PER_SECOND))  # type: ignore[no-untyped-call]  # noqa: SLF001  (no other can be queued)

    def record(self) -> torch.cuda.Event:
        """Queue an event and return it."""
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record()
        return event

    def fired(self, event: Any) -> bool:
        """Say whether the device has reached an event."""
        return bool(event.query())

    def elapsed(self, first: Any, second: Any) -> float:
        """Return the device's seconds between two events that it has reached."""
        return float(first.elapsed_time(second)) * 1e-3
