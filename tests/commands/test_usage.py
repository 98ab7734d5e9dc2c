"""Facts about mistakes at the keyboard: exit 2, what was given, what is allowed, the nearest name; nothing runs."""

from __future__ import annotations

import pytest

from d2lbench import __version__
from d2lbench.api import check


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["lst"], "Did you mean 'list'"),
        (["run", "--sede", "3"], "--seeds"),
        (["check", "--scale", "qick"], "'qick' is not one of 'quick', 'full'"),
        (["check", "--device", "gpu"], "'gpu' is not one of 'cpu', 'cuda'"),
        (["check", "--seeds", "0"], "must be greater than or equal to 1"),
        (["check", "--seeds", "x"], "Invalid value for '--seeds': needs a whole number"),
        (["time", "--budget", "x"], "Invalid value for '--budget': needs a number"),
        (["check", "--scale", "ful"], "Invalid value for '--scale': 'ful' is not one of"),
        (["export", "--format", "xml"], "'xml' is not one of 'csv', 'json'"),
        (["check", "optimzers"], 'there is no grid "optimzers"'),
        (["check", "optimzers"], 'did you mean "optimizers"?'),
        (["check", "none.toml"], "there is no grid file none.toml"),
        (["list", "optimisers"], 'did you mean "optimizers"?'),
        (["list", "optimisers", "--format", "markdown"], 'did you mean "optimizers"?'),
        (["list", "--format", "html"], "'html' is not one of 'text', 'json', 'markdown'"),
        (["check", "tiny.toml", "--set", "epoch=3"], "tiny.toml: --set epoch: cannot be set"),
        (["check", "tiny.toml", "--set", "epoch=3"], 'did you mean "epochs"?'),
        (["check", "tiny.toml", "--set", "epochs"], "expected key=value"),
        (["check", "tiny.toml", "--set", "epochs=0"], "allowed: whole number"),
        (["check", "tiny.toml", "--set", "optimizer.name=sdg"], 'did you mean "sgd"?'),
        (["check", "tiny.toml", "--only", "lr=0.4"], 'did you mean "lr=0.5"?'),
        (["run", "tiny.toml", "--plugin", "none.py"], "none.py: no such file"),
        (["show", "abcdef"], "no stored run begins with abcdef"),
        (["run", "tiny.toml", "--device", "cuda"], "torch finds no CUDA device here; use --device cpu"),
    ],
)
def test_a_mistake_ends_with_2_and_says_what_would_be_right(call, house, arguments, told, monkeypatch):
    if "cuda" in arguments:
        torch = pytest.importorskip("torch")
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    if arguments[0] == "show":
        from d2lbench.store import Store

        Store(house.store).close()
    code, out, err = call(*arguments)
    assert (code, out) == (2, "")
    assert told in " ".join(err.split())
    assert "Traceback" not in err


def test_a_grid_with_a_mistake_is_refused_before_anything_runs(call, house):
    house.write("bad.toml", (house.folder / "tiny.toml").read_text().replace("epochs = 2", "epochs = -2"))
    code, _, err = call("run", "tiny.toml", "bad.toml")
    assert code == 2
    assert "bad.toml: base.epochs" in err
    assert not house.store.exists()


def test_nothing_at_all_shows_the_help(call):
    code, out, err = call()
    assert code in (0, 2)
    assert "Start with: d2lbench check" in out + err


def test_the_version_is_printed(call):
    assert call("--version") == (0, f"d2lbench {__version__}\n", "")


@pytest.mark.parametrize("command", ["show", "report", "claims", "export"])
def test_reading_without_a_store_says_how_to_get_one(call, command, house):
    code, out, err = call(command, "tiny.toml")
    if command == "show":  # the arms are there all the same
        assert code == 0
        assert "lr=0.5" in out
        return
    assert (code, out) == (3, "")
    assert "no store at .d2lbench/store.sqlite; `d2lbench run` makes one" in err
    assert not house.store.exists()


def test_a_damaged_store_ends_with_3_and_the_way_out(call, house):
    house.store.parent.mkdir()
    house.store.write_bytes(b"SQLite format 3\0" + b"x" * 5000)
    code, _, err = call("run", "tiny.toml")
    assert code == 3
    assert ".d2lbench/store.sqlite could not be opened" in err
    assert "move it away and run again" in err
    assert "Traceback" not in err


def test_a_bug_of_ours_ends_with_70_and_how_to_report_it(call, monkeypatch):
    def broken(request, **options):
        del request, options
        raise ZeroDivisionError

    monkeypatch.setattr(check, "check", broken)
    code, out, err = call("check", "tiny.toml")
    assert (code, out) == (70, "")
    assert "ZeroDivisionError" in err
    assert "this is a bug of ours. Please report it" in err
    assert __version__ in err


def test_control_characters_of_a_name_do_not_reach_the_terminal(call):
    code, _, err = call("check", "\x1b[2J\x07bad")
    assert code == 2
    assert "\x1b" not in err
    assert "\x07" not in err


def test_more_than_ten_thousand_cells_are_refused_unless_someone_agrees(call, house):
    many = "[" + ", ".join(str(item) for item in range(1, 3000)) + "]"
    text = (house.folder / "pauses.toml").read_text().replace("[1, 2, 3, 4, 5, 6, 7]", many)
    house.write("many.toml", text)
    code, _, err = call("run", "many.toml", "--plugin", "pause.py")
    assert code == 2
    assert "12,000 cells are more than 10,000; say --yes to run them" in err
    assert not house.store.exists()


def test_a_million_cells_are_counted_without_being_made(call, house):
    values = "[" + ", ".join(f"{rate / 1e5:.5f}" for rate in range(1, 1001)) + "]"
    text = (house.folder / "tiny.toml").read_text().split("[vary]")[0].replace("seeds = 8", "seeds = 1000")
    house.write("huge.toml", f"{text}[product]\noptimizer.lr = {values}\n")
    code, out, err = call("check", "huge.toml")
    assert (code, err) == (0, "")
    assert "1,000,000 cells = 1,000 [optimizer.lr] × 1,000 [seed]" in out
    assert "too many to plan here" in out


def test_a_dry_run_trains_nothing(call, house):
    code, out, _ = call("run", "tiny.toml", "--dry-run")
    assert code == 0
    assert "24 cells = (1 + 1 [optimizer.lr] + 1 [model.hidden]) × 8 [seed]" in out
    assert not house.store.exists()
