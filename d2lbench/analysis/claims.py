"""From a grid's results to its verdicts: every claim's differences per seed, judged as one family."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from d2lbench.analysis.headlines import unit_of
from d2lbench.analysis.model import ClaimView, PartView, SeedRow
from d2lbench.analysis.results import decisive_seeds
from d2lbench.analysis.settling import notes, on_such_data, settled
from d2lbench.analysis.sides import Reducer
from d2lbench.analysis.statistics.estimates import paired_correlation
from d2lbench.analysis.statistics.verdicts import EXACT_KINDS, Evidence, judge_family
from d2lbench.grid.claims.statement import Side

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from d2lbench.analysis.results import Reading, Results
    from d2lbench.analysis.statistics.verdicts import Judgement
    from d2lbench.grid.claims.statement import Claim, Part
    from d2lbench.grid.model import Grid

#: Picks on a ladder's edge in more than this share of the seeds leave a claim unclear.
EDGE_SHARE = 0.1


def judge(results: Results, seen: Mapping[str, tuple[str, bool] | None] | None = None) -> tuple[ClaimView, ...]:
    """Judge every claim that a grid asks at its scale; ``seen`` says for each when it was first declared."""
    asked = [claim for claim in results.grid.claims if claim.asked]
    compared = [tuple(_compared(results, part) for part in claim.parts) for claim in asked]
    evidence = [_evidence(results, claim, parts) for claim, parts in zip(asked, compared, strict=True)]
    return tuple(
        _view(results.grid, claim, judgement, parts, after_data=bool(((seen or {}).get(claim.id) or ("", False))[1]))
        for claim, judgement, parts in zip(asked, judge_family(evidence), compared, strict=True)
    )


def _compared(results: Results, part: Part) -> PartView:
    """Reduce both sides of a part at every seed that has them, and return it with what a reader needs to see."""
    reduce = Reducer(results, part.measure)
    read = {seed: (reduce(part.first, seed), reduce(part.second, seed)) for seed in decisive_seeds(results.grid)}
    sides = {seed: (one, other) for seed, (one, other) in read.items() if one is not None and other is not None}
    rows = tuple(
        SeedRow(
            seed=seed,
            first=one.value,
            second=other.value,
            difference=part.sign * (one.value - other.value),
            first_diverged=one.diverged,
            second_diverged=other.diverged,
            first_pick=one.pick,
            second_pick=other.pick,
        )
        for seed, (one, other) in sides.items()
    )
    pairs = list(sides.values())
    edge_share = max(_share([one.edge for one, _ in pairs]), _share([other.edge for _, other in pairs]))
    lower_bound, cut = _cut(part, pairs)
    paired = isinstance(part.second, Side) and len(rows) > 1
    return PartView(
        label=part.label,
        relation=part.relation,
        differences=tuple(row.difference for row in rows),
        margin=part.measure.margin,
        diverged=tuple((row.first_diverged, row.second_diverged) for row in rows),
        edge=edge_share > EDGE_SHARE or cut,
        lower_bound=lower_bound,
        first=part.first.label,
        second=part.second.label if isinstance(part.second, Side) else f"{part.second:g}",
        seeds=rows,
        correlation=paired_correlation([row.first for row in rows], [row.second for row in rows]) if paired else None,
        edge_share=edge_share,
        settled=settled(results, part),
        notes=notes(part, rows),
        on_such_data=on_such_data(results, part),
    )


def _share(flags: Sequence[bool]) -> float:
    return sum(flags) / len(flags) if flags else 0.0


def _cut(part: Part, pairs: Sequence[tuple[Reading, Reading]]) -> tuple[bool, bool]:
    """Say whether differences can only be too small (a lower bound), and whether they may be too large (an edge).

    A window that runs into the ladder's end may be wider than it was seen to be: harmless on the side that is
    claimed wider, not on the other.
    """
    wider, narrower = (0, 1) if part.sign > 0 else (1, 0)
    too_small = any(pair[wider].cut for pair in pairs)
    too_large = _share([pair[narrower].cut for pair in pairs]) > EDGE_SHARE
    return (False, too_small or too_large) if part.relation == "same" else (too_small, too_large)


def _evidence(results: Results, claim: Claim, parts: tuple[PartView, ...]) -> Evidence:
    needed = max(len(results.grid.declared_seeds), results.grid.seeds_required)
    not_run = _not_run(results, claim, min((part.n for part in parts), default=0), needed)
    return Evidence(claim.id, claim.kind, parts, needed, not_run)


def _not_run(results: Results, claim: Claim, seeds: int, needed: int) -> str | None:
    grid = results.grid
    if grid.only and not all(side.arm.label in grid.selected for part in claim.parts for side in part.sides):
        return "its arms are not among those chosen"
    if grid.is_timed and not results.runs:
        return "needs time --claims"
    return f"{seeds} {'rounds' if grid.is_timed else 'seeds'} of {needed}" if seeds < needed else None


def _view(
    grid: Grid, claim: Claim, judgement: Judgement, parts: tuple[PartView, ...], *, after_data: bool
) -> ClaimView:
    measure = claim.measure
    found, stated = None, None
    if claim.kind in EXACT_KINDS and judgement.word != "not run":  # the number and the one stated, farthest apart
        rows = ((abs(row.difference) - part.margin, row) for part in parts for row in part.seeds)
        farthest = max(rows, key=lambda pair: pair[0])[1]
        found, stated = (math.exp(x) if measure.as_ == "ratio" else x for x in (farthest.first, farthest.second))
    return ClaimView(
        id=claim.id,
        grid=grid.name,
        kind=claim.kind,
        origin=claim.origin,
        says=claim.says,
        source=claim.source,
        scale=grid.scale,
        metric=_metric_in_words(claim),
        statistic=measure.statistic.label(),
        unit=_unit(claim),
        as_ratio=measure.as_ == "ratio",
        margin=measure.margin,
        margin_reason=measure.reason,
        judgement=judgement,
        parts=parts,
        after_data=after_data,
        exploratory=bool(grid.exploratory_seeds),
        found=found,
        stated=stated,
    )


def _metric_in_words(claim: Claim) -> str:
    """Return the metric of a claim's first part, and where on a ladder it is read."""
    measure, part = claim.measure, claim.parts[0]
    told = measure.metric.label()
    if measure.along == "trials":
        return f"{told}, over the ladder of {measure.over}"
    if any(side.arm.is_tuned for each in _alike(claim) for side in each.sides):
        if part.first.stage == "tuned" and measure.select is not None:
            return f"{told}, tuned on {measure.select.label()}"
        if part.first.stage == "default":
            return f"{told}, at the default"
    return told


def _alike(claim: Claim) -> list[Part]:
    """Return the parts that have the measure of the first: those of its contexts."""
    return [part for part in claim.parts if part.measure is claim.measure]


def _unit(claim: Claim) -> str:
    measure = claim.measure
    name, axis = measure.statistic.name, measure.over.rpartition(".")[2]
    configs = [arm.config for part in _alike(claim) for arm in part.arms]
    unit = {"window": "rungs", "rank_correlation": "τ"}.get(name, unit_of(measure.metric, configs))
    return f"{unit} per {'layer' if axis == 'depth' else axis}" if name in {"slope", "late_slope"} else unit
