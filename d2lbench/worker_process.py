"""What a worker process does: it prepares itself, shows that it lives, and trains the stacks that it is handed."""

from __future__ import annotations

import gc
import os
import threading
import time
import traceback
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from d2lbench.errors import DataError

if TYPE_CHECKING:
    from d2lbench.engine.checkpoint import Checkpoint
    from d2lbench.engine.outcome import Outcome
    from d2lbench.engine.plan import Stack

#: How often a worker shows that it is alive, in seconds.
PULSE_SECONDS = 1.0
#: The file in the workers' folder that says that the run is being interrupted.
STOP = "stop"
#: What makes a process single-threaded, set before it starts.
THREADS = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
#: What has glibc keep the memory of one activation for the next: a megabyte that is handed back and asked for anew
#: costs several times what is computed with it. The first is the largest that glibc takes.
MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(2**25), "MALLOC_TRIM_THRESHOLD_": str(2**29)}
#: How torch's allocators say that memory ran out where they raise no error of its own.
_MEMORY_WORDS = ("can't allocate memory", "out of memory", "ALLOC_FAILED")


@dataclass(frozen=True)
class Keeping:
    """Where a stack's checkpoint lies and how often it is written at most, in seconds."""

    path: Path
    seconds: float


@dataclass(frozen=True)
class Finished:
    """What became of a stack: outcomes, or why there are none."""

    stack: Stack
    outcomes: tuple[Outcome, ...] = ()
    end: Literal["trained", "memory", "data", "failed", "died", "stopped"] = "trained"
    reason: str = ""
    continued: bool = False  # from a checkpoint
    notes: tuple[str, ...] = ()  # what went wrong with the checkpoint


def prepare(driver: int, folder: Path, plugins: tuple[Path, ...]) -> None:
    """Make a fresh process a worker: it ends with its driver, uses one thread, and knows the plugins."""
    gc.disable()  # what is imported stays: to walk it over and over takes a tenth of the time
    pulse = folder / str(os.getpid())
    pulse.touch()
    threading.Thread(target=_show_life, args=(driver, pulse), daemon=True).start()

    from d2lbench import catalogue
    from d2lbench import plugins as loading
    from d2lbench.engine.train import prepare_process

    catalogue.load()
    loading.load(plugins)
    prepare_process(threads=1)
    gc.freeze()  # loky collects garbage between stacks, 0.1 s each time if it walks all that was imported
    gc.enable()


def _show_life(driver: int, pulse: Path) -> None:
    """Touch a file as long as this process runs and its driver lives; end with it."""
    while os.getppid() == driver:
        try:
            os.utime(pulse)
        except OSError:  # the driver has put the folder away: it is stopping
            break
        time.sleep(PULSE_SECONDS)
    os._exit(1)


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
