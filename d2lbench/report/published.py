"""Published numbers beside ours as a page shows them: every number in words, and their places on a strip."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from d2lbench.report.escape import stem
from d2lbench.report.format import NOTHING, Unit, counted, sentence
from d2lbench.report.spark import HALF, WIDTH, fixed_place
from d2lbench.report.words import headline

if TYPE_CHECKING:
    from d2lbench.analysis.model import PublishedView, Report

METHOD: Final = (
    "A published number is one run, so it is held against the 95 % prediction interval of one run of ours: the mean"
    " over seeds ± t·s·√(1 + 1/n). The interval of our mean would be the wrong one: a perfect repetition falls outside"
    " it more often than not. This is no test and stands outside all corrections: of twenty perfect repetitions one"
    " falls outside by luck, and where a setting differs, so may the number. ≈ marks what was read off a figure."
)
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


@dataclass(frozen=True)
class Strip:
    """The prediction interval on the strip: left end and width in pixels, as text."""

    left: str
    width: str


@dataclass(frozen=True)
class PublishedPage:
    """A published number, or several of one experiment, beside ours."""

    anchor: str
    id: str
    says: str
    source: str
    arm: str
    metric: str
    ours: str
    interval: str
    n: str
    theirs: tuple[Theirs, ...]
    strip: Strip | None
    differs: str
    notes: str

    @property
    def theirs_in_words(self) -> str:
        """``≈83.0 % inside, ≈85.5 % outside``, or where they are alike ``≈83.0 %, ≈83.5 % all inside``."""
        words = {each.word for each in self.theirs}
        if len(words) > 1 or len(self.theirs) == 1:
            return ", ".join(f"{each.told} {each.word}".rstrip() for each in self.theirs)
        told, word = ", ".join(each.told for each in self.theirs), words.pop()
        return f"{told} all {word}" if word else told


def published_page(entry: PublishedView) -> PublishedPage:
    """Put a published number and ours into words."""
    unit = Unit(entry.unit)
    ours = unit.levels(entry.mean, entry.low, entry.high)
    known = math.isfinite(entry.low)
    half = (entry.high - entry.low) / 2
    return PublishedPage(
        anchor=stem("published", entry.grid, entry.id),
        id=entry.id,
        says=sentence(entry.says),
        source=entry.source,
        arm=entry.arm,
        metric=entry.metric,
        ours=ours.estimate,
        interval=ours.interval if known else NOTHING,
        n=str(len(entry.values)) if entry.values else NOTHING,
        theirs=tuple(_theirs(entry, unit, place) for place in range(len(entry.published))),
        strip=Strip(fixed_place(HALF * (1 - 1 / REACH)), fixed_place(HALF * 2 / REACH)) if known and half > 0 else None,
        differs="; ".join(entry.differs) or "nothing that we know of",
        notes="; ".join(entry.notes),
    )


def _theirs(entry: PublishedView, unit: Unit, index: int) -> Theirs:
    value, inside = entry.published[index]
    half = (entry.high - entry.low) / 2
    place = HALF * (1 + (value - entry.mean) / (REACH * half)) if half > 0 else HALF
    return Theirs(
        told=f"{'≈' if entry.approximate else ''}{unit.level(value)}",
        word="" if inside is None else "inside" if inside else "outside",
        place=fixed_place(place),
        cut="left" if place < 0 else "right" if place > WIDTH else "",
    )


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
