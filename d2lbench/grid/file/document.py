"""A grid's text as a checked, plain document: valid TOML, finite numbers, no dates, one spelling of dotted keys."""

from __future__ import annotations

import math
import re
import tomllib
from typing import TYPE_CHECKING, Any, Final

from d2lbench.core.errors import GridError, Mistakes, nearest_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

#: The largest whole number that a grid may hold anywhere; beyond it there is only a slip of the keyboard.
LARGEST: Final = 2**32
#: Tables and lists in each other; a grid needs six.
DEEPEST: Final = 24
#: Control characters but tab and line breaks, and marks that reverse the direction of writing.
_UNPRINTED: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")

_TWICE: Final = ("sets a key that is set already", "each key once")
_OPEN: Final = ("has a text without an end", "the same quotes at both ends of a text")
_ESCAPE: Final = ("has a backslash that means nothing", r"\\ for a backslash, or the text in single quotes")
_TABLE_TWICE: Final = ("opens a table that is there already", "each [table] once")
#: How the parser's message begins → our sentence, and what is allowed.
_SYNTAX: Final = (
    ("Cannot overwrite", *_TWICE),
    ("Duplicate inline table key", *_TWICE),
    ("Cannot declare", *_TABLE_TWICE),
    ("Cannot redefine", *_TABLE_TWICE),
    ("Cannot mutate", "adds to an inline table or a list, which is complete where it stands", "the key inside of it"),
    ("Expected ']", "has a name of a table without its end", "[name], or [[name]] for one of several"),
    ("Expected '='", "has a key without a value", "key = value"),
    ("Expected newline", "goes on after a value", "one key = value on a line"),
    ("Expected ", *_OPEN),
    ("Unterminated string", *_OPEN),
    ("Illegal character '\\n'", *_OPEN),
    ("Illegal character", "has a control character", "printable characters"),
    ("Found invalid character", "has a control character", "printable characters"),
    ("Unescaped", *_ESCAPE),
    ("Invalid hex", *_ESCAPE),
    ("Escaped character", *_ESCAPE),
    ("Unclosed array", "has a list without its end", "a ] at the end"),
    ("Unclosed inline table", "lacks a comma between two keys, or the } at the end", "{ key = value, key = value }"),
    ("Invalid initial character", "has no key where one is due", 'letters, digits, - and _, else a "key" in quotes'),
    ("Invalid value", "has no value where one is due", '"text", numbers, true, false, [lists] and { tables }'),
    ("Invalid date", "has a date that is none", "no dates: a grid needs none"),
    ("Invalid statement", "is neither a key with its value nor the name of a table", "key = value, or [table]"),
)


def read(text: str, mistakes: Mistakes) -> dict[str, Any]:
    """Return the document in ``text``; dates and numbers that no grid may hold are noted.

    Raises
    ------
    GridError
        Not TOML, a key given twice, or nested too deeply: there is nothing more to be read.
    """
    if text.startswith("\ufeff"):
        problem = "begins with a byte order mark"
        raise GridError(problem, key="line 1", allowed="UTF-8 without one; an editor calls it UTF-8 without BOM")
    try:
        text.encode("utf-8")
        document = tomllib.loads(text)
    except UnicodeEncodeError:
        problem = "is not valid text: half of a surrogate pair"
        raise GridError(problem, allowed="UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise _syntax(text, str(error)) from None
    except RecursionError:
        problem = "is nested too deeply"
        raise GridError(problem, allowed=f"{DEEPEST} levels") from None
    except ValueError:  # Python converts no number of so many digits
        problem = "has too large a whole number"
        number = next((n for n, line in enumerate(text.split("\n"), 1) if re.search(r"[\d_]{4300}", line)), 1)
        raise GridError(problem, key=f"line {number}", allowed=f"whole numbers to {LARGEST}") from None
    check(document, mistakes)
    return document


def _syntax(text: str, message: str) -> GridError:
    """Return our error for what the parser says, with the line it points at."""
    lines = text.split("\n")
    place = re.search(r"at line (\d+), column (\d+)", message)
    number, column = (int(place[1]), int(place[2])) if place else (len(text.rstrip().split("\n")), 0)
    line = lines[number - 1].rstrip("\r")
    there = line[column - 1 : column] if column else ""
    problem, allowed = next((words for start, *words in _SYNTAX if message.startswith(start)), ("is not TOML", ""))
    nearest = None
    if message.startswith(("Unclosed inline table", "Invalid initial character")) and "{" in line[:column]:
        if there in ("", "#"):
            name = _table_name(lines[:number])
            problem, allowed = f"an inline table ends on its line{name and f': use [{name}]'}", ""
        elif there == "}":
            problem, allowed = "has a comma at the end of an inline table", "{ key = value, key = value }"
    elif message.startswith("Invalid value"):
        word = re.match(r"[\w.-]*", line[column - 1 :])
        nearest = (nearest_name(word[0], ("true", "false")) or word[0]) if word and word[0] else None
    return GridError(problem, key=f"line {number}", given=line.strip() or None, allowed=allowed, nearest=nearest)


def _table_name(lines: list[str]) -> str:
    """Return the table that the key before the last ``{`` opens, under the table in which it stands."""
    key = re.match(r"\s*([\w.-]+)\s*=\s*\{", lines[-1])
    headers = [found[1] for line in lines if (found := re.match(r"\s*\[+\s*([\w.-]+)\s*\]", line))]
    return ".".join([*headers[-1:], key[1]]) if key else ""


def check(value: Any, mistakes: Mistakes, key: str = "", depth: int = 0) -> None:
    """Note what no grid may hold: dates, numbers that are not finite or too large, control characters.

    Raises
    ------
    GridError
        A key cannot be printed, or tables and lists are nested too deeply.
    """
    if depth > DEEPEST:
        problem = "is nested too deeply"
        raise GridError(problem, key=key, allowed=f"{DEEPEST} levels")
    if isinstance(value, dict):
        for name, item in value.items():
            if not name.isprintable():
                problem = "is not a key"
                raise GridError(problem, key=key, given=name, allowed="printable characters")
            check(item, mistakes, f"{key}.{name}" if key else name, depth + 1)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            check(item, mistakes, f"{key}[{index}]", depth + 1)
    else:
        with mistakes:
            _check_plain(value, key)


def _check_plain(value: Any, key: str) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        problem = "is not a finite number"
        raise GridError(problem, key=key, given=value, allowed="finite numbers")
    if isinstance(value, int) and abs(value) > LARGEST:
        problem = "is too large a whole number"
        raise GridError(problem, key=key, given=value, allowed=f"whole numbers to {LARGEST}")
    if isinstance(value, str) and _UNPRINTED.search(value):
        problem = "has a control character"
        raise GridError(problem, key=key, given=value, allowed="printable text")
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


def _put(table: dict[str, Any], name: str, value: Any, key: str) -> None:
    if name not in table:
        table[name] = dict(value) if isinstance(value, dict) else value
    elif isinstance(table[name], dict) and isinstance(value, dict):
        for inner, item in value.items():
            _put(table[name], inner, item, f"{key}.{inner}")
    else:
        problem = "is given twice, dotted and nested"
        raise GridError(problem, key=key, given=value, allowed="one of the two spellings")


def order(text: str) -> Callable[[GridError], int]:
    """Return the place of a mistake in the file's order, for ``sorted``.

    What is missing stands where its table begins (a baseline at the end), and ``--set`` after everything.

    A document keeps the order of its keys, but not that of tables which are written in pieces. So every statement is
    read on its own: it ends where its lines together are valid TOML.
    """
    places: dict[str, int] = {}
    names: dict[str, str] = {}
    counts: dict[str, int] = {}
    table = statement = ""
    for line in text.split("\n"):
        statement += line + "\n"
        try:
            found = tomllib.loads(statement)
        except tomllib.TOMLDecodeError:
            continue
        if statement.lstrip().startswith("["):
            table, found = _opened(found, counts), {}
            places.setdefault(table, len(places))
        for key, value in _walked(found, table):
            places.setdefault(key, len(places))
            head, _, last = key.rpartition(".")
            if last == "id" and isinstance(value, str):
                names[f"{head.partition('[')[0]}.{value}"] = head
        statement = ""

    def place(error: GridError) -> int:
        key = error.key
        if key.startswith("--") or (key == "base" and key not in places):
            return len(places)
        name = next((name for name in names if key == name or key.startswith((f"{name}.", f"{name}["))), None)
        key = names[name] + key.removeprefix(name) if name else key
        while key and key not in places:
            key = re.sub(r"(^|\.)[^.]*$", "", key) if not key.endswith("]") else key[: key.rindex("[")]
        return places.get(key, -1)

    return place


def _opened(header: Any, counts: dict[str, int]) -> str:
    """Return the key of the table that a header opens, the one of an array counted: ``claims[1].part[0]``."""
    key = ""
    while header:
        name, header = next(iter(header.items()))
        key = f"{key}.{name}" if key else name
        if isinstance(header, list):
            counts[key] = counts.get(key, -1) + 1
            header = header[0]
        key += f"[{counts[key]}]" if key in counts else ""
    return key


def _walked(value: Any, key: str) -> Iterator[tuple[str, Any]]:
    """Iterate over (key, value) of everything within a value."""
    items: list[tuple[str, Any]] = []
    if isinstance(value, dict):
        items = [(f"{key}.{name}" if key else name, item) for name, item in value.items()]
    elif isinstance(value, list):
        items = [(f"{key}[{index}]", item) for index, item in enumerate(value)]
    for inner, item in items:
        yield inner, item
        yield from _walked(item, inner)
