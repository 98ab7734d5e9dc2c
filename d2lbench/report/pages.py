"""The report's files: figures drawn once, pages made of the analysis' records, all written before one is replaced."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from markupsafe import Markup

from d2lbench.core.errors import StoreError
from d2lbench.report.claims import claim_figure
from d2lbench.report.costs import draw_cost_plots
from d2lbench.report.curves import draw_group
from d2lbench.report.escape import markdown, plain
from d2lbench.report.exports import claims_csv, published_csv, seeds_csv
from d2lbench.report.filters import FILTERS, GLOBALS, TESTS
from d2lbench.report.kernels import draw_kernels
from d2lbench.report.style import colour_map, drawing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jinja2 import Environment

    from d2lbench.analysis.model import Report, Section
    from d2lbench.report.style import Drawn

TEMPLATES: Final = Path(__file__).parent / "templates"
FIGURES: Final = "figures"
_OUR_FIGURE: Final = re.compile(r"[a-z0-9-]+-[0-9a-f]{10}\.svg")


def contents(report: Report) -> dict[str, str]:
    """Return the text of every file of the report by its path in the folder, the page last."""
    with drawing():
        figures = dict(_figures(report))
    files = {f"{FIGURES}/{figure.name}.svg": figure.file for drawn in figures.values() for figure in drawn}
    files |= {"claims.csv": claims_csv(report), "seeds.csv": seeds_csv(report), "published.csv": published_csv(report)}
    files["recompute.py"] = (TEMPLATES / "recompute.py.txt").read_text(encoding="utf-8")
    for name in ("report.md", "report.html"):
        jinja = environment(name)
        jinja.filters["drawn"] = lambda record: figures[id(record)]
        files[name] = jinja.get_template(f"{name}.j2").render(report=report)
    return files


def environment(page: str) -> Environment:
    """Return Jinja's environment in which every expression is escaped for what ``page`` is: HTML or Markdown."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=True,
        finalize=_visible if page.endswith(".html") else _in_markdown,
    )
    made.filters |= FILTERS
    made.tests |= TESTS
    made.globals |= GLOBALS
    return made


def _visible(value: Any) -> Any:
    """Strip what no page should hold from plain text, which Jinja then escapes; markup of our own passes."""
    return value if isinstance(value, Markup) or not isinstance(value, str) else plain(value)


def _in_markdown(value: Any) -> Markup:
    """Escape for Markdown what is no markup of our own."""
    return value if isinstance(value, Markup) else Markup(markdown(value))  # noqa: S704  (escaped, but not for HTML)


def _figures(report: Report) -> Iterator[tuple[int, tuple[Drawn, ...]]]:
    """Draw all figures in the order in which they appear; yield each record's under the record's identity."""
    for section in report.sections:
        looks = colour_map(label for label, is_baseline in _arms(section) if not is_baseline)
        for claim in section.claims:
            figure = claim_figure(claim)
            yield id(claim), () if figure is None else (figure,)
        for place, group in enumerate(section.figures):
            yield id(group), draw_group(section.name, place, group, looks)
        if section.table is not None and section.costs is not None:
            yield id(section.costs), draw_cost_plots(section.name, section.table, section.costs, looks)
    if report.kernels is not None:
        yield from draw_kernels(report.kernels)


def _arms(section: Section) -> Iterator[tuple[str, bool]]:
    """Yield the arms in the order in which figures show them, so that each looks the same in all of them."""
    for curve in (curve for group in section.figures for panel in group.panels for curve in panel.curves):
        yield curve.label, curve.is_baseline
    for row in section.costs.rows if section.costs is not None else ():
        yield row.arm.label, row.arm.is_baseline


def write_report(report: Report, folder: Path) -> Path:
    """Write the report into ``folder`` and return the path of its page.

    ``report.html`` stands alone; ``report.md`` refers to ``figures/``; ``claims.csv``, ``seeds.csv`` and
    ``recompute.py`` let a reader check every p, ``published.csv`` every prediction interval. The same report gives the
    same bytes. A crash leaves the old report: everything is first written to a folder beside, the page moves last.

    Raises
    ------
    StoreError
        If the folder cannot be written; says which and why.
    """
    files = contents(report)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _replace(files, folder)
    except OSError as error:
        reason = error.strerror or str(error)
        message = f"{folder}: the report could not be written ({reason}); choose another folder with -o"
        raise StoreError(message) from error
    return folder / "report.html"


def _replace(files: dict[str, str], folder: Path) -> None:
    figures = folder / FIGURES
    with tempfile.TemporaryDirectory(prefix=".report-", dir=folder, ignore_cleanup_errors=True) as beside:
        for name, text in files.items():
            path = Path(beside, name)
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
        figures.mkdir(exist_ok=True)
        for name in files:
            os.replace(Path(beside, name), folder / name)  # noqa: PTH105
    for path in sorted(figures.iterdir()):  # those of an earlier report, which no file refers to any more
        if _OUR_FIGURE.fullmatch(path.name) and f"{FIGURES}/{path.name}" not in files:
            path.unlink()
    if not any(figures.iterdir()):
        figures.rmdir()
