"""Facts about runs that are cut off: nothing finished is lost, nothing half done is seen, the rest is done later."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from d2lbench.core.interrupts import Stop

pytestmark = pytest.mark.slow

#: How often the run is killed; more for a long run.
KILLS = int(os.environ.get("D2LBENCH_TEST_KILLS", "2"))
RUN = ("run", "pauses.toml", "--plugin", "pause.py", "--no-report", "--jobs", "1")


def workers_of(process):
    """Return the numbers of a process's children."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = stat.read_text().rpartition(")")[2].split()[1]
        except OSError:
            continue
        if parent == str(process):
            found.append(int(stat.parent.name))
    return found


def alive(process):
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until_gone(processes, seconds=10):
    end = time.monotonic() + seconds
    while any(map(alive, processes)) and time.monotonic() < end:
        time.sleep(0.05)
    return [process for process in processes if alive(process)]


def expected_numbers():
    """Return what 32 pauses tell: seed + item / 10, for four seeds and items 0 to 7."""
    return sorted(seed + item / 10 for seed in range(4) for item in range(8))


def numbers(rows):
    return sorted(np.frombuffer(series["number"][1])[0] for _, _, _, _, series in rows.values())


def test_kill_at_any_moment_loses_no_stack_and_the_rerun_does_only_what_is_missing(house):
    draw = random.Random(KILLS)
    before = {}
    for _ in range(KILLS):
        process = house.start(*RUN)
        if len(before) < 24:
            house.wait_for_rows(process, len(before) + 1)
        time.sleep(draw.uniform(0, 0.6))
        children = workers_of(process.pid)
        process.kill()
        process.communicate()
        rows = house.rows()
        assert {status for _, _, status, _, _ in rows.values()} <= {"done"}
        assert len(rows) % 8 == 0, "a stack is stored whole or not at all"
        assert {cell: rows[cell] for cell in before} == before, "what was finished is not done again"
        assert wait_until_gone(children) == [], "workers end with their driver"
        before = rows
    began = time.monotonic()
    done = house.run(*RUN)
    assert done.returncode == 0, done.stderr
    assert f"32 cells: {len(before)} in the store already" in done.stdout
    assert time.monotonic() - began < 60, "the leases of a dead process are not waited for"
    after = house.rows()
    assert {cell: after[cell] for cell in before} == before
    assert numbers(after) == expected_numbers()


def test_ctrl_c_saves_says_so_and_leaves_no_worker(house):
    process = house.start(*RUN)
    house.wait_for_rows(process, 1)
    children = workers_of(process.pid)
    assert children
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert out == ""
    assert "d2lbench: stopping; once more to stop at once" in err
    assert "d2lbench: interrupted; what was finished is stored, run again to go on" in err
    assert "Traceback" not in err
    assert wait_until_gone(children) == []
    assert 0 < len(house.rows()) < 32


def test_a_second_signal_ends_it_at_once_and_the_store_is_whole(house):
    process = house.start(*RUN)
    house.wait_for_rows(process, 1)
    children = workers_of(process.pid)
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert wait_until_gone(children) == []
    assert len(house.rows()) % 8 == 0


def test_a_first_signal_lets_work_finish_and_a_second_stops_at_once():
    with Stop() as stop:
        signal.raise_signal(signal.SIGTERM)
        assert stop.asked
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_signals_go_back_to_who_listened_before():
    before = signal.getsignal(signal.SIGTERM)
    with Stop():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before
