"""The numbers behind the words as CSV, and the script that recomputes every p from them."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

from d2lbench.report.document import TEMPLATES
from d2lbench.report.escape import csv_cell

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from d2lbench.analysis.model import ClaimView, PartView, PublishedView, Report
    from d2lbench.analysis.statistics import PartResult

Row = dict[str, Any]

CLAIM_COLUMNS = (
    "grid", "claim", "kind", "origin", "scale", "statement", "source", "metric", "statistic", "unit", "as_ratio",
    "word", "verdict", "reason", "claim_p", "claim_p_holm", "family_size", "at_half_margin", "at_double_margin",
    "seeds_to_decide", "suite_word", "after_data", "exploratory", "found", "stated", "deviation", "share", "part",
    "label", "first", "second", "relation", "margin", "n", "estimate", "low_95", "high_95", "corrected_level",
    "low_corrected", "high_corrected", "p", "p_against", "test", "exact", "interquartile_mean", "hodges_lehmann",
    "fragile", "probability_of_winning", "no_variation", "correlation", "edge_share", "settled", "on_such_data_low",
    "on_such_data_high",
)  # fmt: skip
SEED_COLUMNS = (
    "grid", "claim", "part", "label", "relation", "margin", "seed", "first", "second", "difference", "first_diverged",
    "second_diverged", "first_pick", "second_pick",
)  # fmt: skip

PUBLISHED_COLUMNS = (
    "grid", "id", "scale", "statement", "source", "arm", "metric", "unit", "n", "mean", "low_95", "high_95",
    "published", "approximate", "inside", "differs", "notes", "seed_values",
)  # fmt: skip


def claims_csv(report: Report) -> str:
    """Return a row per part of a claim; one for a claim without parts."""
    return _csv(CLAIM_COLUMNS, (row for claim in report.claims for row in _claim_rows(claim)))


def seeds_csv(report: Report) -> str:
    """Return a row per part of a claim and seed."""
    return _csv(SEED_COLUMNS, (row for claim in report.claims for row in _seed_rows(claim)))


def published_csv(report: Report) -> str:
    """Return a row per published number, with the values of our seeds from which its interval can be computed."""
    return _csv(PUBLISHED_COLUMNS, (row for entry in report.published for row in _published_rows(entry)))


def recompute_script() -> str:
    """Return the script that recomputes every p in ``claims.csv`` from ``seeds.csv``."""
    return (TEMPLATES / "recompute.py.txt").read_text(encoding="utf-8")


def _csv(columns: Sequence[str], rows: Iterable[Row]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([csv_cell(row.get(column)) for column in columns] for row in rows)
    return buffer.getvalue()


def _claim_rows(claim: ClaimView) -> list[Row]:
    judgement = claim.judgement
    row: Row = {
        "grid": claim.grid,
        "claim": claim.id,
        "kind": claim.kind,
        "origin": claim.origin,
        "scale": claim.scale,
        "statement": claim.says,
        "source": claim.source,
        "metric": claim.metric,
        "statistic": claim.statistic,
        "unit": claim.unit,
        "as_ratio": claim.as_ratio,
        "word": judgement.word,
        "verdict": judgement.shown,
        "reason": judgement.reason,
        "claim_p": judgement.p,
        "claim_p_holm": judgement.p_holm,
        "family_size": judgement.family_size,
        "at_half_margin": judgement.at_half_margin,
        "at_double_margin": judgement.at_double_margin,
        "seeds_to_decide": judgement.seeds_to_decide,
        "suite_word": claim.suite_word,
        "after_data": claim.after_data,
        "exploratory": claim.exploratory,
        "found": claim.found,
        "stated": claim.stated,
        "deviation": judgement.deviation,
        "share": judgement.share.estimate if judgement.share is not None else None,
        "margin": claim.margin,
    }
    if not claim.parts:
        return [row]
    results: tuple[PartResult | None, ...] = judgement.parts
    if len(results) != len(claim.parts):
        results = (None,) * len(claim.parts)
    return [
        {**row, "part": i, **_part_cells(part), **(_result_cells(result) if result is not None else {})}
        for i, (part, result) in enumerate(zip(claim.parts, results, strict=True), start=1)
    ]


def _part_cells(part: PartView) -> Row:
    low, high = part.on_such_data or (None, None)
    return {
        "label": part.label,
        "first": part.first,
        "second": part.second,
        "relation": part.relation,
        "margin": part.margin,
        "n": len(part.seeds),
        "correlation": part.correlation,
        "edge_share": part.edge_share,
        "settled": part.settled,
        "on_such_data_low": low,
        "on_such_data_high": high,
    }


def _result_cells(result: PartResult) -> Row:
    return {
        "n": result.n,
        "estimate": result.estimate,
        "low_95": result.interval95.low,
        "high_95": result.interval95.high,
        "corrected_level": result.interval_corrected.level,
        "low_corrected": result.interval_corrected.low,
        "high_corrected": result.interval_corrected.high,
        "p": result.p,
        "p_against": result.p_against,
        "test": result.test,
        "exact": result.exact,
        "interquartile_mean": result.interquartile_mean,
        "hodges_lehmann": result.hodges_lehmann,
        "fragile": result.fragile,
        "probability_of_winning": result.probability_of_winning,
        "no_variation": result.no_variation,
    }


def _seed_rows(claim: ClaimView) -> Iterable[Row]:
    for i, part in enumerate(claim.parts, start=1):
        for seed in part.seeds:
            yield {
                "grid": claim.grid,
                "claim": claim.id,
                "part": i,
                "label": part.label,
                "relation": part.relation,
                "margin": part.margin,
                "seed": seed.seed,
                "first": seed.first,
                "second": seed.second,
                "difference": seed.difference,
                "first_diverged": seed.first_diverged,
                "second_diverged": seed.second_diverged,
                "first_pick": seed.first_pick,
                "second_pick": seed.second_pick,
            }


def _published_rows(entry: PublishedView) -> Iterable[Row]:
    for value, inside in entry.published:
        yield {
            "grid": entry.grid,
            "id": entry.id,
            "scale": entry.scale,
            "statement": entry.says,
            "source": entry.source,
            "arm": entry.arm,
            "metric": entry.metric,
            "unit": entry.unit,
            "n": len(entry.values),
            "mean": entry.mean,
            "low_95": entry.low,
            "high_95": entry.high,
            "published": value,
            "approximate": entry.approximate,
            "inside": inside,
            "differs": "; ".join(entry.differs),
            "notes": "; ".join(entry.notes),
            "seed_values": " ".join(map(repr, entry.values)),
        }
