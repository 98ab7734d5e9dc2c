"""A row per cell, and the weights that were kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from d2lbench.api.session import Request, Session
from d2lbench.core.errors import UsageError
from d2lbench.core.files import write_file

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd


def export(request: Request) -> pd.DataFrame:
    """Return a row per cell of the grids asked for, with a column per metric."""
    import pandas as pd

    from d2lbench.analysis.assemble import results_of
    from d2lbench.analysis.export import frame

    session = Session(request)
    with session.open_store() as store:
        tables = [frame(results_of(grid, store, session.environment)).assign(grid=grid.name) for grid in session.grids]
    table = pd.concat(tables, ignore_index=True)
    table.insert(0, "grid", table.pop("grid"))
    return table


def export_weights(request: Request, folder: Path) -> int:
    """Write the kept weights of the grids asked for, a file per cell named by its identity, and return how many.

    Raises
    ------
    UsageError
        No weights were kept.
    """
    session = Session(request)
    with session.open_store() as store:
        cells = {cell.id for grid in session.grids for cell in grid.cells()}
        kept = {cell: content for cell in sorted(cells) if (content := store.weights(session.environment, cell))}
    if not kept:
        problem = "export --format safetensors: no weights were kept; say keep_weights = true in the grid, and run it"
        raise UsageError(problem)
    for cell, content in kept.items():
        write_file(folder / f"{cell}.safetensors", content)
    return len(kept)
