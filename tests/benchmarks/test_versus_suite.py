"""Facts about the suite: pairs alternate, rows are kept, ratios are what the formulas say, mistakes are told."""

from __future__ import annotations

import contextlib
import itertools
import json
import math

import pytest

from benchmarks.versus import __main__ as program
from benchmarks.versus import engine, page, results, runner, sides
from benchmarks.versus.ratios import ratio_of
from benchmarks.versus.row import Bounded, Contest, Limit, Sample, Scaling
from benchmarks.versus.rows import ROWS
from d2lbench.core.errors import UsageError


def contest(calls, ours=1.0, theirs=3.0, at_least=2.0):
    def side(name, seconds):
        def timed(pair):
            calls.append((name, pair))
            return Sample(seconds * (pair + 1), 2.0, {"cells": 2})

        return timed

    @contextlib.contextmanager
    def pair(setting):
        yield side("ours", ours), side("theirs", theirs)
        calls.append(("cleared", setting.folder.exists()))

    return Contest("demo", "some work", "someone", "cell", at_least, "Both evaluate.", "Time.", pair)


def measured(row, pairs=3):
    return runner.measure(row, pairs=pairs, jobs=1, tell=lambda _: None)


@pytest.mark.slow
def test_sides_are_measured_by_turns_and_the_first_pair_is_thrown_away():
    calls = []
    kept = measured(contest(calls))
    assert calls[:-1] == list(itertools.product(range(4), ("ours", "theirs"))) or calls[:-1] == [
        (name, pair) for pair in range(4) for name in ("ours", "theirs")
    ]
    assert calls[-1] == ("cleared", True)
    assert [pair["ours"]["seconds"] for pair in kept["pairs"]] == [2.0, 3.0, 4.0]


def test_a_ratio_is_the_median_of_pairs_with_students_interval_of_the_logarithms():
    from scipy import stats

    ours, theirs = [1.0, 2.0, 1.0, 1.0, 4.0], [2.0, 6.0, 2.5, 8.0, 4.0]
    found = ratio_of(ours, theirs)
    logs = [math.log(b / a) for a, b in zip(ours, theirs, strict=True)]
    expected = stats.ttest_1samp(logs, 0.0).confidence_interval(0.95)
    assert found.median == pytest.approx(2.5)
    assert (found.least, found.most, found.pairs) == (1.0, 8.0, 5)
    assert (found.low, found.high) == pytest.approx((math.exp(expected.low), math.exp(expected.high)))


def test_a_row_calibrates_the_engine_in_a_place_of_its_own(monkeypatch):
    from d2lbench.engine import calibration

    monkeypatch.setenv(runner.VARIABLE, "before")
    seen = []

    @contextlib.contextmanager
    def rounds(_):
        yield lambda _: seen.append(str(calibration.folder())) or {"time": 1.0}

    measured(Bounded("demo", "some work", (), "By turns.", 2, rounds))
    assert len(set(seen)) == 1
    assert "before" not in seen[0]
    assert str(calibration.folder()) == "before"


def test_one_pair_has_no_interval():
    assert math.isnan(ratio_of([1.0], [2.0]).low)


@pytest.mark.parametrize(("ours", "theirs"), [([1.0], []), ([], []), ([0.0], [1.0]), ([1.0], [math.nan])])
def test_times_that_make_no_ratio_are_refused(ours, theirs):
    with pytest.raises(ValueError, match=r"pairs of times: given .*; allowed: "):
        ratio_of(ours, theirs)


@pytest.mark.parametrize(
    ("at_least", "word"),
    [(2.0, "reached"), (2.9, "reached, but not by the whole interval"), (3.5, "missed"), (None, "informs only")],
)
def test_a_verdict_looks_at_the_median_and_at_the_interval(at_least, word):
    assert page.verdict(ratio_of([1.0, 1.0, 1.0], [2.6, 3.0, 3.1]), at_least) == word


def test_a_row_of_limits_is_judged_by_the_median_of_its_rounds():
    values = itertools.count(1)

    @contextlib.contextmanager
    def rounds(_):
        yield lambda _: {"time": float(next(values)), "size": 9.0}

    limits = (Limit("time", "s", most=2.0), Limit("size", "MB"))
    row = Bounded("demo", "some work", limits, "By turns.", None, rounds)
    shown = page.section(row, measured(row))
    assert [each["found"] for each in shown["quantities"]] == ["2", "9"]
    assert shown["verdict"] == "reached"
    tighter = Bounded("demo", "some work", (Limit("time", "s", most=1.5),), "By turns.", None, rounds)
    assert page.section(tighter, {**measured(row), "rounds": [{"time": 2.0}]})["verdict"] == "missed"


def test_throughput_is_held_against_the_smaller_of_two_bounds():
    @contextlib.contextmanager
    def rates(_):
        yield lambda _: {1: 10.0, 4: 30.0, 8: 45.0}

    row = Scaling("demo", "some work", "steps a second", "One thread.", rates, lambda _: 50.0)
    points = page.section(row, measured(row))["points"]
    assert [(point["width"], point["bound"], point["share"]) for point in points] == [
        (1, "10", "100 %"),
        (4, "40", "75 %"),
        (8, "50", "90 %"),
    ]


@pytest.mark.slow
def test_the_page_shows_every_measured_row_and_names_the_others(tmp_path):
    row = contest([])
    other = Contest("other", "work", "them", "cell", None, "Alike.", "Time.", row.sides)
    found = {"machine": {"processor": "one"}, "rows": {"demo": measured(row)}}
    text = page.write(tmp_path / "performance.md", found, {"demo": row, "other": other}).read_text(encoding="utf-8")
    assert "| [demo](#demo) | 2× | 3.00× | reached |" in text
    assert "Not measured: other (not measured yet)." in text
    assert "By pair: 3.00, 3.00, 3.00." in text
    assert "What bounds it: time." in text


def test_a_page_names_what_a_row_lacks_but_no_folder(tmp_path, monkeypatch):
    from benchmarks.versus import needs

    monkeypatch.setattr(needs, "NEEDS", {"data": lambda: "data: not in /some/folder", "other": lambda: ""})
    row = contest([])
    lacking = Contest("demo", "work", "them", "cell", None, "Alike.", "Time.", row.sides, ("data", "other"))
    found = {"machine": {"processor": "one"}, "rows": {}}
    text = page.write(tmp_path / "performance.md", found, {"demo": lacking}).read_text(encoding="utf-8")
    assert "Not measured: demo (without data)." in text
    assert "/some/folder" not in text
    assert needs.missing(lacking.needs) == "data: not in /some/folder"


MACHINE = dict.fromkeys(results.SAME, "this")


def test_rows_measured_before_are_kept(tmp_path):
    path = tmp_path / "performance.json"
    results.write(path, {"machine": MACHINE, "rows": {"demo": {"kind": "contest", "quick": False}}})
    assert results.read(path, MACHINE)["rows"] == {"demo": {"kind": "contest", "quick": False}}
    assert program.chosen([], ["demo", "other"], ["demo"]) == ["other"]
    assert program.chosen(["demo"], ["demo", "other"], ["demo"]) == ["demo"]


def test_rows_of_another_machine_are_refused(tmp_path):
    path = tmp_path / "performance.json"
    results.write(path, {"machine": {**MACHINE, "cores": "64"}, "rows": {}})
    with pytest.raises(UsageError, match=r"measured elsewhere \(cores 64 before, this now\); choose another folder"):
        results.read(path, MACHINE)


@pytest.mark.parametrize("content", ["{", "[]", '{"machine": {}, "rows": []}'])
def test_a_file_of_something_else_is_refused(tmp_path, content):
    path = tmp_path / "performance.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(UsageError, match="holds no measurements of versus"):
        results.read(path, MACHINE)


def test_an_unknown_row_is_refused_with_the_nearest(capsys):
    assert program.main(["digits-mixd"]) == 2
    told = capsys.readouterr().err
    assert 'no row is called "digits-mixd"; rows: fashion-book,' in told
    assert 'did you mean "digits-mixed"?' in told


def test_no_pairs_are_refused(capsys):
    assert program.main(["--pairs", "0"]) == 2
    assert "--pairs: given 0; allowed: 1 or more" in capsys.readouterr().err


def test_a_sequential_side_keeps_the_fastest_variant_and_takes_other_tasks_in_every_pair():
    tasks = sides.tasks_of(engine_text())
    seen = []
    clock = iter([0.0, 9.0, 10.0, 11.0, 20.0, 24.0, 30.0, 36.0])

    def train(task, variant, data):
        seen.append((task.seed, task.options["lr"], variant, data))
        return 0.5

    loop = sides.Sequential(
        lambda task, _: task.seed, train, sides.spread(tasks, 2), ("slow", "fast"), "way", lambda _: 3.0
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sides.time, "perf_counter", lambda: next(clock))
        first, second = loop(0), loop(1)
    assert (first.seconds, first.units, first.facts["way"]) == (4.0, 6.0, "fast")
    assert second.seconds == 6.0
    assert {variant for *_, variant, _ in seen[4:]} == {"fast"}
    assert seen[4:6] != seen[6:8]
    assert all(seed == data for seed, *_, data in seen)


def engine_text():
    from benchmarks.versus import grids

    return grids.text(grids.DIGITS_SGD, 3, epochs=1)


def test_every_row_has_a_name_of_its_own_and_says_what_bounds_it():
    assert len(ROWS) == len({row.name for row in ROWS.values()})
    for row in ROWS.values():
        assert row.work
        if isinstance(row, Contest):
            assert row.alike.endswith(".")
            assert row.bound.endswith(".")


@pytest.mark.slow
def test_workers_store_every_cell_and_train_as_the_engine_does(tmp_path, by_engine):
    from benchmarks.versus import grids
    from d2lbench.core.environment import environment
    from d2lbench.store import Store

    text = grids.text(grids.DIGITS, 1, epochs=1)
    cells = engine.cells_of(text)
    expected = by_engine(cells)
    with engine.workers(tmp_path, 1) as own:
        sample = own.run(text)
    with Store(tmp_path / "0.sqlite", create=False) as store:
        runs = store.runs(environment("cpu").key, [cell.id for cell in cells])
    assert sample.units == len(cells) == len(runs)
    for cell in cells:
        assert runs[cell.id].series["test_loss"][1][-1] == expected[cell.id]["test_loss"]


@pytest.mark.slow
def test_two_loky_processes_write_the_curves_of_every_task(tmp_path):
    from dataclasses import asdict

    import torch

    from benchmarks.versus import grids, peers
    from benchmarks.versus.resident import Resident
    from benchmarks.versus.tasks import resident

    tasks = sides.tasks_of(grids.text(grids.DIGITS_SGD, 1, epochs=1))
    listed = tmp_path / "tasks.json"
    listed.write_text(json.dumps([asdict(task) for task in tasks]), encoding="utf-8")
    assert peers.LOKY(listed, tmp_path / "out", 1).units == 4
    curves = json.loads((tmp_path / "out" / "curves.json").read_text(encoding="utf-8"))
    for task, found in zip(tasks, curves, strict=True):
        torch.manual_seed(task.seed)
        again = Resident(task, resident(task)).train()
        assert found == {name: {str(epoch): value for epoch, value in values.items()} for name, values in again.items()}


def test_benchopt_is_asked_for_the_same_cells():
    from dataclasses import asdict

    from benchmarks.versus import grids, peers

    tasks = [asdict(task) for task in sides.tasks_of(grids.text(grids.DIGITS, 2, epochs=3))]
    dataset, solvers = peers.benchopt_names(tasks)
    assert dataset == "Digits[seed=[0, 1]]"
    assert len(solvers) == 12
    assert "Resident[arm=sgd-0.1-0.9,epochs=3]" in solvers
    assert "Resident[arm=adam-0.001-0.0,epochs=3]" in solvers


def test_benchopt_trains_the_same_cells(tmp_path):
    from dataclasses import asdict

    import pandas as pd
    import torch

    from benchmarks.versus import grids, peers
    from benchmarks.versus.resident import Resident
    from benchmarks.versus.tasks import resident

    pytest.importorskip("benchopt")
    tasks = sides.tasks_of(grids.text(grids.DIGITS_SGD, 1, epochs=1))
    listed = tmp_path / "tasks.json"
    listed.write_text(json.dumps([asdict(task) for task in tasks]), encoding="utf-8")
    assert peers.BENCHOPT(listed, tmp_path / "out", 1).units == 4
    table = pd.read_parquet(tmp_path / "out" / "results.parquet")
    for task in tasks:
        torch.manual_seed(task.seed)
        again = Resident(task, resident(task)).train()
        (row,) = table[table["p_solver_arm"] == peers.arm_of(asdict(task))].to_dict("records")
        assert row["objective_test_loss"] == pytest.approx(again["test_loss"][1], rel=1e-9)


def test_a_process_tells_its_memory_and_whether_it_loaded_torch():
    from benchmarks.versus import footprint

    told = footprint.of_command(["list", "optimizers"])
    assert told["torch"] is False
    assert 10 < told["peak"] < 1000
    with pytest.raises(RuntimeError, match=r"check nowhere ended with 2: .*nowhere"):
        footprint.of_command(["check", "nowhere"])


def test_a_driver_counts_what_it_did_itself(tmp_path):
    from benchmarks.versus import driver, grids

    grid = tmp_path / "few.toml"
    grid.write_text(grids.text(grids.DIGITS_SGD, 2, epochs=1), encoding="utf-8")
    told = driver.run(grid, tmp_path / "store.sqlite", 1)
    assert told["cells"] == 8
    assert told["planning"] > 0
    assert told["storing"] > 0
    assert told["memory"] > 10


@pytest.mark.slow
def test_a_row_that_fails_is_told_and_the_others_are_measured(tmp_path, capsys, monkeypatch):
    from benchmarks.versus import rows
    from d2lbench.timing import machine

    def failing(_):
        problem = "its command ended with 3"
        raise RuntimeError(problem)

    broken = Contest("broken", "work", "them", "cell", None, "Alike.", "Time.", failing)
    monkeypatch.setattr(rows, "ROWS", {"broken": broken, "demo": contest([])})
    monkeypatch.setattr(machine, "fingerprint", lambda _: MACHINE)
    assert program.main(["--pairs", "2", "-o", str(tmp_path)]) == 1
    assert "broken: failed: its command ended with 3" in capsys.readouterr().out
    assert list(json.loads((tmp_path / "performance.json").read_text(encoding="utf-8"))["rows"]) == ["demo"]
    assert program.main(["--pairs", "2", "-o", str(tmp_path)]) == 1
    assert "demo:" not in capsys.readouterr().out, "a measured row is kept"
    assert program.main(["--quick", "-o", str(tmp_path)]) == 2
    assert "holds measurements; choose another folder with -o" in capsys.readouterr().err
    assert program.main(["--pairs", "2", "-o", str(tmp_path), "--render"]) == 0
    assert "Not measured: broken" in (tmp_path / "performance.md").read_text(encoding="utf-8")
