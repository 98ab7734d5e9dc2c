"""Facts about kept weights: a grid that asks for them gets files that torch reads; others are told what to do."""

from __future__ import annotations

import pytest
from safetensors.torch import load_file

pytestmark = pytest.mark.slow


def test_a_grid_that_keeps_its_weights_can_export_them(house):
    done = house.run("run", "tiny.toml", "--no-report", "--set", "keep_weights=true")
    assert done.returncode == 0, done.stderr
    done = house.run("export", "tiny.toml", "--set", "keep_weights=true", "--format", "safetensors", "-o", "weights")
    assert done.returncode == 0, done.stderr
    files = sorted((house.folder / "weights").iterdir())
    assert {file.stem for file in files} == set(house.rows())
    tensors = load_file(files[0])
    assert {"hidden1.weight", "hidden1.bias", "output.weight", "output.bias"} <= set(tensors)


def test_weights_asked_for_later_are_added_without_touching_the_runs(house):
    house.run("run", "tiny.toml", "--no-report")
    before = house.rows()
    house.run("run", "tiny.toml", "--no-report", "--set", "keep_weights=true")
    assert house.rows() == before
    done = house.run("export", "tiny.toml", "--format", "safetensors", "-o", "weights")
    assert done.stdout.strip().startswith(f"{len(before)} files in ")


def test_a_grid_that_kept_none_says_what_to_do(house):
    house.run("run", "tiny.toml", "--no-report")
    done = house.run("export", "tiny.toml", "--format", "safetensors", "-o", "weights")
    assert done.returncode == 2
    assert "say keep_weights = true in the grid, and run it" in done.stderr
    done = house.run("export", "tiny.toml", "--format", "safetensors")
    assert done.returncode == 2
    assert "name a folder with -o" in done.stderr
