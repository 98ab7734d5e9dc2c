"""Plugins: code that registers things of its own, named on the command line or installed as an entry point."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from d2lbench.core.errors import UsageError
from d2lbench.core.seeding import key_integer

if TYPE_CHECKING:
    from collections.abc import Iterable

#: The group under which an installed package offers a module that registers things.
ENTRY_POINTS = "d2lbench"


def load(paths: Iterable[Path] = ()) -> None:
    """Import every installed entry point of the group, then the files named; importing them registers.

    Raises
    ------
    UsageError
        A plugin is missing or fails while it is imported; says which and why.
    """
    for point in metadata.entry_points(group=ENTRY_POINTS):
        try:
            point.load()
        except Exception as error:
            problem = f'plugin "{point.name}" ({point.value}) cannot be loaded: {type(error).__name__}: {error}'
            raise UsageError(problem) from error
    for path in paths:
        _load_file(Path(path).resolve())


def _load_file(path: Path) -> None:
    name = f"d2lbench_plugin_{path.stem}_{key_integer(str(path)):x}"
    if name in sys.modules:
        return
    if not path.is_file():
        problem = f"plugin {path}: no such file"
        raise UsageError(problem)
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        problem = f"plugin {path}: not a Python file"
        raise UsageError(problem)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        problem = f"plugin {path}: {type(error).__name__}: {error}{_line(error, path)}"
        raise UsageError(problem) from error


def _line(error: BaseException, path: Path) -> str:
    """Return the line of the plugin that failed; the message of a syntax error has it already."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return f" (line {lines[-1]})" if lines else ""
