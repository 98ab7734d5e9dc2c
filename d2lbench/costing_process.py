"""The process in which costs are measured: nothing runs beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from d2lbench.errors import DataError, TimingError
from d2lbench.measuring_process import MeasuringProcess

if TYPE_CHECKING:
    from d2lbench.spec import Cell


class CostProcess(MeasuringProcess):
    """A process that measures cells one after the other."""

    def machine(self) -> dict[str, Any]:
        """Return the facts of the machine, as the process finds them.

        Raises
        ------
        TimingError
            The process died or hung.
        """
        facts: dict[str, Any] = self.ask(_machine, self.device)
        return facts

    def cost(self, cell: Cell, seconds: float) -> dict[str, Any]:
        """Return a cell's cost as a record, measured for about so many seconds.

        Raises
        ------
        TimingError
            Its data are damaged, training it fails, or the process died or hung over it.
        """
        record: dict[str, Any] = self.ask(_cost, cell, self.device, seconds)
        return record


def _machine(device: str) -> dict[str, Any]:
    from d2lbench.timing.machine import fingerprint
    from d2lbench.timing.memory import peak_memory

    peak_memory(lambda: None, device)  # what records it loads at its first use, for a second: no program's share
    return fingerprint(device)


def _cost(cell: Cell, device: str, seconds: float) -> dict[str, Any]:
    from d2lbench.timing.costs import measure_cost

    try:
        return measure_cost(cell, device, seconds).as_record()
    except DataError as error:
        raise TimingError(str(error)) from None
