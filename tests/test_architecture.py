"""Facts about the house: who may import whom, how long things may be, and what stays out of the code."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import d2lbench

PACKAGE = Path(d2lbench.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))

#: The rooms by floor, from the ground up: a room imports only from floors below its own.
FLOORS = (
    {"core"},
    {"grid", "catalogue"},
    {"store", "engine"},
    {"running", "timing", "analysis"},
    {"report"},
    {"api"},
    {"commands"},
    {"__main__"},
)
READERS, MAKERS = ("store", "analysis", "report"), ("engine", "running", "timing")
FUNCTION_LINES, MODULE_LINES = 60, 400


@pytest.fixture(scope="module")
def house():
    spec = importlib.util.spec_from_file_location("house", Path(__file__).with_name("house.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules["house"] = module
    spec.loader.exec_module(module)
    return module.House.read()


def test_a_room_imports_only_from_floors_below_its_own(house):
    floor_of = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
    assert house.rooms.keys() == floor_of.keys()
    upward = {(room, other) for room, others in house.rooms.items() for other in others}
    assert {(room, other) for room, other in upward if floor_of[other] >= floor_of[room]} == set()


def test_no_modules_import_each_other_in_a_circle(house):
    assert house.circle == []


def test_what_reads_reaches_neither_torch_nor_what_makes(house):
    reached = house.reached(*READERS)
    assert not {"torch", "torchvision"} & reached
    assert not {module for module in reached if module.startswith(tuple(f"d2lbench.{room}" for room in MAKERS))}


def test_what_makes_reaches_neither_pandas_nor_matplotlib(house):
    assert not {"pandas", "matplotlib", "seaborn", "statsmodels"} & house.reached(*MAKERS)


def test_modules_and_functions_stay_short():
    lines = {path.name: path.read_text(encoding="utf-8").count("\n") for path in FILES}
    assert {name: count for name, count in lines.items() if count > MODULE_LINES} == {}
    functions = {f"{path.name}: {node.name}": node for path, node in nodes(ast.FunctionDef, ast.AsyncFunctionDef)}
    long = {name: node.end_lineno - node.lineno + 1 for name, node in functions.items()}
    assert {name: count for name, count in long.items() if count > FUNCTION_LINES} == {}


def test_no_error_is_swallowed_and_nothing_in_data_is_run():
    for path, node in nodes(ast.ExceptHandler):
        broad = node.type is None or (
            isinstance(node.type, ast.Name) and node.type.id in {"Exception", "BaseException"}
        )
        silent = all(isinstance(line, ast.Pass | ast.Continue) for line in node.body)
        assert not (broad and silent), f"{path}, line {node.lineno}: an error is swallowed"
    called = {(node.func.id, path.name) for path, node in nodes(ast.Call) if isinstance(node.func, ast.Name)}
    assert not {call for call in called if call[0] in {"eval", "exec", "compile", "__import__"}}


def test_nothing_is_pickled_by_our_own_hand(house):
    imported = set().union(*(house.imports[module] for module in house.modules))
    assert not {"pickle", "cloudpickle", "marshal", "shelve", "dill"} & imported


@cache
def parsed(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def nodes(*kinds):
    return ((path, node) for path in FILES for node in ast.walk(parsed(path)) if isinstance(node, kinds))


DOORS = {
    "the package": "import d2lbench; d2lbench.Session",
    "the command line": "import d2lbench.__main__",
    "grids": "import d2lbench.store, d2lbench.grid, d2lbench.catalogue; d2lbench.catalogue.load()",
    "planning": "import d2lbench.running.work, d2lbench.running.runner, d2lbench.api.check",
}


@pytest.mark.parametrize("code", DOORS.values(), ids=DOORS)
def test_it_loads_without_what_is_heavy(code):
    assert heavy_after(code) == set()


def test_the_reading_wing_loads_without_torch():
    assert "torch" not in heavy_after("import d2lbench.analysis.assemble, d2lbench.analysis.export, d2lbench.report")


def heavy_after(code):
    """Return which heavy libraries a fresh process has loaded after running ``code``."""
    heavy = {"torch", "pandas", "matplotlib", "sklearn", "scipy"}
    told = f"import sys; {code}; print(*({heavy!r} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True, timeout=60)
    return set(done.stdout.split())
