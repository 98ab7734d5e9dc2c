"""`check --calibrate`: this machine is measured, the estimate appears, and results stay what they were."""

from __future__ import annotations

import json

import pytest

pytestmark = pytest.mark.slow


def test_check_says_what_is_not_calibrated_and_how_to_mend_that(house):
    said = house.run("check", "tiny.toml").stdout
    assert "time and memory: not calibrated on this machine; `d2lbench check --calibrate` measures this machine" in said


def test_calibrated_check_estimates_time_and_memory_and_keeps_what_it_measured(house):
    first = house.run("check", "tiny.toml", "--calibrate")
    assert first.returncode == 0, first.stderr
    assert " s on " in first.stdout
    assert " GiB" in first.stdout
    assert "not calibrated" not in first.stdout
    (kept,) = (house.folder / "calibration").iterdir()
    content = kept.read_text(encoding="utf-8")
    assert house.run("check", "tiny.toml").stdout == first.stdout
    assert house.run("check", "tiny.toml", "--calibrate").stdout == first.stdout
    assert kept.read_text(encoding="utf-8") == content  # nothing was left to measure


def test_the_estimate_for_machines_has_seconds_bytes_and_processes(house):
    (grid,) = json.loads(house.run("check", "tiny.toml", "--calibrate", "--json").stdout)
    assert grid["seconds"] > 0
    assert grid["memory"] > 50 * 2**20
    assert grid["processes"] >= 1
    assert (grid["uncalibrated"], grid["left"]) == (0, grid["stacks"])


def test_experiments_that_do_not_train_are_estimated_too(house):
    said = house.run("check", "pauses.toml", "--calibrate", "--plugin", "pause.py").stdout
    assert "not calibrated" not in said
    assert " s on " in said


def test_where_calibrations_are_switched_off_asking_for_one_is_refused(house):
    ended = house.run("check", "tiny.toml", "--calibrate", D2LBENCH_CALIBRATION="off")
    assert ended.returncode == 2
    assert ended.stderr.splitlines() == [
        "d2lbench: check --calibrate: D2LBENCH_CALIBRATION is off; name a folder with it, or unset it"
    ]


def test_what_cannot_be_kept_is_said_with_the_storages_exit_code(house):
    place = house.write("in-the-way", "")
    ended = house.run("check", "tiny.toml", "--calibrate", D2LBENCH_CALIBRATION=str(place))
    assert ended.returncode == 3
    assert "D2LBENCH_CALIBRATION names another folder, or says off" in ended.stderr


def test_calibrated_results_are_the_same_bits_whatever_the_number_of_jobs(house):
    assert house.run("check", "tiny.toml", "--calibrate").returncode == 0
    stores = []
    for count in (1, 3):
        ended = house.run("run", "tiny.toml", "--jobs", str(count), "--no-report")
        assert ended.returncode == 0, ended.stderr
        stores.append({cell: row[2:] for cell, row in house.rows().items()})
        house.store.unlink()
    assert stores[0] == stores[1]
    assert len(stores[0]) == 40


def test_a_run_writes_down_whether_its_widths_were_calibrated(house):
    house.run("run", "tiny.toml", "--no-report")
    assert house.run("check", "tiny.toml", "--calibrate").returncode == 0
    house.run("run", "tiny.toml", "--set", "epochs=3")
    assert "calibrated" in house.report.with_suffix(".md").read_text(encoding="utf-8")
