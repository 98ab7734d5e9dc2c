"""Facts about reading commands on a store with a tiny grid in it."""

from __future__ import annotations

import csv
import hashlib
import io
import json

import pytest


@pytest.fixture
def read(call, trained, monkeypatch):
    monkeypatch.chdir(trained.folder)
    return call


def table(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_a_run_ends_with_the_path_of_its_report(trained):
    assert "40 cells: 0 in the store already; trained now: 40 done" in trained.done.stdout
    assert trained.done.stdout.splitlines()[-1] == ".d2lbench/report/report.html"
    assert trained.report.is_file()
    assert "Traceback" not in trained.done.stderr
    assert "\r" not in trained.done.stderr, "no bar where there is no terminal"


def test_a_second_run_trains_nothing_and_redraws_nothing_and_says_so(trained):
    def state():
        files = sorted(path for path in trained.report.parent.rglob("*") if path.is_file())
        return [(path, path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest()) for path in files]

    rows, report = trained.rows(), state()
    done = trained.run("run", "tiny.toml", "--jobs", "1")
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        "40 cells: 40 in the store already; trained now: none",
        "nothing new, report unchanged",
        ".d2lbench/report/report.html",
    ]
    assert state() == report
    assert trained.rows() == rows


def test_export_has_a_row_per_cell_and_a_column_per_metric(read, trained):
    code, out, _ = read("export", "tiny.toml", "--format", "csv", "-o", "out/table.csv")
    assert (code, out) == (0, "out/table.csv\n")
    rows = table((trained.folder / "out" / "table.csv").read_text(encoding="utf-8"))
    assert len(rows) == 40
    assert {row["status"] for row in rows} == {"done"}
    assert all(0 <= float(row["test_accuracy"]) <= 1 for row in rows)
    assert {row["seed"] for row in rows} == set("01234567")
    assert {"arm", "context", "optimizer", "model", "test_loss", "train_accuracy", "validation_loss"} <= rows[0].keys()


def test_export_prints_the_same_as_csv_and_json(read):
    rows = table(read("export", "tiny.toml")[1])
    parsed = json.loads(read("export", "tiny.toml", "--format", "json")[1])
    assert [row["cell"] for row in rows] == [row["cell"] for row in parsed]
    assert [float(row["test_loss"]) for row in rows] == [row["test_loss"] for row in parsed]


def test_export_guards_what_a_spreadsheet_would_run(read, house, trained):
    text = (house.folder / "tiny.toml").read_text()
    (trained.folder / "=1+1.toml").write_text(text)
    rows = table(read("export", "=1+1.toml")[1])
    assert {row["grid"] for row in rows} == {"'=1+1"}


def test_export_may_be_cut_off_by_its_reader(trained):
    with trained.start("export", "tiny.toml") as process:
        first = process.stdout.readline()
        process.stdout.close()
        err = process.stderr.read()
    assert process.returncode == 0
    assert first.startswith("grid,cell,")
    assert err == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "tiny.toml", "--json"],
        ["show", "tiny.toml", "--json"],
        ["claims", "tiny.toml", "--json"],
        ["run", "tiny.toml", "--json", "--no-report"],
        ["list", "--json"],
        ["list", "optimizers", "--json"],
        ["list", "optimizers", "--format", "json"],
        ["schema"],
    ],
)
def test_what_is_for_machines_is_strict_json(read, arguments):
    def refuse(word):
        raise AssertionError(word)

    code, out, _ = read(*arguments)
    assert code == 0
    assert json.loads(out, parse_constant=refuse)


def test_a_stored_run_is_shown_by_the_first_digits_of_its_identity(read, trained):
    cell = next(iter(trained.rows()))
    code, out, _ = read("show", cell[:10])
    assert code == 0
    assert f"cell: {cell}" in out
    assert "status: done" in out
    assert json.loads(read("show", cell[:10], "--json")[1])["last"]["test_accuracy"] >= 0


def test_show_lists_arms_with_what_is_known_of_them(read):
    code, out, _ = read("show", "tiny.toml")
    assert code == 0
    assert "8 done" in out
    assert "lr=0.5" in out
    assert "claims: 1 comparison" in out


def test_claims_read_not_run_below_their_seeds(read):
    code, out, _ = read("claims", "tiny.toml", "--seeds", "2")
    assert code == 0
    assert "not run" in out
    assert "2 seeds of 8" in out
    (claim,) = json.loads(read("claims", "tiny.toml", "--seeds", "2", "--json")[1])
    assert (claim["verdict"], claim["reason"]) == ("not run", "2 seeds of 8")


def test_claims_of_a_whole_run_have_a_verdict(read):
    (claim,) = json.loads(read("claims", "tiny.toml", "--json")[1])
    assert claim["verdict"] in {"supported", "refuted", "unclear"}
    assert claim["parts"][0]["n"] == 8


def test_check_knows_what_is_stored(read):
    code, out, _ = read("check", "tiny.toml")
    assert code == 0
    assert "40 distinct cells in 2 stacks of at most 32" in out
    assert "40 of them in the store" in out
    assert "40 cells, 0 to train" in out


def test_a_report_from_the_store_is_the_same_byte_for_byte(read, trained):
    assert read("report", "tiny.toml", "-o", "other")[:2] == (0, "other/report.html\n")
    assert (trained.folder / "other" / "report.html").read_bytes() == trained.report.read_bytes()


def test_environment_variables_stand_in_for_flags_and_flags_win(read, trained, monkeypatch, tmp_path):
    monkeypatch.setenv("D2LBENCH_STORE", str(tmp_path / "none.sqlite"))
    assert read("claims", "tiny.toml")[0] == 3
    assert read("claims", "tiny.toml", "--store", trained.store)[0] == 0
