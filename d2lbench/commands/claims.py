"""`d2lbench claims`: every claim with its verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING

from d2lbench.commands import flags
from d2lbench.commands.printing import show

if TYPE_CHECKING:
    from d2lbench.api.session import Request


@flags.takes_request("output", "jobs")
def claims(request: Request, *, as_json: flags.Json = False) -> None:
    """Print every claim with its verdict, effect and interval."""
    from d2lbench.api import claims as api
    from d2lbench.core.files import json_text
    from d2lbench.report import render_claims_text

    report = api.claims(request)
    show(json_text(api.claim_rows(report)) if as_json else render_claims_text(report))
