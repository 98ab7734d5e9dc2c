"""Pages and figures from what the analysis found: HTML, Markdown, CSV and terminal text."""

from d2lbench.report.terminal import render_claims_text
from d2lbench.report.write import write_report

__all__ = ["render_claims_text", "write_report"]
