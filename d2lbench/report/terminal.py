"""The verdicts as plain text for a terminal."""

from __future__ import annotations

import textwrap
import unicodedata
from typing import TYPE_CHECKING, Final

from d2lbench.report import claims, published
from d2lbench.report.escape import plain, visible
from d2lbench.report.format import NOTHING, sentence
from d2lbench.report.published import first_line, published_line
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
    told, p = claims.effect(claim), claims.corrected_p(claim)
    numbers = "" if told.estimate == NOTHING else told.estimate
    if claim.judgement.word == "not run":
        numbers = plain(sentence(claim.judgement.reason))
    elif numbers and told.interval != NOTHING:
        numbers += f" [{told.interval}]"
    if NOTHING not in {p, told.estimate}:
        numbers += f"  n {claims.seeds_behind(claim)}  corrected p {p}"
    shown = claims.verdict_of(claim)
    verdict = f"{shown.icon} {_padded(plain(shown.text), 24)}"
    marks = "".join(f" [{mark}]" for mark, _ in claims.marks(claim))
    lines = _wrapped(f"{verdict} {_padded(plain(claim.id, LONGEST_ID), LONGEST_ID)} {claim.kind}{marks}", width, "  ")
    lines += _wrapped(sentence(claim.says), width, "      ")
    return lines + _wrapped(numbers, width, "      ")


def _published_line(entry: PublishedView, width: int) -> list[str]:
    """Return ours and theirs on a line, which wraps where it is longer than the terminal is wide."""
    ours = published.ours(entry)
    told = "ours not run" if ours.estimate == NOTHING else f"ours {ours.estimate}"
    told += f" [{ours.interval}] n {len(entry.values)}" if ours.interval != NOTHING else ""
    name = _padded(plain(entry.id, LONGEST_ID), LONGEST_ID)
    line = f"\N{MIDDLE DOT} {name} {told}  published {published.theirs_in_words(entry)}"
    return _wrapped(line + (f"  ({'; '.join(entry.notes)})" if entry.notes else ""), width, "  ")


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
