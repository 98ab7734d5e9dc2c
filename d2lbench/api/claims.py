"""Every claim with its verdict."""

from __future__ import annotations

from typing import Any

from d2lbench.api.report import _assembled
from d2lbench.api.session import Request, Session
from d2lbench.core.files import json_text


def claims_text(request: Request) -> str:
    """Return every claim with its verdict, for a terminal."""
    from d2lbench.report import render_claims_text

    session = Session(request)
    with session.open_store() as store:
        return render_claims_text(_assembled(session, store))


def claims_json(request: Request) -> str:
    """Return every claim with its verdict, for machines."""
    return json_text(claim_rows(request))


def claim_rows(request: Request) -> list[dict[str, Any]]:
    """Return every claim with its verdict, and every published number, as plain data."""
    session = Session(request)
    with session.open_store() as store:
        report = _assembled(session, store)
    return [*map(_claim_row, report.claims), *map(_published_row, report.published)]


def _claim_row(claim: Any) -> dict[str, Any]:
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


def _published_row(entry: Any) -> dict[str, Any]:
    theirs = [{"value": value, "inside": inside} for value, inside in entry.published]
    return {
        "grid": entry.grid, "id": entry.id, "kind": "published", "says": entry.says, "source": entry.source,
        "scale": entry.scale, "verdict": None, "arm": entry.arm, "metric": entry.metric, "n": len(entry.values),
        "mean": entry.mean, "low": entry.low, "high": entry.high, "published": theirs,
        "approximate": entry.approximate, "differs": entry.differs, "notes": entry.notes,
    }  # fmt: skip
