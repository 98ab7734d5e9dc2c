"""Signals, streams and exit codes: the start and the end of `d2lbench` and `python -m d2lbench`."""

from __future__ import annotations

import gc
import io
import os
import re
import signal
import sys
import traceback
from typing import NoReturn

import typer

from d2lbench.commands.app import app
from d2lbench.commands.printing import NobodyReadsError
from d2lbench.core.errors import D2lbenchError
from d2lbench.core.version import __version__

INTERRUPTED = 130
#: How the parser of options says that a value is wrong, and how we say it.
_IN_OUR_WORDS = (
    (r"Value error, ", ""),
    (r"Input should be a valid integer.*", "needs a whole number"),
    (r"Input should be a valid number.*", "needs a number"),
    (r"Input should be (?=greater|less)", "must be "),
)
OUR_BUG = 70


def _terminated(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def main() -> None:
    """Run the command line and end the process with the exit code that `--help` explains."""
    signal.signal(signal.SIGTERM, _terminated)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that lacks a letter shall not end a run
    code = _exit_code()
    gc.freeze()  # the process ends: to look through all that it holds for cycles once more takes 40 ms
    sys.exit(code)


def _exit_code() -> int:
    try:
        code = app(prog_name="d2lbench", standalone_mode=False)  # an interrupt comes back as its exit code
    except D2lbenchError as error:
        _say(f"d2lbench: {error}")
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except NobodyReadsError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # noqa: BLE001  (the last stop before the user: own the bug)
        return _usage(error)
    if code == INTERRUPTED:
        _say("d2lbench: interrupted; what was finished is stored, run again to go on")
    return code if isinstance(code, int) else 0


def _usage(error: Exception) -> int:
    """Return click's own exit code for a usage error; own any other error as our bug."""
    show = getattr(error, "show", None)
    if show is not None:
        for pattern, words in _IN_OUR_WORDS:
            error.message = re.sub(pattern, words, str(getattr(error, "message", "")))  # type: ignore[attr-defined]
        show()
        return int(getattr(error, "exit_code", 2))
    traceback.print_exc()
    _say(
        "d2lbench: this is a bug of ours. Please report it with the command, the lines above and the output of "
        f"`d2lbench --version` ({__version__}); what was finished is stored."
    )
    return OUR_BUG


def _say(text: str) -> None:
    sys.stderr.write("".join(letter if letter.isprintable() or letter == "\n" else "?" for letter in text) + "\n")


if __name__ == "__main__":
    main()
