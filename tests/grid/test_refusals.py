"""Every bad grid is refused before anything runs, and told file, key, what was given, what is allowed, what is near."""

from __future__ import annotations

import tomllib
import typing
from pathlib import Path

import pytest

from d2lbench.core.errors import D2lbenchError, GridError, UsageError
from d2lbench.grid import load
from d2lbench.grid.file.shape import BASE_KEYS

BAD = tomllib.loads((Path(__file__).parent / "bad" / "grids.toml").read_text(encoding="utf-8"))["grid"]


def text_of(bad, grid_text):
    if "text" in bad:
        return bad["text"]
    top = {"top": bad["top"]} if "top" in bad else {}
    return grid_text(bad.get("rest", ""), **top, **bad.get("base", {}), **dict.fromkeys(bad.get("drop", ())))


def filled(message, registry):
    for kind in ("metric", "optimizer", "init", "statistic", "dataset", "model", "experiment"):
        message = message.replace(f"<{kind} names>", ", ".join(registry.names(kind)))
    options = dict.fromkeys(option for entry in registry.entries("optimizer") for option in entry.options)
    mlp = registry.get("model", "mlp").options
    words = " or ".join(f'"{word}"' for word in typing.get_args(mlp["activation"].annotation))
    message = message.replace("<mlp options>", ", ".join(mlp)).replace("<activation words>", words)
    return message.replace("<optimizer options>", ", ".join(options)).replace("<base keys>", ", ".join(BASE_KEYS))


@pytest.mark.parametrize("bad", BAD, ids=[bad["name"] for bad in BAD])
def test_a_bad_grid_is_refused_with_a_message_that_helps(bad, registry, grid_text):
    with pytest.raises(GridError) as caught:
        load(text_of(bad, grid_text), registry, file="grid.toml")
    assert str(caught.value) == filled(bad["error"], registry)
    assert caught.value.exit_code == 2


def test_there_are_more_than_a_hundred_bad_grids():
    assert len({bad["name"] for bad in BAD}) == len(BAD) > 100


def test_a_file_that_is_no_text_is_refused(tmp_path, registry):
    path = tmp_path / "latin.toml"
    path.write_bytes(b'title = "\xe9"\n')
    with pytest.raises(GridError, match=r"latin\.toml: is not valid text.*allowed: UTF-8"):
        load(path, registry)


def test_a_lone_surrogate_is_refused(registry):
    with pytest.raises(GridError, match="is not valid text"):
        load('title = "\ud800"\n', registry)


def test_a_file_that_is_not_there_is_a_mistake_of_usage(tmp_path, registry):
    with pytest.raises(UsageError, match=r"cannot read .*nothing\.toml: No such file"):
        load(tmp_path / "nothing.toml", registry)


def test_a_control_character_does_not_reach_the_message(registry, grid_text):
    with pytest.raises(D2lbenchError) as caught:
        load(grid_text(optimizer='"a\\u001B[31mb"'), registry)
    assert str(caught.value).isprintable()
