"""Checkpoints: what the training of a stack has come to at the end of an epoch, in a safetensors file, never a pickle.

Draws are keyed by epoch, so that no generator has a state to keep: parameters, optimizers and the journal are all.
"""

from __future__ import annotations

import hashlib
import json
import time
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
import safetensors.numpy
import torch
from safetensors import SafetensorError

from d2lbench.core.environment import cpu_model
from d2lbench.core.files import replace_file
from d2lbench.core.spec import ENGINE_VERSION, digest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from d2lbench.engine.plan import Stack

    Arrays: TypeAlias = dict[str, NDArray[Any]]

#: What a training can be continued from: dicts, lists, tuples, plain values, bytes, arrays and tensors, nested.
State: TypeAlias = "dict[str, Any]"

#: Raised when what a checkpoint holds changes: older ones are then ignored.
FORMAT: Final = 1
#: Training then goes on for at least this many times as long as a checkpoint took to write: a huge stack pays 5 %.
_BREATH: Final = 20
#: The names, among the numbers of the arrays, of the JSON and of the seal over all the others.
_TOLD, _SEAL = "told", "seal"


def identity(stack: Stack, device: str = "cpu") -> str:
    """Return what a checkpoint must have been made for, so that going on from it gives an uninterrupted run's bits."""
    content = {
        "format": FORMAT,
        "engine": ENGINE_VERSION,
        "stack": stack.key,
        "series": sorted(stack.series),
        "torch": str(torch.__version__),
        "device": torch.cuda.get_device_name() if device == "cuda" else device,
        "processor": cpu_model(),
    }
    return digest(content)


def pack(state: State, made_for: str) -> bytes:
    """Return a state as a safetensors file: arrays and tensors under numbers, all else as JSON, and a seal.

    Raises
    ------
    TypeError
        The state holds something else.
    """
    arrays: Arrays = {}
    told = json.dumps({"made_for": made_for, "state": _taken_apart(state, arrays)})
    arrays[_TOLD] = np.frombuffer(told.encode(), dtype=np.uint8)
    arrays[_SEAL] = _seal(arrays)
    content: bytes = safetensors.numpy.save(arrays)
    return content


def unpack(content: bytes, made_for: str) -> State:
    """Return the state that :func:`pack` was given, tensors on the CPU.

    Raises
    ------
    ValueError
        The file is damaged, or was made for something else; says which.
    """
    damaged = "it is damaged or no checkpoint"
    try:
        arrays: Arrays = safetensors.numpy.load(content)
    except (SafetensorError, KeyError, TypeError, ValueError) as error:  # the others: a kind of number it does not know
        raise ValueError(damaged) from error
    seal = arrays.pop(_SEAL, None)
    if seal is None or not np.array_equal(seal, _seal(arrays)):
        raise ValueError(damaged)
    told = json.loads(arrays[_TOLD].tobytes())
    if told["made_for"] != made_for:
        problem = "it was made for another stack, engine, torch or machine"
        raise ValueError(problem)
    state: State = _put_together(told["state"], arrays)
    return state


def _seal(arrays: Arrays) -> NDArray[np.uint8]:
    """Return the check sum of everything: safetensors itself does not notice a flipped bit inside a number."""
    content = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        content.update(f"{name} {array.dtype.str} {array.shape}".encode())
        content.update(array.tobytes())
    return np.frombuffer(content.digest(), dtype=np.uint8)


def _taken_apart(value: Any, arrays: Arrays) -> Any:
    """Return a value as JSON, its arrays under numbers in ``arrays``."""
    if isinstance(value, dict):  # pairs: JSON has no keys but strings
        return {"dict": [[key, _taken_apart(item, arrays)] for key, item in value.items()]}
    if isinstance(value, list):
        return [_taken_apart(item, arrays) for item in value]
    if isinstance(value, tuple):
        return {"tuple": [_taken_apart(item, arrays) for item in value]}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    name = str(len(arrays))
    if isinstance(value, torch.Tensor):
        kind, array = "tensor", value.detach().cpu().numpy()
    elif isinstance(value, np.ndarray):
        kind, array = "array", value
    elif isinstance(value, bytes):
        kind, array = "bytes", np.frombuffer(value, dtype=np.uint8)
    else:
        problem = f"a {type(value).__name__} cannot be kept"
        raise TypeError(problem)
    arrays[name] = np.asarray(array, order="C")  # safetensors writes what lies in memory, in whatever order
    return {kind: name}


def _put_together(value: Any, arrays: Arrays) -> Any:
    """Return what :func:`_taken_apart` was given."""
    if isinstance(value, list):
        return [_put_together(item, arrays) for item in value]
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "dict":
        return {key: _put_together(item, arrays) for key, item in content}
    if kind == "tuple":
        return tuple(_put_together(item, arrays) for item in content)
    array = arrays[content].copy()  # the file's own memory may not be written to
    if kind == "tensor":
        return torch.from_numpy(array)
    return array.tobytes() if kind == "bytes" else array


class CutOffError(Exception):
    """Training ended before its time, at the end of an epoch, as the run is being interrupted."""


class Checkpoint:
    """The file of one stack's training: read once when it begins, written at most every ``seconds`` seconds.

    A training that takes less writes nothing. What cannot be read or written is noted and costs time, never a result.

    ``stop``, where given, is a file that appears when the run is being interrupted: what is worth keeping is then
    written at the end of the epoch, due or not.

    Attributes
    ----------
    continued
        Whether training went on from a state that was read.
    notes
        What went wrong with the file, a sentence each.
    """

    def __init__(self, path: Path, made_for: str, seconds: float, stop: Path | None = None) -> None:
        self.path, self.continued, self.notes = path, False, list[str]()
        self._made_for, self._seconds, self._stop = made_for, seconds, stop
        self._due = self._worth = time.monotonic() + seconds

    def read(self) -> State | None:
        """Return the state that an earlier run left, or None where there is none to go on from."""
        try:
            state = unpack(self.path.read_bytes(), self._made_for)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError) as error:
            self.notes.append(f"checkpoint {self.path.name} ignored: {error}; its stack begins anew")
            return None
        self.continued = True
        self._worth = time.monotonic()
        return state

    def offer(self, state: Callable[[], State]) -> None:
        """Write the state if that is due.

        Raises
        ------
        CutOffError
            The run is being interrupted: training need not go on.
        """
        began = time.monotonic()
        interrupted = self._stop is not None and self._stop.exists()
        if began >= (self._worth if interrupted else self._due):
            self._write(state)
            ended = time.monotonic()
            self._due = ended + max(self._seconds, _BREATH * (ended - began))
        if interrupted:
            raise CutOffError

    def _write(self, state: Callable[[], State]) -> None:
        """Replace the file whole; not forced to the disk: one that a loss of power tears is noticed and ignored."""
        try:
            replace_file(self.path, pack(state(), self._made_for))
        except (OSError, TypeError) as error:  # the latter: an optimizer of a plugin keeps what no file can hold
            note = f"checkpoint {self.path.name} could not be written: {error}; training goes on without"
            self.notes += [note] if note not in self.notes else []
