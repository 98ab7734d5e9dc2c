"""Facts about the house: who may import whom, how long things may be, and what stays out of the code."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import d2lbench

PACKAGE = Path(d2lbench.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))

#: A module imports only from layers below its own; within a layer, as it likes.
LAYERS = (
    {"errors", "registry", "seeding", "environment", "interrupts", "__init__"},
    {"spec", "grid"},
    {"catalogue"},
    {"engine", "timing"},
    {
        "store",
        "planning",
        "calibrating",
        "runner",
        "workers",
        "worker_process",
        "machines",
        "rounds",
        "round_process",
        "measuring_process",
        "progress",
        "plugins",
        "tuning",
        "costing",
        "costing_process",
    },
    {"analysis"},
    {"report"},
    {
        "entry",
        "cli",
        "flags",
        "suite",
        "session",
        "checking",
        "listing",
        "reference",
        "timing_command",
        "timing_text",
        "timing_claims",
        "time_cli",
        "printing",
        "__main__",
    },
)
#: Everything right of the store works without what makes the runs.
READERS = ("store", "analysis", "report")


def part_of(path):
    """Return the part of the house that a file belongs to: a folder's or a module's name."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def layer_of(part):
    (layer,) = (number for number, parts in enumerate(LAYERS) if part in parts)
    return layer


def imports_of(path):
    """Return every module that a file imports, wherever in the file and for whatever reason."""
    package = ".".join(("d2lbench", *path.relative_to(PACKAGE).parent.parts))
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join((*parents, base)).rstrip(".")
            names = [f"{base}.{alias.name}" for alias in node.names] if base == "d2lbench" else [base]
            yield from names


def parts_imported(path):
    for module in imports_of(path):
        top, _, rest = module.partition(".")
        if top == "d2lbench" and rest and not rest.startswith("__version__"):
            yield rest.partition(".")[0]


def named(path):
    return str(path.relative_to(PACKAGE))


@pytest.mark.parametrize("path", FILES, ids=named)
def test_a_module_imports_only_from_its_own_layer_and_those_below(path):
    own = layer_of(part_of(path))
    above = {part for part in parts_imported(path) if layer_of(part) > own}
    assert not above, f"{named(path)} of layer {own} imports {sorted(above)} from above"


@pytest.mark.parametrize("path", [path for path in FILES if part_of(path) in READERS], ids=named)
def test_what_reads_imports_neither_torch_nor_the_engine(path):
    assert not {"torch", "torchvision"} & {module.partition(".")[0] for module in imports_of(path)}
    assert not {"engine", "timing", "runner", "workers"} & set(parts_imported(path))


@pytest.mark.parametrize("path", [path for path in FILES if layer_of(part_of(path)) < 5], ids=named)
def test_what_makes_imports_neither_pandas_nor_matplotlib(path):
    heavy = {"pandas", "matplotlib", "seaborn", "statsmodels"}
    assert not heavy & {module.partition(".")[0] for module in imports_of(path)}


@pytest.mark.parametrize("path", FILES, ids=named)
def test_a_module_is_shorter_than_300_lines_and_a_function_than_60(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 300
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno - node.lineno < 60, f"{node.name} is long"


@pytest.mark.parametrize("path", FILES, ids=named)
def test_no_error_is_swallowed_and_nothing_in_data_is_run(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ExceptHandler):
            broad = node.type is None or (
                isinstance(node.type, ast.Name) and node.type.id in {"Exception", "BaseException"}
            )
            silent = all(isinstance(line, ast.Pass | ast.Continue) for line in node.body)
            assert not (broad and silent), f"line {node.lineno}: an error is swallowed"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in {"eval", "exec", "compile", "__import__"}, f"line {node.lineno}: {node.func.id}"
    assert not {"pickle", "cloudpickle", "marshal", "shelve", "dill"} & {
        module.partition(".")[0] for module in imports_of(path)
    }


def test_every_part_of_the_house_has_a_layer():
    assert {part_of(path) for path in FILES} <= set().union(*LAYERS)


@pytest.mark.parametrize("module", ["d2lbench.cli", "d2lbench.store", "d2lbench.grid", "d2lbench.catalogue"])
def test_leaves_and_doors_load_without_torch(module):
    assert heavy_after(f"import {module}") == set()


def test_the_reading_wing_loads_without_torch():
    assert "torch" not in heavy_after("import d2lbench.analysis.assemble, d2lbench.analysis.export, d2lbench.report")


def test_planning_loads_without_torch():
    assert (
        heavy_after("import d2lbench.planning, d2lbench.runner, d2lbench.checking; d2lbench.catalogue.load()") == set()
    )


def heavy_after(code):
    """Return which heavy libraries a fresh process has loaded after running ``code``."""
    heavy = {"torch", "pandas", "matplotlib", "sklearn", "scipy"}
    told = f"import sys; {code}; print(*({heavy!r} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True, timeout=60)
    return set(done.stdout.split())
