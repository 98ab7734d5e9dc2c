"""A question that makes sense at one scale only: left out where none is named, refused where it is."""

from __future__ import annotations

import json

import pytest

from d2lbench import catalogue, grid
from d2lbench.api import session
from d2lbench.api.check import check
from d2lbench.api.session import Request, Session
from d2lbench.commands.check import checks_json, checks_text
from d2lbench.commands.flags import ListFormat
from d2lbench.commands.list import listed
from d2lbench.core.errors import GridError
from d2lbench.grid import find_grids, scales

FULL = 'seeds = 3\nscales = ["full"]'


@pytest.fixture
def folder(tmp_path, grid_text, monkeypatch):
    """Put two grids where the packaged ones are looked for: one for both scales, one for the full one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "both.toml").write_text(grid_text(top="seeds = 3"), encoding="utf-8")
    (tmp_path / "large.toml").write_text(grid_text(top=FULL), encoding="utf-8")
    for module in (session, grid):
        monkeypatch.setattr(
            module, "find_grids", lambda names=(): find_grids(names) if names else sorted(tmp_path.glob("*.toml"))
        )
    return tmp_path


def test_a_grid_says_at_which_scales_it_is_asked(folder):
    assert scales(folder / "both.toml") == ("quick", "full")
    assert scales(folder / "large.toml") == ("full",)


def test_without_names_a_grid_of_the_other_scale_is_left_out(folder):
    quick, full = (Session(Request(scale=scale)) for scale in ("quick", "full"))
    assert [grid.name for grid in quick.grids] == ["both"]
    assert quick.left_out == {folder / "large.toml": ("full",)}
    assert [grid.name for grid in full.grids] == ["both", "large"]
    assert full.left_out == {}


def test_a_grid_that_is_named_at_the_other_scale_is_refused_and_the_flag_told(folder):
    for count in (1, 2):
        with pytest.raises(
            GridError, match=r"large\.toml: scales: the grid is not asked at the quick scale.*--scale full"
        ):
            Session(Request(names=("both.toml", "large.toml")[-count:]))
    assert [grid.name for grid in Session(Request(names=("large.toml",), scale="full")).grids] == ["large"]
    assert (folder / "large.toml").is_file()


def test_check_and_list_tell_of_it(folder):
    found = check(Request(store=folder / "none.sqlite"))
    assert "large: asked at the full scale only" in checks_text(found)
    assert json.loads(checks_json(found))[-1] == {"name": "large", "scales": ["full"], "cells": None}
    assert "A grid (--scale full only)" in listed(catalogue.load(), None)
    assert [entry["scales"] for entry in json.loads(listed(catalogue.load(), "grids", ListFormat.json))] == [
        ["quick", "full"],
        ["full"],
    ]
