"""What a report says, as plain frozen records: made by the analysis, drawn and written by the report.

Numbers are what they are (shares, not percent); every label is raw text that the writer must escape.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from d2lbench.analysis.statistics.parts import Part

if TYPE_CHECKING:
    from d2lbench.analysis.figures import ArmTable, FigureGroup
    from d2lbench.analysis.statistics.verdicts import Judgement
    from d2lbench.analysis.timing_model import CostTable, Kernels


@dataclass(frozen=True)
class SeedRow:
    """One seed of one comparison: the two sides' numbers, their difference (in logs for ratios), what was picked."""

    seed: int
    first: float
    second: float
    difference: float
    first_diverged: bool = False
    second_diverged: bool = False
    first_pick: str = ""
    second_pick: str = ""


@dataclass(frozen=True, kw_only=True)
class PartView(Part):
    """One comparison of a claim with its seeds: what was judged, what a reader needs to see and to recompute the p."""

    first: str
    second: str
    seeds: tuple[SeedRow, ...]
    correlation: float | None = None
    edge_share: float = 0.0  # share of seeds whose pick lies on the ladder's edge, worse side
    settled: float | None = None  # mean change of the metric over the last 10 % of training, worse side
    notes: tuple[str, ...] = ()  # what a reader must know of these numbers: censored values, what they generalize to
    on_such_data: tuple[float, float] | None = None  # crossed bootstrap of seeds × examples, accuracies only


@dataclass(frozen=True)
class ClaimView:
    """A claim with its verdict."""

    id: str
    grid: str
    kind: str
    origin: str
    says: str
    source: str
    scale: str
    metric: str  # in words: "test_accuracy, last, tuned on validation_accuracy"
    statistic: str
    unit: str
    as_ratio: bool
    margin: float
    margin_reason: str
    judgement: Judgement
    parts: tuple[PartView, ...] = ()
    after_data: bool = False
    exploratory: bool = False
    found: float | None = None  # identities, counts, demonstrations: the number itself, beside
    stated: float | None = None  # the one that was stated or predicted


@dataclass(frozen=True)
class PublishedView:
    """What somebody else found, beside our runs of the same setting; no verdict."""

    id: str
    grid: str
    says: str
    source: str
    scale: str
    metric: str
    unit: str
    arm: str
    values: tuple[float, ...]  # ours, seed by seed
    mean: float
    low: float  # of the 95 % prediction interval of one run; NaN where too few seeds have run
    high: float
    published: tuple[tuple[float, bool | None], ...]  # theirs, and whether it lies inside; None: cannot be said
    approximate: bool  # read off a figure
    differs: tuple[str, ...]  # settings of theirs that are not ours
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class CheckView:
    """A sanity check of a grid: the A/A arm and the arm with rate 0."""

    name: str
    says: str
    passed: bool | None  # None: not run
    detail: str
    differences: tuple[float, ...] = ()


@dataclass(frozen=True)
class Section:
    """Everything about one grid."""

    name: str
    title: str
    question: str
    scale: str
    size: str
    setting: tuple[tuple[str, str], ...]  # the baseline, key by key
    seeds: tuple[int, ...]
    counts: dict[str, int]  # done, diverged, failed, skipped, missing
    reasons: tuple[tuple[str, int], ...]
    claims: tuple[ClaimView, ...]
    table: ArmTable | None
    figures: tuple[FigureGroup, ...]
    checks: tuple[CheckView, ...]
    data: tuple[tuple[str, str], ...] = ()  # dataset, checksum
    published: tuple[PublishedView, ...] = ()
    costs: CostTable | None = None


@dataclass(frozen=True)
class Report:
    """The whole report."""

    scale: str
    sections: tuple[Section, ...]
    command: str
    environment: str
    provenance: tuple[tuple[str, str], ...]
    untested: tuple[tuple[str, str], ...] = ()  # claim, reason: asked elsewhere or at another scale
    version: str = ""
    notes: tuple[str, ...] = field(default_factory=tuple)
    kernels: Kernels | None = None

    @property
    def claims(self) -> tuple[ClaimView, ...]:
        """All claims, in the order of the grids."""
        return tuple(claim for section in self.sections for claim in section.claims)

    @property
    def published(self) -> tuple[PublishedView, ...]:
        """All published numbers, in the order of the grids."""
        return tuple(entry for section in self.sections for entry in section.published)

    @property
    def data(self) -> tuple[tuple[str, str], ...]:
        """All datasets, each with its checksum."""
        return tuple(sorted({pair for section in self.sections for pair in section.data}))
