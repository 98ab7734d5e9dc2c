"""Facts about the packaged questions: they load at both scales, and each runs from end to end."""

from __future__ import annotations

import subprocess
import sys

import pytest

from d2lbench.core.spec import Config
from d2lbench.grid import find_grids, load, scales
from d2lbench.timing import cases

REGISTRY = cases.load()
QUESTIONS = find_grids(())
NAMES = [path.stem for path in QUESTIONS]
QUICK = [path for path in QUESTIONS if "quick" in scales(path)]
TRAINED = [path for path in QUICK if isinstance(load(path, REGISTRY).arms[0].config, Config)]


def test_the_five_questions_are_packaged():
    assert {"regularizers", "initialization", "depth-activation", "optimizers", "schedulers"} <= set(NAMES)


@pytest.mark.parametrize(("path", "scale"), [(path, scale) for path in QUESTIONS for scale in scales(path)])
def test_a_question_has_the_seeds_that_its_claims_need(path, scale):
    grid = load(path, REGISTRY, scale=scale)
    images = any(arm.config.model.name == "lenet" for arm in grid.arms if isinstance(arm.config, Config))
    assert len(grid.seeds) == (12 if scale == "quick" or images or grid.is_timed else 20)
    assert grid.seeds_required <= len(grid.seeds)
    assert any(claim.asked for claim in grid.claims) or grid.published


@pytest.mark.parametrize("path", QUESTIONS, ids=NAMES)
def test_every_claim_says_where_it_comes_from(path):
    grid = load(path, REGISTRY, scale="full")
    assert all(claim.says and claim.source for claim in grid.claims)
    assert all(claim.origin in {"notes", "book", "ours"} for claim in grid.claims)


def test_all_questions_that_train_run_from_end_to_end_and_report_what_too_few_seeds_leave_open(tmp_path):
    names = [path.stem for path in TRAINED]
    command = [sys.executable, "-m", "d2lbench", "run", "--seeds", "2", "--set", "epochs=3", "--set", "eval_every=1"]
    places = ["--store", str(tmp_path / "store.sqlite"), "-o", str(tmp_path / "report")]
    done = subprocess.run([*command, *names, *places], capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    page = tmp_path / "report" / "report.html"
    assert done.stdout.strip().endswith(str(page))
    text = page.read_text(encoding="utf-8")
    for path in TRAINED:
        assert load(path, REGISTRY).title in text
    assert "2 seeds of 12" in text
