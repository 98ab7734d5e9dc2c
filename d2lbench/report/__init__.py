"""Pages and figures from what the analysis found: HTML, Markdown, CSV and terminal text."""

from d2lbench.report.pages import write_report
from d2lbench.report.terminal import render_claims_text

__all__ = ["render_claims_text", "write_report"]
