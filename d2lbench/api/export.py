"""A row per cell as CSV or JSON, and the weights that were kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from d2lbench.api.session import Request, Session
from d2lbench.core.errors import UsageError
from d2lbench.core.files import json_text

if TYPE_CHECKING:
    from pathlib import Path


def exported(request: Request, form: str) -> str:
    """Return a row per cell of the grids asked for, as CSV or JSON."""
    import pandas as pd

    from d2lbench.analysis.assemble import results_of
    from d2lbench.analysis.export import as_csv, frame

    session = Session(request)
    with session.open_store() as store:
        tables = [frame(results_of(grid, store, session.environment)).assign(grid=grid.name) for grid in session.grids]
    table = pd.concat(tables, ignore_index=True)
    table.insert(0, "grid", table.pop("grid"))
    return as_csv(table) if form == "csv" else json_text(table.astype(object).to_dict("records")) + "\n"


def export_weights(request: Request, folder: Path | None) -> str:
    """Write the kept weights of the grids asked for, a file per cell named by its identity, and say how many.

    Raises
    ------
    UsageError
        No folder is named, or no weights were kept.
    """
    if folder is None:
        problem = "export --format safetensors: name a folder with -o"
        raise UsageError(problem)
    session = Session(request)
    with session.open_store() as store:
        cells = {cell.id for grid in session.grids for cell in grid.cells()}
        kept = {cell: content for cell in sorted(cells) if (content := store.weights(session.environment, cell))}
    if not kept:
        problem = "export --format safetensors: no weights were kept; say keep_weights = true in the grid, and run it"
        raise UsageError(problem)
    folder.mkdir(parents=True, exist_ok=True)
    for cell, content in kept.items():
        (folder / f"{cell}.safetensors").write_bytes(content)
    return f"{len(kept)} files in {folder}"
