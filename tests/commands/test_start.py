"""Facts about starting: what need not wait for torch, pandas or matplotlib does not."""

from __future__ import annotations

import subprocess
import sys

import pytest
from typer.main import get_command

from d2lbench.commands.app import app

COMMANDS = sorted(get_command(app).commands)

LOADED = """
import contextlib, io, sys
from d2lbench.__main__ import main
for arguments in {calls}:
    sys.argv = ["d2lbench", *arguments]
    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
        main()
print(*sorted({{name.partition(".")[0] for name in sys.modules}} & {{{heavy}}}))
"""


def loaded(calls, heavy, folder):
    """Return which of the heavy libraries a process has loaded after some commands."""
    code = LOADED.format(calls=calls, heavy=", ".join(map(repr, heavy)))
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.split()


def test_no_help_loads_a_heavy_library(tmp_path):
    calls = [["--help"], *([command, "--help"] for command in COMMANDS)]
    assert loaded(calls, ["torch", "numpy", "scipy", "pandas", "matplotlib", "sklearn", "pydantic_core"], tmp_path) in (
        [],
        ["pydantic_core"],  # newer versions of typer bring it themselves
    )


def test_check_and_list_load_neither_torch_nor_what_only_reports_need(house):
    calls = [["check", "tiny.toml"], ["check"], ["list"], ["list", "optimizers"], ["schema"]]
    assert loaded(calls, ["torch", "sklearn", "scipy", "pandas", "matplotlib", "seaborn"], house.folder) == []


def test_reading_commands_never_load_torch(trained):
    calls = [
        ["show", "tiny.toml"],
        ["claims", "tiny.toml"],
        ["export", "tiny.toml"],
        ["report", "tiny.toml", "-o", "again"],
    ]
    assert loaded(calls, ["torch", "torchvision"], trained.folder) == []


@pytest.mark.parametrize("command", COMMANDS)
def test_every_help_says_what_the_command_does_and_what_each_flag_means(call, command):
    code, out, err = call(command, "--help")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith("Usage: d2lbench " + command)
    assert len(lines[2].split()) > 4, "a sentence, not a word"
    for parameter in get_command(app).commands[command].params:
        assert getattr(parameter, "help", "x"), f"{parameter.name} is explained"
