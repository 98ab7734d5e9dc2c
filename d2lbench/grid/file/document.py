"""A grid's text as a checked, plain document: valid TOML, finite numbers, no dates, one spelling of dotted keys."""

from __future__ import annotations

import math
import tomllib
from typing import TYPE_CHECKING, Any, Final

from d2lbench.core.errors import GridError

if TYPE_CHECKING:
    from collections.abc import Mapping

#: The largest whole number that a grid may hold anywhere; beyond it there is only a slip of the keyboard.
LARGEST: Final = 2**32
#: Tables and lists in each other; a grid needs six.
DEEPEST: Final = 24


def read(text: str, file: str = "") -> dict[str, Any]:
    """Return the document in ``text``.

    Raises
    ------
    GridError
        Not TOML, a key given twice, a date, a number that is not finite or too large.
    """
    try:
        text.encode("utf-8")
        document = tomllib.loads(text)
    except UnicodeEncodeError as error:
        problem = f"is not valid text: {error.reason}"
        raise GridError(problem, file=file, allowed="UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        problem = f"is not valid TOML: {error}"
        raise GridError(problem, file=file, given=_line(text, str(error))) from None
    except RecursionError:
        problem = "is not valid TOML: nested too deeply"
        raise GridError(problem, file=file) from None
    except ValueError as error:  # a number of more digits than Python converts
        problem = f"is not valid TOML: {error}"
        raise GridError(problem, file=file) from None
    try:
        check(document)
    except GridError as error:
        raise error.located(file=file) from None
    return document


def _line(text: str, message: str) -> str | None:
    """Return the line of the text that the parser's message points at."""
    _, _, place = message.partition("(at line ")
    number, _, _ = place.partition(",")
    lines = text.splitlines()
    return lines[int(number) - 1].strip() if number.isdigit() and int(number) <= len(lines) else None


def check(value: Any, key: str = "", depth: int = 0) -> None:
    """Refuse what no grid may hold: dates, numbers that are not finite or too large, endless nesting."""
    if depth > DEEPEST:
        problem = "is nested too deeply"
        raise GridError(problem, key=key, allowed=f"{DEEPEST} levels")
    if isinstance(value, dict):
        for name, item in value.items():
            if not name.isprintable():
                problem = "is not a key"
                raise GridError(problem, key=key, given=name, allowed="printable characters")
            check(item, f"{key}.{name}" if key else name, depth + 1)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            check(item, f"{key}[{index}]", depth + 1)
    else:
        _check_plain(value, key)


def _check_plain(value: Any, key: str) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        problem = "is not a finite number"
        raise GridError(problem, key=key, given=value, allowed="finite numbers")
    if isinstance(value, int) and abs(value) > LARGEST:
        problem = "is too large a whole number"
        raise GridError(problem, key=key, given=value, allowed=f"whole numbers to {LARGEST}")
    if not isinstance(value, str | int | float):
        problem = f"is a {type(value).__name__}"
        raise GridError(problem, key=key, given=value, allowed="text, numbers, true, false, lists and tables")


def nested(table: Mapping[str, Any], key: str = "") -> dict[str, Any]:
    """Spell quoted dotted keys (``"model.depth"``) as tables, and refuse what is then said twice.

    Raises
    ------
    GridError
        Two spellings give one key, or a key is empty.
    """
    result: dict[str, Any] = {}
    for name, value in table.items():
        head, *rest = name.split(".")
        if not all((head, *rest)):
            problem = "is not a key"
            raise GridError(problem, key=key, given=name, allowed="names joined by single dots")
        for part in reversed(rest):
            value = {part: value}  # noqa: PLW2901  (wrapped once for each dot)
        _put(result, head, value, f"{key}.{head}" if key else head)
    return result


def tables(value: Any, key: str) -> tuple[dict[str, Any], ...]:
    """Return a list of tables, written ``[[key]]``, their dotted keys nested.

    Raises
    ------
    GridError
        Not a list of tables.
    """
    if not isinstance(value, list | tuple) or not all(isinstance(item, dict) for item in value):
        problem = "is not a list of tables"
        raise GridError(problem, key=key, given=value, allowed=f"[[{key}]]")
    return tuple(nested(item, f"{key}[{index}]") for index, item in enumerate(value))


def _put(table: dict[str, Any], name: str, value: Any, key: str) -> None:
    if name not in table:
        table[name] = dict(value) if isinstance(value, dict) else value
    elif isinstance(table[name], dict) and isinstance(value, dict):
        for inner, item in value.items():
            _put(table[name], inner, item, f"{key}.{inner}")
    else:
        problem = "is given twice, dotted and nested"
        raise GridError(problem, key=key, given=value, allowed="one of the two spellings")
