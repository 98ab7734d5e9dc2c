"""What a worker process does: it prepares itself, shows that it lives, and trains the stacks that it is handed."""

from __future__ import annotations

import traceback
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from d2lbench.core.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from d2lbench.engine.checkpoint import Checkpoint
    from d2lbench.engine.outcome import Outcome
    from d2lbench.engine.plan import Stack

#: The file in the workers' folder that says that the run is being interrupted.
STOP = "stop"
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
