"""Published numbers beside ours: how many lie inside, what a page says of each, and their places on a strip."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from d2lbench.report.dots import HALF, SPARK_WIDTH, fixed_place
from d2lbench.report.escape import stem
from d2lbench.report.format import NOTHING, Effect, Unit, counted
from d2lbench.report.words import headline

if TYPE_CHECKING:
    from d2lbench.analysis.model import PublishedView, Report

#: Half widths of the prediction interval that a strip shows to each side of our mean.
REACH: Final = 2.0


@dataclass(frozen=True)
class Theirs:
    """One published number: in words, inside or outside (or no word, where it cannot be said), its place on the strip.

    ``place`` is in pixels, as text; ``cut`` says on which side of the strip it lies beyond it: "left", "right" or "".
    """

    told: str
    word: str
    place: str
    cut: str


def anchor(entry: PublishedView) -> str:
    """Return the name of a published number in links."""
    return stem("published", entry.grid, entry.id)


def ours(entry: PublishedView) -> Effect:
    """Return our mean and the prediction interval of one run, a dash where too few have run."""
    told = Unit(entry.unit).levels(entry.mean, entry.low, entry.high)
    return told if math.isfinite(entry.low) else Effect(told.estimate, NOTHING)


def theirs(entry: PublishedView) -> tuple[Theirs, ...]:
    """Return the published numbers in words and on the strip."""
    half, found = (entry.high - entry.low) / 2, []
    for value, inside in entry.published:
        place = HALF * (1 + (value - entry.mean) / (REACH * half)) if half > 0 else HALF
        told = f"{'≈' if entry.approximate else ''}{Unit(entry.unit).level(value)}"
        word = "" if inside is None else "inside" if inside else "outside"
        cut = "left" if place < 0 else "right" if place > SPARK_WIDTH else ""
        found.append(Theirs(told, word, fixed_place(place), cut))
    return tuple(found)


def strip(entry: PublishedView) -> tuple[str, str] | None:
    """Return left end and width of the prediction interval on the strip, in pixels; None where it has no width."""
    if not (math.isfinite(entry.low) and entry.high > entry.low):
        return None
    return fixed_place(HALF * (1 - 1 / REACH)), fixed_place(HALF * 2 / REACH)


def theirs_in_words(entry: PublishedView) -> str:
    """Return ``≈83.0 % inside, ≈85.5 % outside``, or where they are alike ``≈83.0 %, ≈83.5 % all inside``."""
    found = theirs(entry)
    words = {each.word for each in found}
    if len(words) > 1 or len(found) == 1:
        return ", ".join(f"{each.told} {each.word}".rstrip() for each in found)
    told, word = ", ".join(each.told for each in found), words.pop()
    return f"{told} all {word}" if word else told


def first_line(report: Report) -> str:
    """Return the headline: of what was claimed, or where nothing was, of the published numbers."""
    return (published_line(report) if not report.claims else "") or headline(report)


def published_line(report: Report) -> str:
    """Say how many published numbers lie where one run of ours would; empty where there are none."""
    found = [inside for entry in report.published for _, inside in entry.published]
    judged = [inside for inside in found if inside is not None]
    if not found:
        return ""
    if not judged:
        return f"{counted(len(found), 'published number')}, but too few runs of ours to put beside."
    whole = counted(len(judged), "published number")
    return f"Beside {whole}: {sum(judged)} inside the 95 % prediction interval of one run of ours."
