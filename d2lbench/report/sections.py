"""A grid's section as a page shows it: tables in words, figures drawn."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from d2lbench.report import claims
from d2lbench.report.costs import CostPage, cost_page
from d2lbench.report.curves import draw_panel
from d2lbench.report.escape import stem
from d2lbench.report.format import NOTHING, Unit, fixed, seeds_in_words, sentence
from d2lbench.report.maps import draw_map
from d2lbench.report.style import colour_map
from d2lbench.report.words import Tally, Verdict, tally, verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from d2lbench.analysis.figures import FigureGroup
    from d2lbench.analysis.model import ArmRow, ArmTable, CheckView, ClaimView, PublishedView, Section
    from d2lbench.report.curves import Look
    from d2lbench.report.style import Drawn

STATES: Final = ("done", "diverged", "failed", "skipped", "missing")


@dataclass(frozen=True)
class ArmLine:
    """One arm of a table, in words."""

    context: str
    label: str
    is_baseline: bool
    value: str
    interval: str
    train: str
    against: str
    against_interval: str
    correlation: str
    runs: str
    tuned: str


@dataclass(frozen=True)
class ArmPage:
    """A table of arms, in words."""

    metric: str
    mean: str
    train_metric: str
    rows: tuple[ArmLine, ...]
    trivial_label: str
    trivial: str
    has_contexts: bool
    has_picks: bool
    has_train: bool


@dataclass(frozen=True)
class GroupPage:
    """Figures that belong together, and what they show."""

    kind: str
    caption: str
    figures: tuple[Drawn, ...]


@dataclass(frozen=True)
class CheckPage:
    """A check, in words; ``verdict`` carries icon and colour."""

    name: str
    says: str
    verdict: Verdict
    detail: str


@dataclass(frozen=True)
class SectionPage:
    """A grid, in words."""

    anchor: str
    name: str
    title: str
    question: str
    scale: str
    size: str
    seeds: str
    counts: str
    finished: int
    reasons: tuple[tuple[str, str], ...]
    setting: tuple[tuple[str, str], ...]
    claims: tuple[ClaimView, ...]
    claim_figures: Mapping[str, Drawn | None]  # by the claim's id
    tally: Tally
    table: ArmPage | None
    figures: tuple[GroupPage, ...]
    checks: tuple[CheckPage, ...]
    published: tuple[PublishedView, ...]
    costs: CostPage | None

    @property
    def drawn(self) -> tuple[Drawn, ...]:
        """All figures in the order in which they appear."""
        drawn = [figure for figure in self.claim_figures.values() if figure is not None]
        groups = [figure for group in self.figures for figure in group.figures]
        return (*drawn, *groups, *(self.costs.figures if self.costs else ()))


def section_page(section: Section) -> SectionPage:
    """Put a grid's section into words and draw its figures."""
    counts = section.counts
    states = [state for state in (*STATES, *sorted(set(counts) - set(STATES))) if counts.get(state)]
    looks = _looks(section)
    return SectionPage(
        anchor=stem("grid", section.name),
        name=section.name,
        title=section.title or section.name,
        question=section.question,
        scale=section.scale,
        size=section.size,
        seeds=seeds_in_words(section.seeds),
        counts=", ".join(f"{counts[state]:,} {state}" for state in states) or "no runs",
        finished=counts.get("done", 0) + counts.get("diverged", 0),
        reasons=tuple((reason, f"{count:,}") for reason, count in section.reasons),
        setting=section.setting,
        claims=section.claims,
        claim_figures={claim.id: claims.claim_figure(claim) for claim in section.claims},
        tally=tally(section.claims),
        table=_arm_page(section.table) if section.table is not None else None,
        figures=tuple(_group_page(section.name, i, group, looks) for i, group in enumerate(section.figures)),
        checks=tuple(_check_page(check) for check in section.checks),
        published=section.published,
        costs=cost_page(section.costs, section.name, looks) if section.costs is not None else None,
    )


def _looks(section: Section) -> Mapping[str, Look]:
    """Return each arm's colour and dash, the same in all figures of the section."""
    panels = [panel for group in section.figures for panel in group.panels]
    arms = [(curve.label, curve.is_baseline) for panel in panels for curve in panel.curves]
    arms += [(row.label, row.is_baseline) for row in (section.costs.rows if section.costs is not None else ())]
    return colour_map(text for text, is_baseline in arms if not is_baseline)


def _group_page(name: str, place: int, group: FigureGroup, looks: Mapping[str, Look]) -> GroupPage:
    caption = sentence(group.caption)
    panels = [
        draw_panel(panel, stem(name, group.kind, panel.title, f"{place}.{i}"), looks, caption)
        for i, panel in enumerate(group.panels)
    ]
    maps = [
        draw_map(heat, stem(name, group.kind, heat.title, f"{place}.map{i}"), caption)
        for i, heat in enumerate(group.maps)
    ]
    return GroupPage(group.kind, caption, (*panels, *maps))


def _arm_page(table: ArmTable) -> ArmPage:
    unit = Unit(table.unit, table.as_ratio)
    known = bool(table.trivial_label) and math.isfinite(table.trivial)
    return ArmPage(
        metric=table.metric,
        mean="geometric mean" if table.as_ratio else "mean",
        train_metric=table.train_metric,
        rows=tuple(_arm_line(row, unit) for row in table.rows),
        trivial_label=table.trivial_label if known else "",
        trivial=unit.level(table.trivial) if known else "",
        has_contexts=any(row.context for row in table.rows),
        has_picks=any(row.tuned for row in table.rows),
        has_train=any(math.isfinite(row.train.mean) for row in table.rows),
    )


def _arm_line(row: ArmRow, unit: Unit) -> ArmLine:
    value = unit.levels(row.metric.mean, row.metric.low, row.metric.high)
    train = unit.levels(row.train.mean, row.train.low, row.train.high)
    against = row.against_baseline
    told = unit.effect(against.mean, against.low, against.high) if against is not None else None
    return ArmLine(
        context=row.context,
        label=row.label,
        is_baseline=row.is_baseline,
        value=value.estimate,
        interval=value.interval,
        train=train.estimate,
        against="baseline" if row.is_baseline else told.estimate if told else NOTHING,
        against_interval=told.interval if told and told.estimate != NOTHING and not row.is_baseline else "",
        correlation=NOTHING if row.correlation is None else fixed(row.correlation, 2),
        runs=_runs(row),
        tuned=row.tuned,
    )


def _runs(row: ArmRow) -> str:
    parts = [str(row.done)]
    if row.diverged:
        parts.append(f"{row.diverged} diverged")
    if row.missing:
        parts.append(f"{row.missing} missing")
    return ", ".join(parts)


def _check_page(check: CheckView) -> CheckPage:
    if check.passed is None:
        shown = verdict("not run")
    else:
        shown = verdict("supported", "passed") if check.passed else verdict("refuted", "failed")
    return CheckPage(check.name, sentence(check.says), shown, sentence(check.detail))
