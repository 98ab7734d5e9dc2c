"""The words, icons and counts that a verdict is shown with."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from d2lbench.report.format import counted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from d2lbench.analysis.model import ClaimView, Report

WORDS: Final = ("supported", "refuted", "unclear", "not run")
ICONS: Final = {"supported": "✓", "refuted": "✗", "unclear": "?", "not run": "○"}
IN_THE_HEADLINE: Final = ("comparison", "equivalence")
KIND_PLURALS: Final = {
    "identity": "identities",
    "count": "counts",
    "demonstration": "demonstrations",
    "timing": "timings",
    "comparison": "comparisons",
    "equivalence": "equivalences",
}
KINDS: Final = {
    "identity": "true by algebra: checked to floating point",
    "count": "an exact number beside the stated one",
    "demonstration": "random, but the effect is guaranteed: its size is the news",
    "comparison": "could go either way: estimate, interval, verdict",
    "equivalence": "claims that nothing changes: tested against ±margin",
    "timing": "compares times on one machine",
}
ORIGINS: Final = {"notes": "from the notes", "book": "from the book", "ours": "our own"}
SCALES: Final = {
    "quick": "Quick scale: a rehearsal on small data that runs in minutes. The full scale is the answer.",
    "full": "Full scale: this is the answer; the quick scale is its rehearsal.",
}


@dataclass(frozen=True)
class Verdict:
    """How a verdict looks: the word decides colour and icon, the text is what is read."""

    word: str
    text: str
    icon: str
    style: str


@dataclass(frozen=True)
class Tally:
    """How many of some claims got which word, in the order of ``WORDS``."""

    total: int
    counts: tuple[tuple[str, int], ...]

    @property
    def in_words(self) -> str:
        """``3 supported, 1 refuted, 2 unclear, 1 not run``."""
        return ", ".join(f"{count} {word}" for word, count in self.counts)

    @property
    def bars(self) -> tuple[tuple[Verdict, int], ...]:
        """The words with at least one claim, as verdicts."""
        return tuple((verdict(word), count) for word, count in self.counts if count)


def verdict(word: str, text: str = "") -> Verdict:
    """Return how ``word`` is shown, reading ``text`` where it says more."""
    return Verdict(word, text or word, ICONS.get(word, "?"), word.replace(" ", "-") if word in ICONS else "unclear")


def tally(claims: Iterable[ClaimView]) -> Tally:
    """Count the words of ``claims``."""
    words = Counter(claim.judgement.word for claim in claims)
    return Tally(words.total(), tuple((word, words[word]) for word in WORDS))


def in_headline(claim: ClaimView) -> bool:
    """Whether a claim counts in the headline: it could go either way, and it was declared before the data."""
    return claim.kind in IN_THE_HEADLINE and not claim.exploratory


def headline(report: Report) -> str:
    """Return the first line of every summary."""
    counts = tally(claim for claim in report.claims if in_headline(claim))
    if not counts.total:
        return "No comparison and no equivalence was asked for, so there is nothing to support or refute."
    return f"Of {counts.total} tested: {counts.in_words}."


def second_line(report: Report) -> str:
    """Return what became of the claims that are no questions; empty where there are none."""
    parts = []
    for kind in ("identity", "count", "demonstration", "timing"):
        words = Counter(claim.judgement.shown.partition(" (")[0] for claim in report.claims if claim.kind == kind)
        if words:
            told = ", ".join(f"{count} {word}" for word, count in sorted(words.items()))
            parts.append(f"{counted(words.total(), kind, KIND_PLURALS[kind])} ({told})")
    return f"Beside them: {'; '.join(parts)}." if parts else ""


def caveats(report: Report) -> tuple[str, ...]:
    """Return what a reader of the headline must know: claims that are marked and why."""
    exploratory = sum(claim.exploratory for claim in report.claims)
    late = sum(claim.after_data and in_headline(claim) for claim in report.claims)
    lines = []
    if late:
        verb = "was" if late == 1 else "were"
        lines.append(f'{late} of these {verb} first stated after data of the grid had been seen: marked "after data".')
    if exploratory:
        lines.append(f"{counted(exploratory, 'exploratory claim')} shown below but not counted here.")
    return tuple(lines)


def scale_sentence(scale: str) -> str:
    """Say what the scale of a report means."""
    return SCALES.get(scale, f"Scale: {scale}.")
