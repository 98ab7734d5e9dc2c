"""Facts about rows made of a record of timings: what is kept, under which key, and what says nothing."""

from __future__ import annotations

import pytest

from d2lbench.core.environment import environment
from d2lbench.store import Store
from d2lbench.store.machines import machine_key
from d2lbench.timing.result import rows_of

MACHINE = {"machine": "x86_64", "processor": "P", "cores": "2", "torch": "2.15.0", "load": 0.5, "commit": "abc"}


def measurement(case="relu", phase="forward", status="precise", **setting):
    given = {"device": "cpu", "dtype": "float32", "threads": 1, "compiled": False, "cold": False, "kind": "hot"}
    return {
        "case": case, "size": "small", "phase": phase, "setting": given | setting, "status": status,
        "summary": {"median": 1.0} if status in {"precise", "unconverged"} else None, "reason": "",
    }  # fmt: skip


def record(*measurements, **more):
    ceilings = {"float32": {"flops": 1e9, "copies": ((1.0, 2.0),), "launch": 1e-6}}
    began = "2024-02-29T12:00:00+00:00"
    return {"machine": MACHINE, "ceilings": ceilings, "measurements": measurements, "began": began, **more}


@pytest.fixture
def kept(store):
    """Save records in turn and return what the store then holds, by kind."""

    def keeps(*records):
        for each in records:
            store.save_timings(rows_of(each))
        return {kind: store.timings(kind) for kind in ("machine", "ceilings", "case", "memory")}

    return keeps


def test_a_record_becomes_a_row_for_each_thing_that_it_tells(kept):
    memory = {"device": "cpu", "axis": "depth", "depth": 2, "batch": 8, "what": "training", "bytes": 12}
    found = kept(record(measurement(), measurement(phase="backward"), memory=[memory]))
    assert {kind: len(rows) for kind, rows in found.items()} == {"machine": 1, "ceilings": 1, "case": 2, "memory": 1}
    assert {row.machine for rows in found.values() for row in rows} == {machine_key(MACHINE)}
    assert {row.environment for rows in found.values() for row in rows} == {environment("cpu").key}
    assert found["machine"][0].content["began"].startswith("2024")
    assert found["ceilings"][0].content["threads"] == 1
    assert found["memory"][0].content["bytes"] == 12


@pytest.mark.parametrize("change", [{"cold": True}, {"dtype": "bfloat16"}, {"threads": 2}, {"compiled": True}])
def test_another_setting_is_another_row(kept, change):
    assert len(kept(record(measurement()), record(measurement(**change)))["case"]) == 2


def test_what_had_no_time_leaves_an_older_time_alone_but_a_refusal_does_not(kept):
    for silent in ("not reached", "skipped"):
        (row,) = kept(record(measurement()), record(measurement(status=silent)))["case"]
        assert row.content["summary"] == {"median": 1.0}
    (row,) = kept(record(measurement(status="refused")))["case"]
    assert row.content["summary"] is None


def test_how_busy_a_machine_is_or_its_revision_make_it_no_other():
    assert machine_key(MACHINE) == machine_key({**MACHINE, "load": 3.0, "commit": "def"})
    for name in ("processor", "cores", "torch"):
        assert machine_key({**MACHINE, name: "another"}) != machine_key(MACHINE)
    assert machine_key({**MACHINE, "gpu": "G"}) != machine_key(MACHINE)


def test_a_record_of_nothing_is_no_row(tmp_path):
    with Store(tmp_path / "store.sqlite") as store:
        store.save_timings(rows_of(record(measurement(status="not reached"))))
        assert store.timings("case") == ()
