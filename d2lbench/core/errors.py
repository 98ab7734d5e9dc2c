"""Every error that d2lbench raises on purpose, under one root.

Each class carries the exit code with which the command line ends when nobody
catches it, so that a script can tell a mistake in a grid from a full disk.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


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

    def located(self, *, file: str = "", key: str = "") -> GridError:
        """Return the same error with the file and the outer part of the key filled in."""
        joined = ".".join(part for part in (key, self.key) if part)
        return GridError(
            self.problem,
            key=joined,
            given=self.given,
            allowed=self.allowed,
            nearest=self.nearest,
            file=self.file or file,
        )


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
    close = difflib.get_close_matches(str(given).lower(), names, n=1, cutoff=0.6)
    return names[close[0]] if close else None


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
