"""The process of one round: fresh, apart, measuring one kernel after the other."""

from __future__ import annotations

import multiprocessing
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from d2lbench.interrupts import deaf
from d2lbench.timing.observed import Observed
from d2lbench.workers import THREADS, prepare

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from types import TracebackType
    from typing import Self

    from d2lbench.spec import Component

#: How long a measurement that was asked to take less may take before its process is ended, in seconds.
PATIENCE: Final = 120.0
#: How long a process that was told to end may take for it, in seconds.
FAREWELL: Final = 5.0


class RoundProcess:
    """A process that measures kernels; where one kills it, a new process measures the rest of the round."""

    def __init__(self, device: str = "cpu", plugins: tuple[Path, ...] = (), patience: float = PATIENCE) -> None:
        self._device, self._plugins, self._patience = device, plugins, patience
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
        """Return the facts of the machine as the process finds them; nothing where it dies over them."""
        answer: dict[str, Any] | None = self._asked(None)
        return answer or {}

    def measure(self, kernel: Component, wanted: frozenset[str], seconds: float) -> Observed:
        """Return what became of a kernel that is measured for about so many seconds."""
        answer: Observed | None = self._asked((kernel, wanted, seconds))
        if answer is None:
            return Observed("failed", f"its process died, or took longer than {self._patience:.0f} s")
        return answer

    def _asked(self, question: object) -> Any:
        """Return the process's answer, or None where it has died or gives none."""
        if self._process is None:
            self._start()
        try:
            self._connection.send(question)
            if self._connection.poll(self._patience):
                return self._connection.recv()
        except (EOFError, OSError):
            pass  # it has died: None says so
        self._end(gently=False)
        return None

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        plugins = tuple(Path(path).resolve() for path in self._plugins)
        about = (theirs, self._device, os.getpid(), Path(self._folder.name), plugins)
        self._process = context.Process(target=_serve, args=about)
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


def _serve(connection: Connection, device: str, driver: int, folder: Path, plugins: tuple[Path, ...]) -> None:
    """Answer questions until the driver closes its end: for the machine's facts, or for a kernel's numbers."""
    # As in a process that a person starts: this one was spawned, and loaders would spawn their workers for seconds.
    multiprocessing.set_start_method(None, force=True)
    prepare(driver, folder, plugins)
    from d2lbench.timing.machine import fingerprint
    from d2lbench.timing.observe import observe

    while True:
        try:
            question = connection.recv()
        except EOFError:
            return
        if question is None:
            connection.send(fingerprint(device))
        else:
            kernel, wanted, seconds = question
            connection.send(observe(kernel, device, wanted, seconds))
