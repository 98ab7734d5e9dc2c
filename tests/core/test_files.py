"""Facts about files: replaced whole or not at all, JSON without NaN, the user's cache where it always was."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from d2lbench.catalogue.datasets.files import data_folder
from d2lbench.core.errors import StoreError
from d2lbench.core.files import cache_folder, json_text, replace_file, write_file
from d2lbench.engine import calibration


def test_what_is_not_finite_is_null_and_all_else_is_kept():
    content = {"a": float("nan"), "b": [float("inf"), 1e-05, 1e16, -0.0], 3: (True, None, "ü")}
    text = json_text(content)
    assert json.loads(text) == {"a": None, "b": [None, 1e-05, 1e16, -0.0], "3": [True, None, "ü"]}
    assert "1e-05" in text
    assert "ü" in text


def test_a_file_is_replaced_whole_and_no_draft_is_left(tmp_path):
    path = tmp_path / "new" / "file.txt"
    replace_file(path, "before")
    replace_file(path, b"\x00after")
    assert path.read_bytes() == b"\x00after"
    assert [each.name for each in path.parent.iterdir()] == ["file.txt"]


def test_a_file_that_cannot_be_replaced_stays_and_no_draft_is_left(tmp_path, monkeypatch):
    path = tmp_path / "file.txt"
    replace_file(path, "before")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(StoreError, match=r"file\.txt could not be written: No space left on device; choose another"):
        write_file(path, "after")
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.name != "posix" or os.uname().sysname != "Linux", reason="the paths of Linux")
@pytest.mark.parametrize("named", ["/elsewhere", "", None])
def test_the_cache_lies_where_it_lay_before(monkeypatch, named):
    for name in ("D2LBENCH_DATA", "D2LBENCH_CALIBRATION", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    if named is not None:
        monkeypatch.setenv("XDG_CACHE_HOME", named)
    expected = Path(named or Path.home() / ".cache") / "d2lbench"
    assert cache_folder() == data_folder() == expected
    assert calibration.folder() == expected / "calibration"
