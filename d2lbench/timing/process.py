"""A process in which cells are measured one after the other: of one thread, and replaced when it dies."""

from __future__ import annotations

import multiprocessing
import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from d2lbench.core.errors import CannotError, TimingError, reason_of
from d2lbench.core.interrupts import deaf
from d2lbench.core.spec import Measurement
from d2lbench.engine.process import THREADS, prepare

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection
    from types import TracebackType
    from typing import Self

    from d2lbench.core.spec import Cell

#: How long a measurement that was asked to take less may take before its process is ended, in seconds.
PATIENCE: Final = 120.0
#: How long a process that was told to end may take for it, in seconds.
FAREWELL: Final = 5.0


@dataclass
class Tally:
    """How many things the store had, how many were measured now, and how many failed, by reason."""

    known: int = 0
    measured: int = 0
    not_reached: int = 0
    failed: dict[str, int] = field(default_factory=dict)

    def fail(self, reason: str) -> None:
        """Count something that has no number."""
        self.failed[reason] = self.failed.get(reason, 0) + 1

    def reasons(self, words: str) -> list[str]:
        """Return a line for each reason, ``words`` between the count and the reason."""
        return [f"  {count:,} {words}: {reason}" for reason, count in sorted(self.failed.items())]


class Measurer(Protocol):
    """What measures cells on a machine that it knows: a process of its own, or a stand-in."""

    def machine(self) -> dict[str, Any]:
        """Return the facts of the machine.

        Raises
        ------
        TimingError
            There are none; says why.
        """
        ...

    def measure(self, cell: Cell, seconds: float, wanted: frozenset[str] = ...) -> dict[str, Any]:
        """Return a cell's numbers, measured for about so many seconds.

        Those of a kernel are what is ``wanted``, by name; those of a cell that trains are the record of its cost.

        Raises
        ------
        TimingError
            There are none; says why.
        """
        ...


class MeasuringProcess:
    """A process that is asked to measure; where one cell kills it, or hangs, a new process takes the next.

    ``profiler`` is loaded with it, which takes a second, where memory is measured of every cell.
    """

    def __init__(
        self, device: str = "cpu", plugins: tuple[Path, ...] = (), patience: float = PATIENCE, *, profiler: bool = False
    ) -> None:
        self.device, self._plugins, self._patience, self._profiler = device, plugins, patience, profiler
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

    def machine(self) -> dict[str, Any]:
        """Return the facts of the machine as the process finds them.

        Raises
        ------
        TimingError
            The process died or hung.
        """
        facts: dict[str, Any] = self.ask(_machine, self.device, self._profiler)
        return facts

    def measure(self, cell: Cell, seconds: float, wanted: frozenset[str] = frozenset()) -> dict[str, Any]:
        """Return a cell's numbers, as :class:`Measurer` says.

        Raises
        ------
        TimingError
            The cell fails, its data are damaged, or the process died or hung over it.
        """
        record: dict[str, Any] = self.ask(_measured, cell, self.device, seconds, wanted)
        return record

    def ask(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Return what a function of this package returns there.

        Raises
        ------
        TimingError
            It raised something, whose words these are, or its process died or hung over it; a
            :class:`~d2lbench.core.errors.CannotError` where it raised one.
        """
        if self._process is None:
            self._start()
        problem = f"it took longer than {self._patience:.0f} s"
        try:
            self._connection.send((function, arguments))
            if self._connection.poll(self._patience):
                answer, error, problem = self._connection.recv()
                if error is None:
                    return answer
                raise error(problem)
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
        answer: tuple[Any, type[TimingError] | None, str]
        try:
            answer = (function(*arguments), None, "")
        except Exception as error:  # noqa: BLE001  (whatever was raised is why there is no number)
            kind = CannotError if isinstance(error, CannotError) else TimingError
            answer = (None, kind, reason_of(error))
        connection.send(answer)


def _machine(device: str, profiler: bool) -> dict[str, Any]:  # noqa: FBT001  (it travels by position)
    from d2lbench.timing.machine import fingerprint

    if profiler:
        from d2lbench.timing.counting import peak_memory

        peak_memory(lambda: None, device)
    return fingerprint(device)


def _measured(cell: Cell, device: str, seconds: float, wanted: frozenset[str]) -> dict[str, Any]:
    if isinstance(cell.config, Measurement):
        from d2lbench.timing.observe import observe

        return observe(cell.config.experiment, device, wanted, seconds)
    from d2lbench.timing.costs import measure_cost

    return measure_cost(cell, device, seconds).as_record()
