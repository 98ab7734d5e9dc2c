"""Facts about files that are not what they should be: always one sentence with the path and a way out."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3

import pytest

from d2lbench.core.errors import StoreError
from d2lbench.store import SCHEMA_VERSION, Store

#: More for a long run.
FLIPS = int(os.environ.get("D2LBENCH_TEST_FLIPS", "250"))
CELLS = [f"{number:04d}" for number in range(40)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory, make_run):
    """A closed store with everything in it, and what reads as its content."""
    path = tmp_path_factory.mktemp("whole") / "store.sqlite"
    with Store(path) as store:
        for seed, cell in enumerate(CELLS):
            store.save("here", cell, [make_run(cell, seed=seed)], {"commit": cell[0]})
        store.see_claims([("grid", "quick", "claim", "digest", False)])
    return path, content(path)


def content(path):
    """Read everything that a command would."""
    with Store(path, create=False) as store:
        runs = store.runs("here", CELLS)
        told = [(run.cell, run.seed, run.identity, run.status, run.stored_at, run.correctness) for run in runs.values()]
        series = [(name, y.tobytes()) for run in runs.values() for name, (_, y) in sorted(run.series.items())]
        claim = store.claim_seen("grid", "quick", "claim", "digest")
        return sorted(map(repr, told)), sorted(series), claim, store.provenances("here"), store.finished("here")


def reads_right_or_refuses(path, expected):
    """Say whether the damage was noticed; content that differs in silence is a failure."""
    try:
        assert content(path) == expected
    except StoreError as error:
        told = str(error)
        assert str(path) in told
        assert "move it away" in told or "another" in told or "--store" in told
        return True
    return False


def test_every_truncation_is_noticed(whole, tmp_path):
    path, expected = whole
    complete = path.read_bytes()
    for cut in range(50):
        damaged = tmp_path / f"cut-{cut}.sqlite"
        damaged.write_bytes(complete[: len(complete) * cut // 50])
        assert reads_right_or_refuses(damaged, expected), f"cut at {cut}/50"


@pytest.mark.slow
def test_a_flipped_bit_is_noticed_or_harmless(whole, tmp_path):
    path, expected = whole
    complete = path.read_bytes()
    written = [place for place, byte in enumerate(complete) if byte]  # the rest is mostly room that no row uses
    draw = random.Random(20240229)
    damaged = tmp_path / "flipped.sqlite"
    noticed = 0
    for _ in range(FLIPS):
        place, bit = draw.choice(written), draw.randrange(8)
        content_bytes = bytearray(complete)
        content_bytes[place] ^= 1 << bit
        damaged.write_bytes(content_bytes)
        noticed += reads_right_or_refuses(damaged, expected)
        for log in ("-wal", "-shm"):
            damaged.with_name(damaged.name + log).unlink(missing_ok=True)
    assert noticed > FLIPS // 2


@pytest.mark.parametrize("nonsense", [b"", b"not a database at all, just text\n" * 100, bytes(8192)])
def test_a_file_that_is_no_store_is_refused_and_left_alone(tmp_path, nonsense):
    path = tmp_path / "store.sqlite"
    path.write_bytes(nonsense)
    with pytest.raises(
        StoreError, match=r"store\.sqlite could not be opened: .*; the file is damaged or no store: move"
    ):
        Store(path)
    assert path.read_bytes() == nonsense


def test_another_programs_database_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "other.sqlite"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE bookmarks (url TEXT)")
    other.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="it holds no store; the file is damaged or no store"):
        Store(path)
    assert path.read_bytes() == before


def test_a_newer_schema_is_refused_with_the_remedy(whole, tmp_path):
    path = shutil.copy(whole[0], tmp_path / "newer.sqlite")
    with sqlite3.connect(path) as other:
        other.execute("UPDATE meta SET value = ? WHERE key = 'schema'", (str(SCHEMA_VERSION + 1),))
    other.close()
    with pytest.raises(
        StoreError, match=r"newer d2lbench \(schema 2, this one knows 1\): use that version \(pip install"
    ):
        Store(path)


def test_a_missing_store_is_refused_where_it_is_read(tmp_path):
    with pytest.raises(StoreError, match=r"no store at .*; `d2lbench run` makes one, --store names another"):
        Store(tmp_path / "none.sqlite", create=False)
    assert not list(tmp_path.iterdir())


def test_a_log_without_its_store_is_not_mixed_into_a_new_one(tmp_path):
    (tmp_path / "store.sqlite-wal").write_bytes(b"old")
    with pytest.raises(StoreError, match=r"store\.sqlite-wal lies there without its store"):
        Store(tmp_path / "store.sqlite")
    assert [path.name for path in tmp_path.iterdir()] == ["store.sqlite-wal"]


def test_a_folder_in_place_of_the_store_is_refused(tmp_path):
    with pytest.raises(StoreError, match="could not be opened"):
        Store(tmp_path)


def test_a_store_that_cannot_be_made_is_told_with_its_path(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match=r"file/store\.sqlite could not be opened: .*another place with --store"):
        Store(tmp_path / "file" / "store.sqlite")


def test_making_a_store_leaves_nothing_else_behind(tmp_path):
    Store(tmp_path / "deep" / "store.sqlite").close()
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["store.sqlite"]


class Failing:
    """A connection whose every statement fails as on a full disk, from a given moment on."""

    def __init__(self, connection, after):
        self._connection, self._left = connection, after

    def __getattr__(self, name):
        return getattr(self._connection, name)

    def execute(self, *arguments):
        self._left -= 1
        if self._left < 0:
            problem = "database or disk is full"
            raise sqlite3.OperationalError(problem)
        return self._connection.execute(*arguments)


@pytest.mark.parametrize("after", range(8))
def test_a_full_disk_stops_with_the_path_and_keeps_what_was_there(store, save, make_run, environment_key, after):
    save(store, make_run("a"))
    real, store._connection = store._connection, Failing(store._connection, after)
    with pytest.raises(StoreError, match="could not be written: database or disk is full; make room or choose another"):
        save(store, make_run("b"), make_run("c"))
    if real.in_transaction:  # the rollback failed, too: closing the file undoes what is half done
        real.rollback()
    store._connection = real
    assert store.finished(environment_key).keys() == {"a"}
    save(store, make_run("b"))
    assert store.finished(environment_key).keys() == {"a", "b"}
