"""Facts about the packaged questions: they load at both scales, and each runs from end to end."""

from __future__ import annotations

import subprocess
import sys

import pytest

from d2lbench.core.spec import Config
from d2lbench.grid import find_grids, load, scales
from d2lbench.timing import cases

QUESTIONS = find_grids(())
NAMES = [path.stem for path in QUESTIONS]


@pytest.fixture(scope="module")
def registry():
    return cases.load()


def test_the_five_questions_are_packaged():
    assert {"regularizers", "initialization", "depth-activation", "optimizers", "schedulers"} <= set(NAMES)


@pytest.mark.parametrize("path", QUESTIONS, ids=NAMES)
def test_a_question_has_the_seeds_that_its_claims_need(path, registry):
    for scale in scales(path):
        grid = load(path, registry, scale=scale)
        images = any(arm.config.model.name == "lenet" for arm in grid.arms if isinstance(arm.config, Config))
        assert len(grid.seeds) == (12 if scale == "quick" or images or grid.is_timed else 20), scale
        assert grid.seeds_required <= len(grid.seeds), scale
        assert any(claim.asked for claim in grid.claims) or grid.published, scale


@pytest.mark.parametrize("path", QUESTIONS, ids=NAMES)
def test_every_claim_says_where_it_comes_from(path, registry):
    grid = load(path, registry, scale="full")
    assert all(claim.says and claim.source for claim in grid.claims)
    assert all(claim.origin in {"notes", "book", "ours"} for claim in grid.claims)


@pytest.mark.slow
def test_all_questions_that_train_run_from_end_to_end_and_report_what_too_few_seeds_leave_open(tmp_path, registry):
    quick = [load(path, registry) for path in QUESTIONS if "quick" in scales(path)]
    trained = [grid for grid in quick if isinstance(grid.arms[0].config, Config)]
    names = [grid.name for grid in trained]
    fewer = ["--seeds", "2", "--set", "epochs=3", "--set", "eval_every=1"]
    command = [sys.executable, "-m", "d2lbench", "run", *fewer, "--no-costs"]  # timed in their own tests
    places = ["--store", str(tmp_path / "store.sqlite"), "-o", str(tmp_path / "report")]
    done = subprocess.run([*command, *names, *places], capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stderr
    page = tmp_path / "report" / "report.html"
    assert done.stdout.strip().endswith(str(page))
    text = page.read_text(encoding="utf-8")
    for grid in trained:
        assert grid.title in text
    assert "2 seeds of 12" in text
