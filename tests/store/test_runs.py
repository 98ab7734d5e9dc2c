"""Facts about rows: what is kept, what is replaced, what a reader gets back."""

from __future__ import annotations

import sqlite3

import numpy as np
import pytest

from d2lbench.store import Run


def test_a_run_comes_back_as_it_was_stored(store, save, make_run, environment_key):
    run = make_run("a", seed=3, diverged_step=None, constant_loss=2.3, last_finite_loss=float("nan"))
    save(store, run)
    found = store.runs(environment_key, ["a"])["a"]
    assert (found.cell, found.seed, found.identity, found.status, found.reason) == ("a", 3, run.identity, "done", "")
    assert (found.chance, found.constant_loss, found.last_finite_loss) == (0.1, 2.3, None)
    assert found.correctness == {"test": (bytes([3, 255]), 12)}
    assert found.series.keys() == run.series.keys()
    for name, (x, y) in run.series.items():
        assert np.array_equal(found.series[name][0], x)
        assert np.array_equal(found.series[name][1], y)


def test_series_keep_their_nan_infinities_and_last_bits(store, save, make_run, environment_key):
    y = np.array([np.nan, np.inf, -np.inf, np.nextafter(1, 2), -0.0, 5e-324])
    save(store, make_run("a", series={"test_loss": (np.arange(6.0), y)}))
    assert store.runs(environment_key, ["a"])["a"].series["test_loss"][1].tobytes() == y.tobytes()


def test_contents_are_left_out_on_request(store, save, make_run, environment_key):
    save(store, make_run("a"))
    found = store.runs(environment_key, ["a"], contents=False)["a"]
    assert (found.series, found.correctness, found.status) == ({}, {}, "done")


@pytest.mark.parametrize("finished", ["done", "diverged"])
@pytest.mark.parametrize("later", ["done", "diverged", "failed", "skipped"])
def test_a_finished_run_is_never_replaced(store, save, make_run, environment_key, finished, later):
    save(store, make_run("a", finished, seed=1))
    before = store.runs(environment_key, ["a"])["a"]
    assert save(store, make_run("a", later, seed=1, chance=0.9)) == 0
    after = store.runs(environment_key, ["a"])["a"]
    assert (after.sequence, after.stored_at, after.status, after.chance) == (
        before.sequence,
        before.stored_at,
        finished,
        0.1,
    )


@pytest.mark.parametrize("unfinished", ["failed", "skipped"])
@pytest.mark.parametrize("later", ["done", "diverged", "failed", "skipped"])
def test_an_unfinished_run_is_replaced(store, save, make_run, environment_key, unfinished, later):
    save(store, make_run("a", unfinished, reason="the first reason"))
    assert save(store, make_run("a", later, reason="the second reason")) == 1
    found = store.runs(environment_key, ["a"])["a"]
    assert (found.status, found.reason) == (later, "the second reason")


def test_an_optional_series_is_put_beside_a_finished_run(store, save, make_run, environment_key):
    save(store, make_run("a"))
    before = store.runs(environment_key, ["a"])["a"]
    x = np.arange(3.0)
    more = {"test_loss": (x, x - 99), "step_oscillation": (x, x + 7)}
    assert save(store, make_run("a", series=more, extras=frozenset({"step_oscillation"}))) == 1
    after = store.runs(environment_key, ["a"])["a"]
    assert (after.sequence, after.stored_at) == (before.sequence, before.stored_at)
    assert after.extras == {"step_oscillation"}
    assert np.array_equal(after.series["step_oscillation"][1], x + 7)
    assert np.array_equal(after.series["test_loss"][1], before.series["test_loss"][1])


def test_optional_series_of_two_grids_add_up(store, save, make_run, environment_key):
    save(store, make_run("a", names=("one",), extras=frozenset({"one"})))
    save(store, make_run("a", names=("two",), extras=frozenset({"two"})))
    assert store.finished(environment_key) == {"a": {"one", "two"}}
    assert store.runs(environment_key, ["a"])["a"].series.keys() == {"one", "two"}
    assert save(store, make_run("a", names=("one",), extras=frozenset({"one"}))) == 0


def test_environments_do_not_answer_for_each_other(store, make_run):
    store.save("cpu/a", "stack", [make_run("a")], {})
    assert store.finished("cuda/a") == {}
    assert store.runs("cuda/a", ["a"]) == {}
    assert store.environments() == ("cpu/a",)


def test_a_stack_is_stored_whole_or_not_at_all(store, make_run, environment_key):
    half = [make_run("a"), Run("b", 0, "{}", "no such status")]
    with pytest.raises(Exception, match="CHECK"):
        store.save(environment_key, "stack", half, {})
    assert store.finished(environment_key) == {}


def test_finished_cells_of_some_are_told_with_their_optional_series(store, save, make_run, environment_key):
    save(store, make_run("a", extras=frozenset({"one"})), make_run("b"), make_run("c", "failed"))
    assert store.finished(environment_key) == {"a": {"one"}, "b": frozenset()}
    assert store.finished_of(environment_key, ["a", "b", "c", "d"], frozenset()) == {"a", "b"}
    assert store.finished_of(environment_key, ["a", "b"], frozenset({"one"})) == {"a"}


def test_a_run_is_found_by_the_beginning_of_its_identity(store, save, make_run, environment_key):
    save(store, make_run("abc1"), make_run("abd2"))
    assert list(store.matching(environment_key, "abc")) == ["abc1"]
    assert store.matching(environment_key, "%") == {}


def test_provenance_is_kept_once_and_oldest_first(store, save, make_run, environment_key):
    for cell, commit in (("a", "z"), ("b", "y"), ("c", "z")):
        save(store, make_run(cell), provenance={"commit": commit})
    assert store.provenances(environment_key) == [{"commit": "z"}, {"commit": "y"}]


def test_saving_ends_the_lease_of_the_stack(store, save, make_run):
    store.lease_some(["stack"], "one", 1)
    save(store, make_run("a"), stack="stack")
    assert store.lease_some(["stack"], "two", 1)


def test_a_reason_with_broken_letters_is_stored_all_the_same(store, save, make_run, environment_key):
    save(store, make_run("a", "failed", reason="file \udcff, nul \0, end"))
    assert store.runs(environment_key, ["a"])["a"].reason == "file ?, nul \0, end"


def test_the_file_is_in_write_ahead_mode_and_fully_synchronous(store):
    with sqlite3.connect(store.path) as other:
        assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert store._connection.execute("PRAGMA synchronous").fetchone() == (2,)
