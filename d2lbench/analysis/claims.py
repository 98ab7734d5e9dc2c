"""From a grid's results to its verdicts: every claim's differences per seed, judged as one family."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from d2lbench.analysis.headlines import unit_of
from d2lbench.analysis.model import ClaimView, PartView, SeedRow
from d2lbench.analysis.results import decisive_seeds
from d2lbench.analysis.settling import notes, on_such_data, settled
from d2lbench.analysis.sides import Reducer, SideValue
from d2lbench.analysis.statistics import Evidence, Judgement, judge_family, paired_correlation
from d2lbench.analysis.statistics import Part as Pair
from d2lbench.grid.claims.statement import Side

if TYPE_CHECKING:
    from d2lbench.analysis.results import Results
    from d2lbench.grid.claims.statement import Claim, Comparison, Part
    from d2lbench.grid.model import Grid

#: Picks on a ladder's edge in more than this share of the seeds leave a claim unclear.
EDGE_SHARE = 0.1


@dataclass(frozen=True)
class _Compared:
    """One comparison with its seeds, as the judge and as the reader need it."""

    pair: Pair
    view: PartView


def judge(results: Results, seen: dict[str, tuple[str, bool] | None] | None = None) -> tuple[ClaimView, ...]:
    """Judge every claim that a grid asks at its scale; ``seen`` says for each when it was first declared."""
    grid = results.grid
    asked = [claim for claim in grid.claims if claim.asked]
    compared = {claim.id: [_compare(results, part, one) for part, one in _pairs(claim)] for claim in asked}
    evidence = [_evidence(results, claim, compared[claim.id]) for claim in asked]
    judgements = judge_family(evidence)
    return tuple(
        _view(grid, claim, judgement, compared[claim.id], after_data=bool(((seen or {}).get(claim.id) or ("", 0))[1]))
        for claim, judgement in zip(asked, judgements, strict=True)
    )


def _pairs(claim: Claim) -> list[tuple[Part, Comparison]]:
    return [(part, comparison) for part in claim.parts for comparison in part.comparisons]


# ----------------------------------------------------------------------------------------------- one comparison


def _compare(results: Results, part: Part, comparison: Comparison) -> _Compared:
    reduce = Reducer(results, part)
    rows, sides = [], []
    for seed in decisive_seeds(results.grid):
        first = reduce(comparison.first, seed)
        second = _second(reduce, comparison, seed)
        if first is None or second is None:
            continue
        rows.append(_seed_row(seed, first, second, comparison.sign))
        sides.append((first, second))
    edges = [_share([one.edge for one, _ in sides]), _share([other.edge for _, other in sides])]
    lower_bound, cut = _cut(comparison, sides)
    label = _label(part, comparison)
    pair = Pair(
        label=label,
        relation=comparison.relation,
        differences=tuple(row.difference for row in rows),
        margin=part.margin,
        diverged=tuple((row.first_diverged, row.second_diverged) for row in rows),
        edge=max(edges) > EDGE_SHARE or cut,
        lower_bound=lower_bound,
    )
    return _Compared(pair, _part_view(results, part, comparison, label, rows, max(edges)))


def _second(reduce: Reducer, comparison: Comparison, seed: int) -> SideValue | None:
    if isinstance(comparison.second, Side):
        return reduce(comparison.second, seed)
    return SideValue(reduce.constant(comparison.second))


def _seed_row(seed: int, first: SideValue, second: SideValue, sign: int) -> SeedRow:
    difference = sign * (first.value - second.value)
    return SeedRow(
        seed, first.value, second.value, difference, first.diverged, second.diverged, first.pick, second.pick
    )


def _share(flags: Sequence[bool]) -> float:
    return sum(flags) / len(flags) if flags else 0.0


def _cut(comparison: Comparison, sides: Sequence[tuple[SideValue, SideValue]]) -> tuple[bool, bool]:
    """Say whether differences can only be too small (a lower bound), and whether they may be too large (an edge).

    A window that runs into the ladder's end may be wider than it was seen to be: harmless on the side that is
    claimed wider, not on the other.
    """
    wider, narrower = (0, 1) if comparison.sign > 0 else (1, 0)
    too_small = any(pair[wider].cut for pair in sides)
    too_large = _share([pair[narrower].cut for pair in sides]) > EDGE_SHARE
    if comparison.relation == "same":
        return False, too_small or too_large
    return too_small, too_large


def _label(part: Part, comparison: Comparison) -> str:
    label = comparison.label or part.label
    return label if not part.label or part.label in label else f"{part.label}: {label}"


def _part_view(
    results: Results, part: Part, comparison: Comparison, label: str, rows: list[SeedRow], edge_share: float
) -> PartView:
    first, second = [row.first for row in rows], [row.second for row in rows]
    paired = isinstance(comparison.second, Side) and len(rows) > 1
    return PartView(
        label=label,
        first=comparison.first.label,
        second=comparison.second.label if isinstance(comparison.second, Side) else f"{comparison.second:g}",
        relation=comparison.relation,
        margin=part.margin,
        seeds=tuple(rows),
        correlation=paired_correlation(first, second) if paired else None,
        edge_share=edge_share,
        settled=settled(results, part, comparison),
        notes=notes(results, part, comparison, rows),
        on_such_data=on_such_data(results, part, comparison),
    )


# ---------------------------------------------------------------------------------------------------- one claim


def _evidence(results: Results, claim: Claim, compared: list[_Compared]) -> Evidence:
    kind: Any = claim.kind
    grid = results.grid
    needed = max(len(grid.declared_seeds), grid.seeds_required)
    reason = _not_run(results, claim, compared, needed)
    if reason is not None:
        return Evidence(claim.id, kind, not_run=reason)
    pairs = tuple(each.pair for each in compared)
    if claim.kind in {"identity", "count"}:
        farthest = max(pairs, key=lambda pair: max(map(abs, pair.differences)) - pair.margin)
        return Evidence(claim.id, kind, values=farthest.differences, tolerance=farthest.margin)
    if claim.kind == "demonstration":
        trials = min(len(pair.differences) for pair in pairs)
        shown = sum(all(pair.differences[k] > 0 for pair in pairs) for k in range(trials))
        return Evidence(claim.id, kind, successes=shown, trials=trials, seeds_required=needed)
    return Evidence(claim.id, kind, parts=pairs, seeds_required=needed)


def _not_run(results: Results, claim: Claim, compared: list[_Compared], needed: int) -> str | None:
    grid = results.grid
    if grid.only and not all(side.arm.label in grid.selected for one in claim.comparisons for side in one.sides):
        return "its arms are not among those chosen"
    seeds = min((len(each.pair.differences) for each in compared), default=0)
    if grid.is_timed and not results.runs:
        return "needs time --claims"
    return f"{seeds} {'rounds' if grid.is_timed else 'seeds'} of {needed}" if seeds < needed else None


def _view(grid: Grid, claim: Claim, judgement: Judgement, compared: list[_Compared], *, after_data: bool) -> ClaimView:
    part = claim.parts[0] if claim.parts else None
    found, stated = _found_and_stated(claim, judgement, compared)
    return ClaimView(
        id=claim.id,
        grid=grid.name,
        kind=claim.kind,
        origin=claim.origin,
        says=claim.says,
        source=claim.source,
        scale=grid.scale,
        metric=_metric_in_words(part) if part else "",
        statistic=part.statistic.label() if part else "",
        unit=_unit(part) if part else "",
        as_ratio=bool(part and part.as_ == "ratio"),
        margin=part.margin if part else math.nan,
        margin_reason=part.reason if part else "",
        judgement=judgement,
        parts=tuple(each.view for each in compared),
        after_data=after_data,
        exploratory=bool(grid.exploratory_seeds),
        family_size=judgement.family_size or 0,
        found=found,
        stated=stated,
    )


def _found_and_stated(
    claim: Claim, judgement: Judgement, compared: list[_Compared]
) -> tuple[float | None, float | None]:
    """Return the number itself and the one stated, of an identity or a count, where they are farthest apart."""
    if claim.kind not in {"identity", "count"} or judgement.word == "not run":
        return None, None
    told = math.exp if claim.parts[0].as_ == "ratio" else float
    rows = ((abs(row.difference) - one.pair.margin, row) for one in compared for row in one.view.seeds)
    farthest = max(rows, key=lambda pair: pair[0])[1]
    return told(farthest.first), told(farthest.second)


def _metric_in_words(part: Part) -> str:
    tuned = any(side.arm.is_tuned for one in part.comparisons for side in one.sides)
    stage = ""
    if tuned and part.stage == "tuned" and part.select is not None and part.along != "trials":
        stage = f", tuned on {part.select.label()}"
    elif tuned and part.stage == "default":
        stage = ", at the default"
    elif part.along == "trials":
        stage = f", over the ladder of {part.over}"
    return f"{part.metric.label()}{stage}"


def _unit(part: Part) -> str:
    units = {"window": "rungs", "rank_correlation": "τ"}
    configs = [arm.config for one in part.comparisons for side in one.sides for arm in side.arms]
    unit = units.get(part.statistic.name, unit_of(part.metric, configs))
    axis = part.over.rpartition(".")[2]
    return (
        f"{unit} per {'layer' if axis == 'depth' else axis}"
        if part.statistic.name in {"slope", "late_slope"}
        else str(unit)
    )
