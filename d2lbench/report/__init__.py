"""The report: figures, HTML, Markdown, CSV and terminal text from what the analysis found."""

from d2lbench.report.terminal import render_claims_text
from d2lbench.report.write import write_report

__all__ = ["render_claims_text", "write_report"]
