"""Facts about timings in the store: they come back, belong to a machine, and damage to them is told."""

from __future__ import annotations

import json
import math
import random
import sqlite3

import pytest

from d2lbench.core.errors import StoreError
from d2lbench.store import Store, Timing

CONTENT = {"seconds": [1.25e-6, 0.1 + 0.2], "summary": {"median": 1e-3, "low": 9e-4}, "case": "ReLU – groß", "n": 3}


def timing(key="relu", kind="case", machine="m1", environment="cpu/torch-0", **content):
    return Timing(kind, key, machine, environment, content or CONTENT)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store.sqlite"


def test_what_was_measured_comes_back_to_the_last_digit(path):
    with Store(path) as store:
        store.save_timings([timing()])
    with Store(path, create=False) as store:
        (found,) = store.timings("case")
    assert found.content == CONTENT
    assert (found.kind, found.key, found.machine, found.environment) == ("case", "relu", "m1", "cpu/torch-0")
    assert found.stored_at


def test_a_newer_timing_takes_the_place_of_an_older_one_of_the_same_thing_only(path):
    with Store(path) as store:
        store.save_timings([timing(n=1), timing("tanh", n=2), timing(machine="m2", n=3), timing(kind="cost", n=4)])
        store.save_timings([timing(n=5)])
        assert [each.content["n"] for each in store.timings("case")] == [2, 3, 5], "the newest comes last"
        assert [each.content["n"] for each in store.timings("cost")] == [4]


def test_what_is_no_finite_number_is_stored_as_nothing(path):
    with Store(path) as store:
        store.save_timings([timing(low=-math.inf, parts=(math.nan, 1.0))])
        assert store.timings("case")[0].content == {"low": None, "parts": [None, 1.0]}


def test_a_store_from_before_there_were_timings_reads_as_having_none_and_takes_them(path, make_run):
    with Store(path) as store:
        store.save("here", "stack", [make_run("a")], {})
    before = path.read_bytes()
    with Store(path, create=False) as store:
        assert store.timings("case") == ()
    assert path.read_bytes() == before, "reading changes nothing"
    with Store(path) as store:
        store.save_timings([timing()])
        assert len(store.timings("case")) == 1
        assert store.finished("here").keys() == {"a"}


def test_timings_of_a_failed_save_are_not_there(path):
    class BrokenError(Exception):
        pass

    def some():
        yield timing()
        raise BrokenError

    with Store(path) as store:
        with pytest.raises(BrokenError):
            store.save_timings(some())
        assert store.timings("case") == ()


def test_a_changed_row_is_refused(path):
    with Store(path) as store:
        store.save_timings([timing()])
    with sqlite3.connect(path) as other:
        other.execute("UPDATE timings SET content = ?", (json.dumps({**CONTENT, "n": 4}),))
    other.close()
    with Store(path) as store, pytest.raises(StoreError, match="a row is not what was written; the file is damaged"):
        store.timings("case")


RENAMED = {
    "name": "UPDATE sqlite_master SET name = 'tinings' WHERE name = 'timings'",
    "sql": "UPDATE sqlite_master SET sql = replace(sql, 'timings', 'tinings') WHERE name = 'timings'",
}


@pytest.mark.parametrize("column", RENAMED)
def test_a_table_that_lost_its_name_is_not_taken_for_none(path, column):
    with Store(path) as store:
        store.save_timings([timing()])
    with sqlite3.connect(path) as other:
        other.execute("PRAGMA writable_schema = ON")
        other.execute(RENAMED[column])
    other.close()
    assert content_or_error(path) in ([CONTENT], "refused"), "SQLite may read it all the same"


def content_or_error(path):
    try:
        with Store(path) as store:
            return [each.content for each in store.timings("case")]
    except StoreError:
        return "refused"


def test_a_flipped_bit_is_noticed_or_harmless(path, tmp_path):
    kept = [timing(f"case {number}", n=number, seconds=[number / 7] * 40) for number in range(30)]
    with Store(path) as store:
        store.save_timings(kept)
        whole = [(each.key, each.content, each.stored_at) for each in store.timings("case")]
    complete = path.read_bytes()
    written = [place for place, byte in enumerate(complete) if byte]
    draw, noticed, damaged = random.Random(20240229), 0, tmp_path / "flipped.sqlite"
    for _ in range(120):
        content = bytearray(complete)
        content[draw.choice(written)] ^= 1 << draw.randrange(8)
        damaged.write_bytes(content)
        try:
            with Store(damaged, create=False) as store:
                assert [(each.key, each.content, each.stored_at) for each in store.timings("case")] == whole
        except StoreError:
            noticed += 1
        for log in ("-wal", "-shm"):
            damaged.with_name(damaged.name + log).unlink(missing_ok=True)
    assert noticed > 60
