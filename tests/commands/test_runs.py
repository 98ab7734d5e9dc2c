"""Facts about whole runs as real processes: cut off and resumed, without data, with plugins, on a full disk."""

from __future__ import annotations

import resource
import subprocess

import pytest

pytestmark = pytest.mark.slow

FASHION = """
format = 1
title = "Real images"
question = "Are they there?"
seeds = 2
checks = false
[base]
dataset = { name = "fashion-mnist", train_size = 60 }
model = { name = "mlp", hidden = [8] }
optimizer = { name = "sgd", lr = 0.1 }
epochs = 1
batch_size = 32
"""

DESCENTS = """
format = 1
title = "Two descents"
question = "Is half of twice the rate the same?"
seeds = 4
[base]
dataset = { name = "digits", train_size = 60 }
model = { name = "mlp", hidden = [8] }
optimizer = { name = "sgd", lr = 0.1 }
epochs = 1
batch_size = 32
[vary]
optimizer = ["half-descent", "adam"]
"""

OPTIMIZER = '''
"""An optimizer from outside the package: half of what plain descent would step."""

from typing import Annotated

from annotated_types import Ge

from d2lbench.catalogue.optimizers import Family
from d2lbench import register


@register("optimizer", "half-descent")
def half_descent(*, lr: Annotated[float, Ge(0)] = 0.2) -> Family:
    """Descend by half the rate."""
    def update(p, g, state, hyper):
        p.addcmul_(g, hyper["lr"], value=-0.5)
    return Family(update, "SGD", {})
'''


#: So that a kill finds some stacks done and some not, however fast the machine.
SLOWLY = '''
"""Every stack waits a second before it begins."""

import time

from d2lbench.engine.train import Training

begin = Training.begin_anew


def begin_slowly(training):
    time.sleep(1)
    return begin(training)


Training.begin_anew = begin_slowly
'''


def test_killed_by_one_worker_and_resumed_the_table_equals_that_of_two_undisturbed(house, trained):
    house.write("slowly.py", SLOWLY)
    process = house.start("run", "tiny.toml", "--jobs", "1", "--no-report", "--plugin", "slowly.py")
    house.wait_for_rows(process, 1)
    process.kill()
    process.communicate()
    before = house.rows()
    assert 0 < len(before) < 40
    assert house.run("run", "tiny.toml", "--jobs", "1", "--no-report").returncode == 0
    after = house.rows()
    assert {cell: after[cell] for cell in before} == before
    undisturbed = {cell: row[2:] for cell, row in trained.rows().items()}
    assert {cell: row[2:] for cell, row in after.items()} == undisturbed
    assert house.run("export", "tiny.toml").stdout == trained.run("export", "tiny.toml").stdout


def test_missing_data_skip_the_grids_that_need_them_and_the_others_run(house):
    house.write("fashion.toml", FASHION)
    (house.folder / "data").mkdir()
    done = house.run(
        "run", "fashion.toml", "pauses.toml", "--plugin", "pause.py", "--jobs", "1", "--no-report", D2LBENCH_DATA="data"
    )
    assert done.returncode == 3
    assert "34 cells: 0 in the store already; trained now: 32 done, 2 skipped" in done.stdout
    assert "train-images-idx3-ubyte.gz is not in data/FashionMNIST/raw" in done.stdout
    assert {row[2] for row in house.rows().values()} == {"done", "skipped"}


def test_damaged_data_skip_the_grid_with_the_reason_and_a_rerun_tries_again(house):
    house.write("fashion.toml", FASHION)
    raw = house.folder / "data" / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for part in ("train", "t10k"):
        for what in ("images-idx3", "labels-idx1"):
            (raw / f"{part}-{what}-ubyte.gz").write_bytes(b"not what it should be")
    done = house.run("run", "fashion.toml", "--jobs", "1", "--no-report", D2LBENCH_DATA="data")
    assert done.returncode == 3
    assert "2 cells: fashion-mnist: data/FashionMNIST/raw/train-images-idx3-ubyte.gz is damaged (MD5 " in done.stdout
    assert "fetch it again" in done.stdout
    assert {row[2] for row in house.rows().values()} == {"skipped"}
    assert "0 in the store already" in house.run("run", "fashion.toml", "--no-report", D2LBENCH_DATA="none").stdout


def test_an_optimizer_of_a_plugin_trains_in_the_workers_and_flags_narrow_a_run(house):
    house.write("half.py", OPTIMIZER)
    house.write("descents.toml", DESCENTS)
    chosen = ("--set", "epochs=2", "--seeds", "2", "--only", "half-descent", "--only", "baseline")
    done = house.run("run", "descents.toml", "--plugin", "half.py", *chosen, "--jobs", "1", "--no-report")
    assert done.returncode == 0, done.stderr
    assert "4 cells: 0 in the store already; trained now: 4 done" in done.stdout
    finals = [series["test_loss"] for *_, series in house.rows().values()]
    assert len(finals) == 4
    assert len(set(finals)) == 2, "half of twice the rate is the same descent, to the last bit"
    assert {len(x) // 8 for x, _ in finals} == {3}, "two epochs and the start"


def test_a_plugin_that_fails_ends_the_run_with_its_cause(house):
    house.write("bad.py", "import no_such_module_here")
    done = house.run("run", "pauses.toml", "--plugin", "bad.py")
    assert done.returncode == 2
    assert "bad.py: ModuleNotFoundError: No module named 'no_such_module_here' (line 1)" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_disk_that_fills_up_ends_with_3_names_the_path_and_can_be_resumed(house, monkeypatch):
    run = ("run", "pauses.toml", "--plugin", "pause.py", "--jobs", "1", "--no-report")
    limit = 96 * 1024  # the store's first pages fit, not the rows of all stacks

    def small():
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    with monkeypatch.context() as patch:
        real = subprocess.Popen
        patch.setattr(subprocess, "Popen", lambda *args, **kwargs: real(*args, preexec_fn=small, **kwargs))
        done = house.run(*run)
    assert done.returncode == 3, done.stderr
    assert "store.sqlite could not be" in done.stderr
    assert "--store" in done.stderr
    assert "Traceback" not in done.stderr
    before = house.rows()
    assert len(before) % 8 == 0
    assert house.run(*run).returncode == 0
    assert len(house.rows()) == 32
    assert {cell: house.rows()[cell] for cell in before} == before


@pytest.mark.parametrize("color", ["", "1"])
def test_no_colour_codes_reach_a_pipe(house, color):
    done = house.run("check", "tiny.toml", NO_COLOR=color, TERM="xterm-256color")
    assert done.returncode == 0
    assert "\x1b" not in done.stdout + done.stderr
