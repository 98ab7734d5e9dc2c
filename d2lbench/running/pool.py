"""The pool of worker processes, of loky: one dying or failing never takes the run along."""

from __future__ import annotations

import functools
import multiprocessing
import os
import signal
import tempfile
import threading
import time
import warnings
from collections import deque
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from d2lbench.core.interrupts import deaf
from d2lbench.engine.process import MEMORY, THREADS, prepare
from d2lbench.running.worker import STOP, Finished, Keeping, begun_file, reason_of, work

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from d2lbench.engine.plan import Stack

#: A worker that has shown no sign of life for this long, in seconds, is ended; a swapping machine stays below it.
HUNG_SECONDS = 120.0


@functools.cache
def _hush_a_pool_that_ends() -> None:
    """Leave out what a pool's own thread complains of once it has been told to end and to kill its workers.

    A stack that finishes at that very moment makes the thread answer a future twice, and Python would print that for
    the user; nothing is lost by it. Every other thread's errors are told as before.
    """
    told = threading.excepthook

    def hook(args: threading.ExceptHookArgs) -> None:
        flags = getattr(args.thread, "executor_flags", None)
        if flags is None or not flags.kill_workers:
            told(args)

    threading.excepthook = hook


@dataclass
class Pool:
    """Worker processes that train stacks.

    When one dies, whatever had begun is tried once more, each stack alone: so a stack that kills its worker is told
    from its neighbours, and only it is given up.
    """

    jobs: int
    device: str
    plugins: tuple[Path, ...] = ()
    keeping: Callable[[Stack], Keeping] | None = None
    patience: float = HUNG_SECONDS
    _executor: Any = None
    _folder: tempfile.TemporaryDirectory[str] | None = None
    _pending: dict[Future[Finished], Stack] = field(default_factory=dict)
    _queued: deque[Stack] = field(default_factory=deque)
    _suspects: deque[Stack] = field(default_factory=deque)
    _alone: bool = False
    _ending: bool = False
    _seen: dict[int, tuple[float, float]] = field(default_factory=dict)

    def submit(self, stack: Stack) -> None:
        """Queue a stack."""
        self._queued.append(stack)
        self._send()

    def call(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Have a worker call a function of this package; nothing may be training, and a death of it is not mended."""
        if self._folder is None:
            self._start()
        with deaf():
            future: Future[Any] = self._executor.submit(function, *arguments)
        return future

    @property
    def busy(self) -> int:
        """How many stacks are queued or running."""
        return len(self._pending) + len(self._queued) + len(self._suspects)

    def finished(self, timeout: float) -> Iterator[Finished]:
        """Yield what has finished, waiting at most ``timeout`` seconds for the first."""
        done, _ = wait(self._pending, timeout=timeout, return_when=FIRST_COMPLETED)
        lost = []
        for future in done:
            stack = self._pending.pop(future)
            error = future.exception()
            if error is None:
                yield future.result()
            elif isinstance(error, BrokenProcessPool):
                lost.append(stack)
            else:
                yield Finished(stack, end="failed", reason=reason_of(error))
        if lost:
            yield from self._retry(lost)
        else:
            self._end_hung()
        self._send()

    def _retry(self, lost: list[Stack]) -> Iterator[Finished]:
        """End what is left of the pool after a worker died; what ran alone is given up, the others are suspects."""
        lost += self._pending.values()
        self._pending.clear()
        folder = Path(self._folder.name) if self._folder else Path()
        begun = {stack.key for stack in lost if begun_file(folder, stack).exists()}
        self._end()
        for stack in lost:
            if stack.key not in begun:
                self._queued.append(stack)
            elif self._alone:
                yield Finished(stack, end="died", reason="its worker process died or hung, twice")
            else:
                self._suspects.append(stack)

    def _send(self) -> None:
        """Hand stacks to the workers: suspects one at a time, else all that are queued."""
        if self._ending:
            return
        if not self._pending:
            self._alone = bool(self._suspects)
        if self._alone:
            if not self._pending:
                self._hand_over(self._suspects.popleft())
            return
        while self._queued:
            self._hand_over(self._queued.popleft())

    def _hand_over(self, stack: Stack) -> None:
        folder = self._start() if self._folder is None else Path(self._folder.name)
        keeping = self.keeping(stack) if self.keeping else None
        try:
            with deaf():
                future: Future[Finished] = self._executor.submit(work, stack, self.device, folder, keeping)
        except BrokenProcessPool as error:  # a worker died while idle
            future = Future()
            future.set_exception(error)
        self._pending[future] = stack

    def _end_hung(self) -> None:
        """Kill workers that have stopped to show life; the pool then finds them dead."""
        if self._folder is None:
            return
        now = time.monotonic()  # a machine's sleep is not counted, unlike in the files' own times
        hung = set()
        for path in Path(self._folder.name).glob("[0-9]*"):
            process, beat = int(path.name), path.stat().st_mtime
            if self._seen.get(process, (0.0, 0.0))[0] != beat:
                self._seen[process] = (beat, now)
            elif now - self._seen[process][1] > self.patience:
                hung.add(process)
        for child in multiprocessing.active_children():
            if child.pid in hung:
                os.kill(child.pid, signal.SIGKILL)

    def wind_down(self, seconds: float) -> Iterator[Finished]:
        """Ask the workers to stop at the end of their epochs; yield what finishes within that many seconds."""
        self._ending = True
        if self._folder is not None:
            (Path(self._folder.name) / STOP).touch()
        end = time.monotonic() + seconds
        while self._pending and (left := end - time.monotonic()) > 0:
            yield from self.finished(timeout=left)

    def stop(self) -> None:
        """End the workers at once and forget what was queued."""
        self._end()
        for waiting in (self._pending, self._queued, self._suspects):
            waiting.clear()

    def _end(self) -> None:
        if self._executor is not None:
            self._executor.shutdown(wait=True, kill_workers=True)
            self._executor = None
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None
        self._seen.clear()

    def _start(self) -> Path:
        from loky import ProcessPoolExecutor

        # A worker whose memory has grown is replaced by a fresh one between two stacks; that is no news to a user.
        warnings.filterwarnings("ignore", message="A worker stopped while some jobs", category=UserWarning)
        self._folder = tempfile.TemporaryDirectory(prefix="d2lbench-", ignore_cleanup_errors=True)
        folder = Path(self._folder.name)
        about = (os.getpid(), folder, tuple(Path(path).resolve() for path in self.plugins))
        _hush_a_pool_that_ends()
        self._executor = ProcessPoolExecutor(
            max_workers=self.jobs, initializer=prepare, initargs=about, env=THREADS | MEMORY
        )
        return folder
