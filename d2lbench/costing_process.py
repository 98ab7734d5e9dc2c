"""The process in which costs are measured: one thread, nothing beside it, and apart, so that it may die alone."""

from __future__ import annotations

import os
import tempfile
from concurrent.futures import TimeoutError as NotYetError
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TYPE_CHECKING, Any

from d2lbench.errors import DataError, TimingError
from d2lbench.interrupts import deaf
from d2lbench.workers import THREADS, prepare

if TYPE_CHECKING:
    from concurrent.futures import Future
    from types import TracebackType
    from typing import Self

    from d2lbench.spec import Cell

#: How long a measurement that was asked to take less may take before its process is ended, in seconds.
PATIENCE = 120.0


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
    except Exception as error:  # noqa: BLE001  (whatever training it raises is why it has no cost)
        problem = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise TimingError(problem) from None


class CostProcess:
    """A worker process that measures cells one after the other; a new one takes the place of one that died."""

    def __init__(self, device: str = "cpu", plugins: tuple[Path, ...] = ()) -> None:
        self._device, self._plugins = device, plugins
        self._executor: Any = None

    def __enter__(self) -> Self:
        """Begin."""
        self._folder = tempfile.TemporaryDirectory(prefix="d2lbench-", ignore_cleanup_errors=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the process at once."""
        self._end()
        self._folder.cleanup()

    def machine(self) -> dict[str, Any]:
        """Return the facts of the machine, as the process finds them.

        Raises
        ------
        TimingError
            The process died or hung.
        """
        return self._done(_machine, self._device)

    def cost(self, cell: Cell, seconds: float) -> dict[str, Any]:
        """Return a cell's cost as a record, measured for about so many seconds.

        Raises
        ------
        TimingError
            Its data are damaged, training it fails, or the process died or hung over it.
        """
        return self._done(_cost, cell, self._device, seconds)

    def _done(self, function: Any, *arguments: Any) -> dict[str, Any]:
        if self._executor is None:
            self._start()
        try:
            with deaf():
                future: Future[dict[str, Any]] = self._executor.submit(function, *arguments)
            return future.result(timeout=PATIENCE)
        except BrokenProcessPool as error:
            self._end()
            problem = "its process died"
            raise TimingError(problem) from error
        except NotYetError as error:
            self._end()
            problem = f"it took longer than {PATIENCE:.0f} s"
            raise TimingError(problem) from error

    def _start(self) -> None:
        from joblib.externals.loky import ProcessPoolExecutor

        about = (os.getpid(), Path(self._folder.name), tuple(path.resolve() for path in map(Path, self._plugins)))
        self._executor = ProcessPoolExecutor(max_workers=1, initializer=prepare, initargs=about, env=THREADS)

    def _end(self) -> None:
        if self._executor is not None:
            self._executor.shutdown(wait=True, kill_workers=True)
            self._executor = None
