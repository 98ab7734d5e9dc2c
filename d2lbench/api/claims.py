"""Every claim with its verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from d2lbench.api.report import assembled
from d2lbench.api.session import Request, Session

if TYPE_CHECKING:
    from d2lbench.analysis.model import ClaimView, PublishedView, Report


def claims(request: Request) -> Report:
    """Return every claim of the grids asked for with its verdict, from what the store holds."""
    session = Session(request)
    with session.open_store() as store:
        return assembled(session, store)


def claim_rows(report: Report) -> list[dict[str, Any]]:
    """Return every claim with its verdict, and every published number, as plain data."""
    return [*map(_claim_row, report.claims), *map(_published_row, report.published)]


def _claim_row(claim: ClaimView) -> dict[str, Any]:
    judgement = claim.judgement
    parts = [
        {"label": part.label, "n": part.n, "estimate": part.estimate, "low": part.interval95.low,
         "high": part.interval95.high, "p": part.p}
        for part in judgement.parts
    ]  # fmt: skip
    return {
        "grid": claim.grid, "id": claim.id, "kind": claim.kind, "origin": claim.origin, "says": claim.says,
        "scale": claim.scale, "verdict": judgement.word, "reason": judgement.reason, "p_holm": judgement.p_holm,
        "margin": claim.margin, "as_ratio": claim.as_ratio, "parts": parts,
    }  # fmt: skip


def _published_row(entry: PublishedView) -> dict[str, Any]:
    theirs = [{"value": value, "inside": inside} for value, inside in entry.published]
    return {
        "grid": entry.grid, "id": entry.id, "kind": "published", "says": entry.says, "source": entry.source,
        "scale": entry.scale, "verdict": None, "arm": entry.arm, "metric": entry.metric, "n": len(entry.values),
        "mean": entry.mean, "low": entry.low, "high": entry.high, "published": theirs,
        "approximate": entry.approximate, "differs": entry.differs, "notes": entry.notes,
    }  # fmt: skip
