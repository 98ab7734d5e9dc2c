"""Standard output: text for whoever reads it, and an error of its own where nobody does."""

from __future__ import annotations

import sys

from d2lbench.core.errors import StoreError


class NobodyReadsError(Exception):
    """Whoever read our output has gone, as `head` does."""


def show(text: str, end: str = "\n") -> None:
    """Write to standard output at once.

    Raises
    ------
    NobodyReadsError
        The reader has gone.
    StoreError
        It cannot be written; says why.
    """
    try:
        sys.stdout.write(text + end)
        sys.stdout.flush()
    except BrokenPipeError as error:
        raise NobodyReadsError from error
    except OSError as error:
        problem = f"standard output could not be written: {error.strerror}"
        raise StoreError(problem) from error
