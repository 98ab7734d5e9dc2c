"""Facts about plugins: loaded once, and told of by name and cause where they fail."""

from __future__ import annotations

import pytest

from d2lbench.catalogue import plugins
from d2lbench.core.errors import UsageError


def test_a_plugin_runs_once_however_often_it_is_named(tmp_path):
    log = tmp_path / "log"
    path = tmp_path / "counted_once.py"
    path.write_text(f"with open({str(log)!r}, 'a') as log: log.write('x')")
    plugins.load([path, path])
    plugins.load([path])
    assert log.read_text() == "x"


def test_two_plugins_of_one_name_are_two_plugins(tmp_path):
    logs = []
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        path = tmp_path / folder / "same_name.py"
        path.write_text(f"open({str(tmp_path / folder / 'log')!r}, 'w').close()")
        plugins.load([path])
        logs.append((tmp_path / folder / "log").exists())
    assert logs == [True, True]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("1 / 0", r"plugin .*broken\.py: ZeroDivisionError: division by zero \(line 1\)"),
        ("def f(:", r"plugin .*broken\.py: SyntaxError: .*"),
        (
            "import no_such_module_here",
            r"plugin .*broken\.py: ModuleNotFoundError: No module named 'no_such_module_here'",
        ),
        ("raise SystemExit(0)", r"plugin .*broken\.py: SystemExit: 0"),
        (
            "from d2lbench import register\n@register('optimizer', 'sgd')\ndef sgd(): ...",
            r'plugin .*broken\.py: ValueError: optimizer "sgd" is registered already, by d2lbench\.catalogue\.opt',
        ),
    ],
)
def test_a_failing_plugin_is_told_with_its_cause(tmp_path, text, told):
    from d2lbench import catalogue

    catalogue.load()
    path = tmp_path / "broken.py"
    path.write_text(text)
    with pytest.raises(UsageError, match=told):
        plugins.load([path])


@pytest.mark.parametrize(("name", "told"), [("none.py", "no such file"), ("text.txt", "not a Python file")])
def test_what_is_no_plugin_is_refused(tmp_path, name, told):
    (tmp_path / "text.txt").write_text("x = 1")
    with pytest.raises(UsageError, match=told):
        plugins.load([tmp_path / name])


def test_a_failing_entry_point_is_named(monkeypatch):
    class Point:
        name, value = "mine", "mine.module"

        def load(self):
            problem = "no module"
            raise ImportError(problem)

    monkeypatch.setattr(plugins.metadata, "entry_points", lambda group: [Point()])
    with pytest.raises(UsageError, match=r'plugin "mine" \(mine\.module\) cannot be loaded: ImportError: no module'):
        plugins.load()
