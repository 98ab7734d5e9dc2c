"""The verdicts as plain text for a terminal."""

from __future__ import annotations

import textwrap
import unicodedata
from typing import TYPE_CHECKING, Final

from d2lbench.report.claims import claim_words
from d2lbench.report.escape import plain, visible
from d2lbench.report.format import NOTHING
from d2lbench.report.published import first_line, published_line, published_page
from d2lbench.report.words import caveats, scale_sentence, second_line

if TYPE_CHECKING:
    from d2lbench.analysis.model import ClaimView, PublishedView, Report

NARROWEST: Final = 40
LONGEST_ID: Final = 34


def render_claims_text(report: Report, width: int = 100) -> str:
    """Return every claim with its verdict, aligned, no line wider than ``width`` columns, no control characters."""
    width = max(NARROWEST, width)
    lines = _wrapped(scale_sentence(report.scale), width)
    for text in dict.fromkeys((first_line(report), second_line(report), published_line(report), *caveats(report))):
        lines += _wrapped(text, width)
    for section in report.sections:
        lines += ["", *_wrapped(f"{section.name}: {section.title}", width)]
        if not section.claims:
            lines += _wrapped("no claims", width, "  ")
        for claim in section.claims:
            lines += _claim_lines(claim, width)
        for entry in section.published:
            lines += _published_line(entry, width)
    if not report.sections:
        lines += ["", "No grid has been run."]
    return "\n".join(lines) + "\n"


def columns(text: str) -> int:
    """Return how many columns a terminal gives ``text``: wide letters take two, combining marks none."""
    return sum(
        0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        for letter in text
    )


def _claim_lines(claim: ClaimView, width: int) -> list[str]:
    words = claim_words(claim)
    marks = "".join(f" [{mark}]" for mark, _ in words.marks)
    reason = plain(words.reason) if words.verdict.word == "not run" else ""
    numbers = reason or ("" if words.effect == NOTHING else words.effect)
    if not reason and numbers and words.interval != NOTHING:
        numbers += f" [{words.interval}]"
    if NOTHING not in {words.p, words.effect}:
        numbers += f"  n {words.n}  corrected p {words.p}"
    name = plain(claim.id, LONGEST_ID)
    verdict = f"{words.verdict.icon} {_padded(plain(words.verdict.text), 24)}"
    head = f"{verdict} {_padded(name, LONGEST_ID)} {claim.kind}{marks}"
    told = _wrapped(head, width, "  ")
    told += _wrapped(claim.says, width, "      ")
    return told + (_wrapped(numbers, width, "      ") if numbers else [])


def _published_line(entry: PublishedView, width: int) -> list[str]:
    """Return ours and theirs on a line, which wraps where it is longer than the terminal is wide."""
    page = published_page(entry)
    ours = "ours not run" if page.ours == NOTHING else f"ours {page.ours}"
    ours += f" [{page.interval}] n {page.n}" if page.interval != NOTHING else ""
    name = _padded(plain(entry.id, LONGEST_ID), LONGEST_ID)
    told = f"\N{MIDDLE DOT} {name} {ours}  published {page.theirs_in_words}"
    return _wrapped(told + (f"  ({page.notes})" if page.notes else ""), width, "  ")


def _padded(text: str, size: int) -> str:
    return text + " " * max(0, size - columns(text))


def _wrapped(text: str, width: int, indent: str = "") -> list[str]:
    """Wrap to columns, not letters: a line of wide letters is filled to half as many."""
    line = visible(text)
    if not line.strip():
        return []
    wide = columns(line) > len(line)
    room = width // 2 if wide else width
    return textwrap.wrap(
        line, room, initial_indent=indent, subsequent_indent=indent + "  ", break_long_words=True,
        break_on_hyphens=False, drop_whitespace=True, replace_whitespace=False,
    )  # fmt: skip
