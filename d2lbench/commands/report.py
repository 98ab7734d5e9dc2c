"""`d2lbench report`: write the report from the store again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from d2lbench.commands import flags
from d2lbench.commands.printing import show

if TYPE_CHECKING:
    from d2lbench.api.session import Request


@flags.takes_request("jobs")
def report(request: Request) -> None:
    """Write the report from the store again; nothing is trained."""
    from d2lbench.api import report as api

    show(str(api.report(request)))
