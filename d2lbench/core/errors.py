"""Every error that d2lbench raises on purpose, under one root.

Each class carries the exit code with which the command line ends when nobody
catches it, so that a script can tell a mistake in a grid from a full disk.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class D2lbenchError(Exception):
    """The root: something went wrong that a user can understand and mend."""

    exit_code = 1


class UsageError(D2lbenchError):
    """The command line asks for something that does not exist or makes no sense."""

    exit_code = 2


class GridError(D2lbenchError):
    """A grid file says something that it may not say.

    The message names the file, the key, what was given, what is allowed and, where a name is close to an
    allowed one, that name. Nothing has run when it is raised.
    """

    exit_code = 2

    def __init__(
        self,
        problem: str,
        *,
        key: str = "",
        given: object = None,
        allowed: str = "",
        nearest: str | None = None,
        file: str = "",
    ) -> None:
        self.problem, self.key, self.given = problem, key, given
        self.allowed, self.nearest, self.file = allowed, nearest, file
        super().__init__(self._sentence())

    def _sentence(self) -> str:
        place = ": ".join(part for part in (self.file, self.key) if part)
        text = f"{place}: {self.problem}" if place else self.problem
        if self.given is not None:
            text += f"; given {shown(self.given)}"
        if self.allowed:
            text += f"; allowed: {self.allowed}"
        if self.nearest:
            text += f'; did you mean "{self.nearest}"?'
        return text

    @property
    def problems(self) -> tuple[GridError, ...]:
        """Every single mistake in it."""
        return (self,)

    def located(self, *, file: str = "", key: str = "") -> GridError:
        """Return the same error with the file and the outer part of the key filled in."""
        return self.reworded(key=".".join(part for part in (key, self.key) if part), file=self.file or file)

    def reworded(self, **words: Any) -> GridError:
        """Return the same error with some of its words replaced."""
        own = {name: getattr(self, name) for name in ("problem", "key", "given", "allowed", "nearest", "file")}
        return GridError(**{**own, **words})


class GridMistakesError(GridError):
    """Several mistakes of one or more grid files, in the order in which they stand there."""

    def __init__(self, errors: Iterable[GridError]) -> None:
        super().__init__("")
        self._problems = tuple(errors)
        self.args = ("\n".join([f"{len(self._problems)} mistakes", *map(str, self._problems)]),)

    @property
    def problems(self) -> tuple[GridError, ...]:
        """Every single mistake in it."""
        return self._problems

    def located(self, *, file: str = "", key: str = "") -> GridError:
        """Return the same errors, each with the file and the outer part of its key filled in."""
        return GridMistakesError(each.located(file=file, key=key) for each in self._problems)


def together(errors: Iterable[GridError]) -> GridError:
    """Return one error that stands for all: the only one as it is, several as :class:`GridMistakesError`."""
    found = tuple(errors)
    return found[0] if len(found) == 1 else GridMistakesError(found)


class Mistakes:
    """Grid errors of steps that do not need each other: ``with mistakes: step()`` notes what the step raises.

    One place in a file (a key and what was given for it) is noted once, with the first problem that was found there.
    """

    def __init__(self) -> None:
        self._noted: dict[tuple[str, str, str], GridError] = {}

    def note(self, error: GridError) -> None:
        """Add the mistakes of an error."""
        for each in error.problems:
            self._noted.setdefault((each.file, each.key, str(each.given)), each)

    def reword(self, error: GridError, **words: Any) -> None:
        """Replace some words of a mistake that was noted."""
        place = (error.file, error.key, str(error.given))
        self._noted[place] = error.reworded(**words)

    def __enter__(self) -> None:
        """Begin a step."""

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> bool:
        """End a step; a grid error is noted and goes no further."""
        if not isinstance(error, GridError):
            return False
        self.note(error)
        return True

    def __iter__(self) -> Iterator[GridError]:
        """Iterate over the mistakes in the order in which they were noted."""
        return iter(self._noted.values())

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._noted)

    def refuse(self) -> None:
        """Raise the one mistake as it is, several together; do nothing where there is none.

        Raises
        ------
        GridError
            Something was noted.
        """
        if self._noted:
            raise together(self)


class DataError(D2lbenchError):
    """A dataset is missing, damaged or cannot be had; says what was expected, where, and how to get it."""

    exit_code = 3


class StoreError(D2lbenchError):
    """The store cannot be opened, read or written; says which file and the way out."""

    exit_code = 3


class CalibrationError(D2lbenchError):
    """What was measured of this machine cannot be kept; says where and how to do without."""

    exit_code = 3


class TimingError(D2lbenchError):
    """A kernel case gets no number: it is wrong, its work is unknown, or it does not have what it declares."""


class CannotError(TimingError):
    """A kernel case cannot be measured as it was asked for; nothing is wrong with it."""


def reason_of(error: Exception) -> str:
    """Return why something has no result: our own errors' words, of others the type and the first line."""
    return str(error) if isinstance(error, D2lbenchError) else f"{type(error).__name__}: {error}".partition("\n")[0]


def nearest_name(given: str, allowed: Iterable[str]) -> str | None:
    """Return the allowed name that looks most like ``given``, or None when none is close."""
    names = {name.lower(): name for name in allowed}
    word = str(given).lower()
    for part in (word, word.rpartition(".")[2]):  # torch.optim.SGD is sgd
        close = difflib.get_close_matches(part, names, n=1, cutoff=0.6)
        if close:
            return names[close[0]]
    return None


#: What other tools call a key → what it is called here.
_HABITS: Final = {
    "_target_": "name", "bs": "batch_size", "criterion": "loss", "defaults": "base", "distribution": "log",
    "learning_rate": "optimizer.lr", "lr_scheduler": "schedule", "max": "high", "max_epochs": "epochs", "min": "low",
    "n_trials": "budget", "num_epochs": "epochs", "parameters": "vary", "scheduler": "schedule", "seed": "seeds",
    "weight_decay": "regularizer",
}  # fmt: skip


def nearest_key(given: str, allowed: Iterable[str]) -> str | None:
    """Return the allowed key nearest to ``given``, else what is called so in other tools, or None."""
    habit, names = _HABITS.get(given.lower()), tuple(allowed)
    return habit if habit in names else nearest_name(given, names) or habit


def shown(value: object, limit: int = 80) -> str:
    """Return ``value`` the way a grid file would spell it, cut to ``limit`` characters, without control characters."""
    if isinstance(value, str):
        text = '"' + value + '"'
    elif isinstance(value, bool):
        text = str(value).lower()
    elif isinstance(value, dict):
        text = "{ " + ", ".join(f"{key} = {shown(item, limit)}" for key, item in value.items()) + " }"
    elif isinstance(value, list | tuple):
        text = "[" + ", ".join(shown(item, limit) for item in value) + "]"
    else:
        text = str(value)
    text = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
    return text if len(text) <= limit else text[: limit - 1] + "…"
