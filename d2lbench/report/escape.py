"""Foreign text made safe for each place that it is written to. HTML is escaped by the templates themselves."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from typing import Final

# Control, format (bidirectional overrides among them), surrogate, private, unassigned; line and paragraph separators.
_UNWANTED: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_MARKDOWN: Final = re.compile(r"([\\`*_\[\]#|~$])")
_AUTOLINK: Final = re.compile(r"(?i):(?=//)|(?<=mailto):|(?<=xmpp):|(?<=www)\.|@")
# A list marker or a rule; a number such as "+0.3" is neither and stays readable in the source.
_LEADING: Final = re.compile(r"^(?:(\d+)([.)])(?=\s|$)|()([-+=])(?=[-+=\s]|$))")
_FORMULA: Final = ("=", "+", "-", "@", "|", "%")


def visible(text: object) -> str:
    """Return ``text`` without control characters; every kind of white space becomes a blank."""
    spaced = "".join(" " if letter.isspace() else letter for letter in str(text))
    return "".join(letter for letter in spaced if unicodedata.category(letter) not in _UNWANTED)


def plain(text: object, limit: int | None = None) -> str:
    """Return ``text`` on one line, blanks run together, cut to ``limit`` characters with an ellipsis."""
    line = " ".join(visible(text).split())
    return line if limit is None or len(line) <= limit else line[: limit - 1].rstrip() + "…"


def markdown(text: object) -> str:
    """Return ``text`` so that Markdown, tables and embedded HTML show it as it is: no markup, no link, no new line."""
    line = plain(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    line = _LEADING.sub(r"\1\3\\\2\4", _MARKDOWN.sub(r"\\\1", line))
    return _AUTOLINK.sub(lambda match: f"&#{ord(match[0])};", line)


def csv_cell(value: object) -> object:
    """Return ``value`` for a CSV cell; text that a spreadsheet would run as a formula gets an apostrophe in front."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    text = plain(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def slug(text: str, limit: int = 40) -> str:
    """Return lower-case letters, digits and hyphens only; ``x`` where nothing is left."""
    ascii_only = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", ascii_only.lower())[:limit].strip("-") or "x"


def stem(*parts: str) -> str:
    """Return a file name without ending, or an anchor: a slug of the parts and a hash that tells equal slugs apart."""
    digest = hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:10]
    return f"{slug('-'.join(parts))}-{digest}"
