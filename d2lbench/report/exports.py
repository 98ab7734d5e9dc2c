"""The numbers behind the words as CSV, and the script that recomputes every p from them."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from d2lbench.report.escape import csv_cell

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from d2lbench.analysis.model import ClaimView, PartView, PublishedView, Report
    from d2lbench.analysis.statistics.verdicts import Judgement

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


#: What is known of a part only where it was tested.
OF_TESTED = (
    "estimate", "p", "p_against", "test", "exact", "interquartile_mean", "hodges_lehmann", "fragile",
    "probability_of_winning", "no_variation",
)  # fmt: skip


def claims_csv(report: Report) -> str:
    """Return a row per part of a claim; one for a claim without parts."""
    return _csv(CLAIM_COLUMNS, (row for claim in report.claims for row in _claim_rows(claim)))


def seeds_csv(report: Report) -> str:
    """Return a row per part of a claim and seed."""
    rows = (
        _Row({"grid": claim.grid, "claim": claim.id, "part": place}, seed, part)
        for claim in report.claims
        for place, part in enumerate(claim.parts, start=1)
        for seed in part.seeds
    )
    return _csv(SEED_COLUMNS, rows)


def published_csv(report: Report) -> str:
    """Return a row per published number, with the values of our seeds from which its interval can be computed."""
    return _csv(PUBLISHED_COLUMNS, (row for entry in report.published for row in _published_rows(entry)))


class _Row:
    """A row of a table: some cells by name of their column, the others attributes of the first record that has them."""

    def __init__(self, cells: Mapping[str, object], *records: object) -> None:
        self._cells, self._records = cells, records

    def __getitem__(self, column: str) -> object:
        """Return a cell; None where nothing is known of it."""
        if column in self._cells:
            return self._cells[column]
        return next((getattr(record, column) for record in self._records if hasattr(record, column)), None)


def _csv(columns: Sequence[str], rows: Iterable[_Row]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([csv_cell(row[column]) for column in columns] for row in rows)
    return buffer.getvalue()


def _claim_rows(claim: ClaimView) -> Iterable[_Row]:
    judgement = claim.judgement
    cells = {
        "claim": claim.id,
        "statement": claim.says,
        "verdict": judgement.shown,
        "claim_p": judgement.p,
        "claim_p_holm": judgement.p_holm,
        "share": judgement.share.estimate if judgement.share is not None else None,
    }
    if not claim.parts:
        yield _Row({**cells, "p": None}, claim, judgement)
    for place, part in enumerate(claim.parts, start=1):
        low, high = part.on_such_data or (None, None)
        own = {"part": place, "on_such_data_low": low, "on_such_data_high": high}
        yield _Row({**cells, **own, **_tested(part, judgement)}, part, claim, judgement)


def _tested(part: PartView, judgement: Judgement) -> dict[str, object]:
    """Return the intervals of a part; nothing but blanks where it was not tested."""
    if not judgement.parts:
        return dict.fromkeys(OF_TESTED)
    corrected = judgement.corrected(part)
    return {
        "low_95": part.interval95.low,
        "high_95": part.interval95.high,
        "corrected_level": corrected.level,
        "low_corrected": corrected.low,
        "high_corrected": corrected.high,
    }


def _published_rows(entry: PublishedView) -> Iterable[_Row]:
    for value, inside in entry.published:
        cells = {
            "statement": entry.says,
            "n": len(entry.values),
            "low_95": entry.low,
            "high_95": entry.high,
            "published": value,
            "inside": inside,
            "differs": "; ".join(entry.differs),
            "notes": "; ".join(entry.notes),
            "seed_values": " ".join(map(repr, entry.values)),
        }
        yield _Row(cells, entry)
