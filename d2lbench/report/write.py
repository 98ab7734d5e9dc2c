"""The report's files, all made before the first of them replaces an old one."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from d2lbench.core.errors import StoreError
from d2lbench.report.document import document, html, md
from d2lbench.report.exports import claims_csv, published_csv, recompute_script, seeds_csv

if TYPE_CHECKING:
    from d2lbench.analysis.model import Report

FIGURES: Final = "figures"
_OUR_FIGURE: Final = re.compile(r"[a-z0-9-]+-[0-9a-f]{10}\.svg")


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


def contents(report: Report) -> dict[str, str]:
    """Return the text of every file of the report by its path in the folder, the page last."""
    page = document(report)
    files = {f"{FIGURES}/{figure.name}.svg": figure.file for figure in page.figures}
    files |= {"claims.csv": claims_csv(report), "seeds.csv": seeds_csv(report), "recompute.py": recompute_script()}
    files |= {"published.csv": published_csv(report)}
    return files | {"report.md": md(page), "report.html": html(page)}


def _replace(files: dict[str, str], folder: Path) -> None:
    beside = Path(tempfile.mkdtemp(prefix=".report-", dir=folder))
    try:
        for name, text in files.items():
            path = beside / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
        (folder / FIGURES).mkdir(exist_ok=True)
        for name in files:
            os.replace(beside / name, folder / name)  # noqa: PTH105
        _forget_old_figures(folder / FIGURES, files)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _forget_old_figures(folder: Path, files: dict[str, str]) -> None:
    """Remove figures that an earlier report named the way this one does and that no file refers to any more."""
    for path in sorted(folder.iterdir()):
        if _OUR_FIGURE.fullmatch(path.name) and f"{FIGURES}/{path.name}" not in files:
            path.unlink()
    if not any(folder.iterdir()):
        folder.rmdir()
