"""Where published datasets are stored, in torchvision's layout, and how their files are checked before use."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from d2lbench.core.errors import DataError
from d2lbench.core.files import cache_folder
from d2lbench.core.kinds import DatasetTraits
from d2lbench.core.registry import REGISTRY, Registry
from d2lbench.core.spec import Cell, Config

if TYPE_CHECKING:
    from collections.abc import Iterable


def data_folder() -> Path:
    """Return where datasets are stored: ``$D2LBENCH_DATA``, else a folder in the user's cache."""
    named = os.environ.get("D2LBENCH_DATA")
    return Path(named) if named else cache_folder()


def refuse_missing(dataset: str, path: Path, layout: str, statements: str) -> None:
    """Check, without reading it, that a file is there.

    ``layout`` says what kind of folder is looked for; ``statements`` are the Python that fetches the file.

    Raises
    ------
    DataError
        Names the missing file, where it was looked for, and how to get it.
    """
    if not path.is_file():
        problem = (
            f"{dataset}: {path.name} is not in {path.parent}; set D2LBENCH_DATA to {layout}, "
            f'or fetch it once with: python -c "{statements}"'
        )
        raise DataError(problem)


def checked_bytes(dataset: str, path: Path, md5: str) -> bytes:
    """Return a file's content after comparing its MD5 with the published one.

    Raises
    ------
    DataError
        The file is not the published one: names it and both sums.
    """
    content = path.read_bytes()
    digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if digest != md5:
        problem = f"{dataset}: {path} is damaged (MD5 {digest}, expected {md5}); fetch it again"
        raise DataError(problem)
    return content


def digest_of(*sums: str) -> str:
    """Return one check sum for a dataset of several files: what identifies it in a cell."""
    return hashlib.sha256("".join(sums).encode()).hexdigest()


def missing_data(cells: Iterable[Cell], registry: Registry = REGISTRY) -> dict[str, str]:
    """Return, by dataset, why its files cannot be read; empty where all are there."""
    reasons = {}
    for name in sorted({dataset_name(cell) for cell in cells} - {""}):
        locate = registry.get(DatasetTraits, name).traits.locate
        try:
            if locate:
                locate()
        except DataError as error:
            reasons[name] = str(error)
    return reasons


def dataset_name(cell: Cell) -> str:
    """Return the name of the dataset that a cell trains on; empty where it measures something else."""
    return cell.config.dataset.name if isinstance(cell.config, Config) else ""
