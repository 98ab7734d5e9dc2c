"""Facts about the documents: what they show works, and what there is they name."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from typer.main import get_command

from d2lbench import catalogue
from d2lbench.commands.app import app
from d2lbench.commands.list import listed, plural
from d2lbench.commands.reference import COMMAND, page
from d2lbench.grid import load

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
REGISTRY = catalogue.load()


def test_the_readmes_grid_loads_and_is_short():
    (text,) = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    grid = load(text, REGISTRY, file="wide.toml")
    assert [claim.id for claim in grid.claims] == ["wider-is-better"]
    assert len(text.splitlines()) <= 10


@pytest.mark.parametrize("command", sorted(get_command(app).commands))
def test_every_command_is_in_the_readme(command):
    assert re.search(rf"`(d2lbench )?{command}\b", README)


@pytest.mark.parametrize("kind", REGISTRY.kinds())
def test_every_registered_name_is_listed_with_its_summary(kind):
    text = listed(REGISTRY, plural(kind))
    for entry in REGISTRY.entries(kind):
        assert f"{entry.name}: {entry.summary}" in text
        assert entry.summary


def test_the_page_of_registered_names_is_what_the_command_prints():
    """A process of its own: tests beside this one register things."""
    arguments = [sys.executable, "-m", "d2lbench", *COMMAND.split()[1:]]
    printed = subprocess.run(arguments, cwd=ROOT, capture_output=True, check=True, timeout=60).stdout.decode()
    checked_in = (ROOT / "docs" / "catalogue.md").read_text(encoding="utf-8")
    assert printed == checked_in, f"docs/catalogue.md is out of date: {COMMAND} > docs/catalogue.md"


@pytest.mark.parametrize("kind", REGISTRY.kinds())
def test_every_registered_name_and_option_has_its_place_on_the_page(kind):
    part = page(REGISTRY, kind)
    for entry in REGISTRY.entries(kind):
        (own,) = re.findall(rf"^### {re.escape(entry.name)}\n(.*?)(?=^### |\Z)", part, re.DOTALL | re.MULTILINE)
        assert entry.summary.replace("``", "`").split(":`")[0] in own
        assert [line.split("`")[1] for line in own.splitlines() if line.startswith("- `")] == list(entry.options)
        assert "``" not in own


@pytest.mark.parametrize(
    "document", ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/catalogue.md"]
)
def test_links_between_documents_resolve(document):
    text = (ROOT / document).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        if not target.startswith("http"):
            assert ((ROOT / document).parent / target).exists(), target


def test_every_place_that_the_architecture_names_exists():
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    places = re.findall(r"`([a-z_/]+\.py):(\w+)`", text)
    assert len(places) > 10
    for file, name in places:
        tree = ast.parse((ROOT / "d2lbench" / file).read_text(encoding="utf-8"))
        assert name in {getattr(node, "name", None) for node in tree.body}, f"{file}:{name}"


def test_the_version_is_the_same_everywhere():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    version = project["project"]["version"]
    assert f"version: {version}" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"## {version}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    from d2lbench import __version__

    assert __version__ == version


def test_no_data_set_is_committed():
    listed_files = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S607
    assert not re.findall(r"\.(gz|sqlite|pt|safetensors|npz)$", listed_files.stdout, re.MULTILINE)
