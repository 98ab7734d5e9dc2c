"""A process in which things are measured one after the other: of one thread, and replaced when it dies."""

from __future__ import annotations

import multiprocessing
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from d2lbench.core.errors import DataError, TimingError
from d2lbench.core.interrupts import deaf
from d2lbench.engine.process import THREADS, prepare
from d2lbench.timing.result import Observed

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection
    from types import TracebackType
    from typing import Self

    from d2lbench.core.spec import Cell, Component

#: How long a measurement that was asked to take less may take before its process is ended, in seconds.
PATIENCE: Final = 120.0
#: How long a process that was told to end may take for it, in seconds.
FAREWELL: Final = 5.0


class MeasuringProcess:
    """A process that is asked to call functions; where one kills it, or hangs, a new process takes the next."""

    def __init__(self, device: str = "cpu", plugins: tuple[Path, ...] = (), patience: float = PATIENCE) -> None:
        self.device, self._plugins, self._patience = device, plugins, patience
        self._process: Any = None

    def __enter__(self) -> Self:
        """Begin."""
        self._folder = tempfile.TemporaryDirectory(prefix="d2lbench-", ignore_cleanup_errors=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the process, which may first put away what it holds."""
        self._end(gently=True)
        self._folder.cleanup()

    def ask(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Return what a function of this package returns there.

        Raises
        ------
        TimingError
            It raised something, whose words these are, or its process died or hung over it.
        """
        if self._process is None:
            self._start()
        problem = f"it took longer than {self._patience:.0f} s"
        try:
            self._connection.send((function, arguments))
            if self._connection.poll(self._patience):
                answer, problem = self._connection.recv()
                if not problem:
                    return answer
                raise TimingError(problem)
        except (EOFError, OSError):
            problem = "its process died"
        self._end(gently=False)
        raise TimingError(problem)

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        plugins = tuple(Path(path).resolve() for path in self._plugins)
        self._process = context.Process(target=_serve, args=(theirs, os.getpid(), Path(self._folder.name), plugins))
        before = {name: os.environ.get(name) for name in THREADS}
        os.environ.update(THREADS)
        try:
            with deaf():
                self._process.start()
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value
        theirs.close()

    def _end(self, *, gently: bool) -> None:
        if self._process is None:
            return
        self._connection.close()  # tells it to end
        self._process.join(FAREWELL if gently else 0)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._process.close()
        self._process = None


def _serve(connection: Connection, driver: int, folder: Path, plugins: tuple[Path, ...]) -> None:
    """Call what is asked for until the driver closes its end; answer with what it returned, or with its error."""
    # As in a process that a person starts: this one was spawned, and loaders would spawn their workers for seconds.
    multiprocessing.set_start_method(None, force=True)
    prepare(driver, folder, plugins)
    while True:
        try:
            function, arguments = connection.recv()
        except EOFError:
            return
        try:
            answer = (function(*arguments), "")
        except Exception as error:  # noqa: BLE001  (whatever was raised is why there is no number)
            words = f"{type(error).__name__}: {error}".partition("\n")[0]
            answer = (None, str(error) if isinstance(error, TimingError) else words)
        connection.send(answer)


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


class CostProcess(MeasuringProcess):
    """A process that measures cells one after the other."""

    def machine(self) -> dict[str, Any]:
        """Return the facts of the machine, as the process finds them.

        Raises
        ------
        TimingError
            The process died or hung.
        """
        facts: dict[str, Any] = self.ask(_machine_warmed, self.device)
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


def _machine_warmed(device: str) -> dict[str, Any]:
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
