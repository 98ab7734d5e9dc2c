"""Where grids are found: in the folder of the work at hand, in the package's own copy, or at a path."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from d2lbench.core.errors import UsageError, nearest_name

if TYPE_CHECKING:
    from collections.abc import Sequence

FOLDER = "ablations"


def packaged_folder() -> Path:
    """Return where the questions of the package lie: within it, or beside it in a checkout."""
    package = Path(__file__).resolve().parents[2]
    inside = package / FOLDER
    return inside if inside.is_dir() else package.parent / FOLDER


def find_grids(names: Sequence[str | Path] = ()) -> list[Path]:
    """Return the files of grids named by name or path; of no names, all that travel with the package.

    Raises
    ------
    UsageError
        There is no such grid; says where it was looked for, and the nearest name.
    """
    if not names:
        return _in(packaged_folder())
    return list(dict.fromkeys(_find(name) for name in names))


def _in(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.toml"), key=lambda path: path.stem) if folder.is_dir() else []


def _find(name: str | Path) -> Path:
    path, folders = Path(name), (Path(FOLDER), packaged_folder())
    if path.suffix == ".toml" or len(path.parts) > 1:
        if path.is_file():
            return path
        problem = f"there is no grid file {path}"
        raise UsageError(problem)
    for folder in folders:
        found = folder / f"{name}.toml"
        if found.is_file():
            return found
    known = dict.fromkeys(found.stem for folder in folders for found in _in(folder))
    nearest = nearest_name(str(name), known)
    problem = f'there is no grid "{name}" in {" or ".join(str(folder) for folder in folders)}'
    problem += f"; there are: {', '.join(known)}" if known else "; there are none"
    raise UsageError(problem + (f'; did you mean "{nearest}"?' if nearest else ""))
