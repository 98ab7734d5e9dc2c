"""Facts about stacks that are cut off in the middle: they go on where they were, to the very same numbers."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest
import safetensors.numpy

from d2lbench import catalogue
from d2lbench.core.environment import environment
from d2lbench.core.errors import UsageError
from d2lbench.grid import load
from d2lbench.running.runner import Runner
from d2lbench.running.work import plan_works
from d2lbench.store import Store
from d2lbench.store.leases import FORGOTTEN_SECONDS

pytestmark = pytest.mark.slow

#: One stack of eight cells whose training takes seconds, with all kinds of state.
SLOW = """
format = 1
title = "Slow"
question = "Does it go on where it was?"
seeds = 2
checks = false
[base]
dataset = { name = "digits", train_size = 60 }
model = { name = "mlp", hidden = [8], batch_norm = true }
optimizer = { name = "adam", lr = 0.01 }
regularizer = { name = "dropout", p = 0.2 }
epochs = 1500
eval_every = 50
batch_size = 30
[vary]
optimizer = [{ name = "sgd", lr = 0.1, momentum = 0.9 }, { name = "rmsprop", lr = 0.001 }]
stopping = [{ name = "patience", patience = 3 }]
"""
RUN = ("run", "slow.toml", "--no-report", "--jobs", "1")


def family_of(process):
    """Return the numbers of a process and its children."""
    found = [process]
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = stat.read_text().rpartition(")")[2].split()[1]
        except OSError:
            continue
        if parent == str(process):
            found.append(int(stat.parent.name))
    return found


def kept_in(house):
    return sorted(Path(f"{house.store}.checkpoints").glob("[!.]*"))


def epoch_kept(file):
    """Return the last epoch that a checkpoint holds."""
    told = json.loads(safetensors.numpy.load(file.read_bytes())["told"].tobytes())
    return dict(told["state"]["dict"])["epoch"]


def wait_for(condition, process, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.01)


def kill_in_the_middle(house):
    """Run until a checkpoint is written, then end driver and workers with a signal that nobody can hear."""
    process = house.start(*RUN, D2LBENCH_CHECKPOINT_SECONDS="0.1")
    wait_for(lambda: kept_in(house), process)
    for number in family_of(process.pid):
        os.kill(number, signal.SIGKILL)
    process.communicate()
    assert not house.rows()
    (kept,) = kept_in(house)
    return kept


def series(house):
    return {cell: (status, arrays) for cell, (_, _, status, _, arrays) in house.rows().items()}


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """The series of the slow grid, trained in one go without any checkpoint."""
    registry = catalogue.load()
    with Store(tmp_path_factory.mktemp("whole") / "store.sqlite") as store:
        Runner(store, jobs=1, quiet=True).run([load(SLOW, registry, file="slow.toml")])
        runs = store.matching(environment("cpu").key, "")
    return {
        cell: (run.status, {name: (x.tobytes(), y.tobytes()) for name, (x, y) in run.series.items()})
        for cell, run in runs.items()
    }


def test_a_killed_run_goes_on_in_the_middle_of_its_stack_to_the_same_bits(house, uninterrupted):
    house.write("slow.toml", SLOW)
    kill_in_the_middle(house)
    done = house.run(*RUN, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["continued"] == 1
    assert len(uninterrupted) == 8
    assert series(house) == uninterrupted
    assert not Path(f"{house.store}.checkpoints").exists(), "what is finished needs none"


def test_an_interrupted_run_keeps_the_epoch_it_was_in_and_the_next_says_that_it_continued(house, uninterrupted):
    house.write("slow.toml", SLOW)
    before = epoch_kept(kill_in_the_middle(house))
    process = house.start(*RUN, D2LBENCH_CHECKPOINT_SECONDS="inf", TMPDIR=str(house.folder))
    wait_for(lambda: list(house.folder.glob("d2lbench-*/begun-*")), process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert not house.rows()
    (kept,) = kept_in(house)
    assert epoch_kept(kept) > before
    done = house.run(*RUN)
    assert "stacks continued from checkpoints: 1\n" in done.stdout
    assert series(house) == uninterrupted


def test_a_damaged_checkpoint_is_told_of_and_its_stack_trained_from_its_beginning(store, capsys):
    grid = load(SLOW.replace("1500", "60"), catalogue.load(), file="slow.toml")
    (work,) = plan_works([grid], {}).works
    kept = store.checkpoint(environment("cpu").key, work.stack.key)
    kept.parent.mkdir()
    kept.write_bytes(b"no checkpoint")
    summary = Runner(store, jobs=1, quiet=True).run([grid])
    assert summary.counts == {"done": 8}
    assert summary.continued == 0
    told = f"d2lbench: checkpoint {kept.name} ignored: it is damaged or no checkpoint; its stack begins anew\n"
    assert capsys.readouterr().err == told
    assert not kept.parent.exists()


def test_a_run_of_less_than_the_interval_leaves_no_trace(store):
    grid = load(SLOW.replace("1500", "60"), catalogue.load(), file="slow.toml")
    summary = Runner(store, jobs=1, quiet=True).run([grid])
    assert summary.counts == {"done": 8}
    assert summary.continued == 0
    assert not Path(f"{store.path}.checkpoints").exists()


def test_a_checkpoint_lies_beside_the_store_by_environment_and_stack(store):
    work = plan_works([load(SLOW, catalogue.load(), file="slow.toml")], {}).works[0]
    path = store.checkpoint("cpu/torch-2.15/ieee", work.stack.key)
    assert path.parent == store.path.with_name("store.sqlite.checkpoints")
    assert path.name == f"cpu-torch-2.15-ieee-{work.stack.key}.safetensors"
    assert path != store.checkpoint("cuda/torch-2.15/ieee", work.stack.key)


def test_a_discarded_checkpoint_takes_its_drafts_along_and_leaves_the_others(store):
    own, other = (store.checkpoint(environment, "abc") for environment in ("cpu/x", "cuda/x"))
    draft = own.with_name(f".{own.name}.123")
    own.parent.mkdir()
    for file in (own, draft, other):
        file.touch()
    store.discard_checkpoint("cpu/x", "abc")
    assert [*own.parent.iterdir()] == [other]
    store.discard_checkpoint("cuda/x", "abc")
    assert not own.parent.exists()
    store.discard_checkpoint("cuda/x", "abc")


def test_a_checkpoint_that_nobody_went_on_from_for_a_month_is_forgotten(store):
    old, recent = (store.checkpoint("cpu/x", stack) for stack in ("old", "recent"))
    foreign = old.with_name("notes.txt")
    old.parent.mkdir()
    for file, margin in ((old, -60), (recent, 60), (foreign, -60)):
        file.touch()
        moment = time.time() - FORGOTTEN_SECONDS + margin
        os.utime(file, (moment, moment))
    store.discard_forgotten()
    assert sorted(old.parent.iterdir()) == sorted([recent, foreign])


@pytest.mark.parametrize("given", ["soon", "-1", "nan"])
def test_an_interval_that_is_no_number_of_seconds_is_refused_by_name(given, store, monkeypatch):
    monkeypatch.setenv("D2LBENCH_CHECKPOINT_SECONDS", given)
    with pytest.raises(UsageError) as raised:
        Runner(store)
    assert str(raised.value) == (
        f'D2LBENCH_CHECKPOINT_SECONDS: given "{given}"; allowed: a number of seconds ≥ 0, inf for never'
    )
