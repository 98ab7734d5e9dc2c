"""Facts about several processes on one store: each cell once, none lost, nobody waits for ever."""

from __future__ import annotations

import os
import re

import pytest

pytestmark = pytest.mark.slow

#: How many processes share a store; more for a long run.
COUNTS = [int(count) for count in os.environ.get("D2LBENCH_TEST_SHARERS", "4").split()]


@pytest.mark.parametrize("count", COUNTS)
def test_processes_that_share_a_store_do_each_cell_once(house, count):
    run = ("run", "pauses.toml", "--plugin", "pause.py", "--no-report", "--jobs", "1")
    processes = [house.start(*run) for _ in range(count)]
    ends = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0] * count, ends
    rows = house.rows()
    assert len(rows) == 32
    assert sorted(row[0] for row in rows.values()) == list(range(1, 33)), "no row was written twice"
    trained = [int(found[1]) for out, _ in ends if (found := re.search(r"trained now: (\d+) done", out))]
    assert sum(trained) == 32
    assert all("32 cells:" in out for out, _ in ends)
