"""The process of one round: fresh, measuring one kernel after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from d2lbench.errors import TimingError
from d2lbench.measuring_process import MeasuringProcess
from d2lbench.timing.observed import Observed

if TYPE_CHECKING:
    from d2lbench.spec import Component


class RoundProcess(MeasuringProcess):
    """A process that measures kernels; where one kills it, a new process measures the rest of the round."""

    def machine(self) -> dict[str, Any]:
        """Return the facts of the machine as the process finds them; nothing where it dies over them."""
        try:
            facts: dict[str, Any] = self.ask(_machine, self.device)
        except TimingError:
            return {}
        return facts

    def measure(self, kernel: Component, wanted: frozenset[str], seconds: float) -> Observed:
        """Return what became of a kernel that is measured for about so many seconds."""
        try:
            observed: Observed = self.ask(_observe, kernel, self.device, wanted, seconds)
        except TimingError as error:
            return Observed("failed", str(error))
        return observed


def _machine(device: str) -> dict[str, Any]:
    from d2lbench.timing.machine import fingerprint

    return fingerprint(device)


def _observe(kernel: Component, device: str, wanted: frozenset[str], seconds: float) -> Observed:
    from d2lbench.timing.observe import observe

    return observe(kernel, device, wanted, seconds)
