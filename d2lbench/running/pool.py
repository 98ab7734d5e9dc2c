"""Worker processes and what they do: train the stacks handed to them. One that fails or dies never ends the run.

A pool of loky's processes. What crosses between them and the driver: a stack one way, what became of it the other;
beside it lies a folder with a file for each worker, which shows that it lives, and one for each stack that was begun.
"""

from __future__ import annotations

import functools
import multiprocessing
import os
import signal
import tempfile
import threading
import time
import traceback
import warnings
from collections import deque
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from d2lbench.core.errors import DataError
from d2lbench.core.interrupts import deaf
from d2lbench.engine.process import MEMORY, THREADS, prepare

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from d2lbench.core.runs import Run
    from d2lbench.engine.checkpoint import Checkpoint
    from d2lbench.engine.plan import Stack

#: A worker that has shown no sign of life for this long, in seconds, is ended; a swapping machine stays below it.
HUNG_SECONDS: Final = 120.0
#: The file in the workers' folder that says that the run is being interrupted.
STOP: Final = "stop"
#: How torch's allocators say that memory ran out where they raise no error of its own.
_MEMORY_WORDS: Final = ("can't allocate memory", "out of memory", "ALLOC_FAILED")


@dataclass(frozen=True)
class Keeping:
    """Where a stack's checkpoint lies and how often it is written at most, in seconds."""

    path: Path
    seconds: float


@dataclass(frozen=True)
class Finished:
    """What became of a stack: a run for each of its cells, or why there are none."""

    stack: Stack
    runs: tuple[Run, ...] = ()
    end: Literal["trained", "memory", "data", "failed", "died", "stopped"] = "trained"
    reason: str = ""
    continued: bool = False  # from a checkpoint
    notes: tuple[str, ...] = ()  # what went wrong with the checkpoint


@functools.cache
def _hush_a_pool_that_ends() -> None:
    """Leave out the errors of a pool's own thread once it was told to end and to kill its workers.

    A stack that finishes at that very moment makes the thread answer a future twice, and Python would print that for
    the user; nothing is lost by it. Every other thread's errors are printed as before.
    """
    before = threading.excepthook

    def hook(args: threading.ExceptHookArgs) -> None:
        flags = getattr(args.thread, "executor_flags", None)
        if flags is None or not flags.kill_workers:
            before(args)

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
        self._started()
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
        folder = self._started()
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

    def _started(self) -> Path:
        """Return the folder that the workers share, having started them where none run."""
        if self._folder is not None:
            return Path(self._folder.name)
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


def work(stack: Stack, device: str, folder: Path, keeping: Keeping | None) -> Finished:
    """Train a stack that the driver hands over, and say what became of it; no error gets out."""
    from d2lbench.engine.checkpoint import Checkpoint, identity

    stop = folder / STOP
    if stop.exists():
        return Finished(stack, end="stopped")
    begun_file(folder, stack).touch()
    if keeping is None:
        return _trained(stack, device)
    kept = Checkpoint(keeping.path, identity(stack, device), keeping.seconds, stop)
    return replace(_trained(stack, device, kept), continued=kept.continued, notes=tuple(kept.notes))


def _trained(stack: Stack, device: str, kept: Checkpoint | None = None) -> Finished:
    import torch

    from d2lbench.engine.checkpoint import CutOffError
    from d2lbench.engine.train import train

    try:
        return Finished(stack, tuple(train(stack, device=device, checkpoint=kept)))
    except CutOffError:
        return Finished(stack, end="stopped")
    except DataError as error:
        return Finished(stack, end="data", reason=str(error))
    except (MemoryError, torch.OutOfMemoryError):
        return Finished(stack, end="memory", reason="out of memory")
    except Exception as error:  # noqa: BLE001  (any failure of one stack is a row with its reason)
        if isinstance(error, RuntimeError) and any(words in str(error) for words in _MEMORY_WORDS):
            return Finished(stack, end="memory", reason="out of memory")
        return Finished(stack, end="failed", reason=reason_of(error))


def begun_file(folder: Path, stack: Stack) -> Path:
    """Return the file that says that a worker has begun a stack."""
    return folder / f"begun-{stack.key}"


def reason_of(error: BaseException) -> str:
    """Say what an error was and where it was raised, in a line."""
    place = traceback.extract_tb(error.__traceback__)
    where = f" ({place[-1].name}, line {place[-1].lineno})" if place else ""
    return f"{type(error).__name__}: {error}{where}"
