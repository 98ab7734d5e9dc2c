"""Facts about the grids of experiments: what they ask is answered from end to end."""

from __future__ import annotations

import csv
import subprocess
import sys

import pytest

from d2lbench import catalogue
from d2lbench.api.session import note_claims
from d2lbench.core.spec import Measurement
from d2lbench.grid import find_grids, load
from d2lbench.store import Store

REGISTRY = catalogue.load()
NAMES = ["foundations", "optimizer-facts"]
GRIDS = find_grids(NAMES)

#: What must hold on any machine: algebra, not the framework's version and not a processor's rounding.
HOLD = {
    "sigmoid-slope-quarter", "slopes-fade", "product-explodes", "linear-layers-collapse", "line-cannot-do-xor",
    "xavier-compromise", "dropout-keeps-mean", "loss-values", "fused-loss-stable", "padding-keeps-size",
    "stride-cuts-cost", "one-by-one-mixes", "penalty-equals-decay", "adam-bounded-step", "adamax-bounded",
    "adam-rescale-invariant", "adam-little-memory", "asgd-trades-memory", "lbfgs-memory", "rebuilt-loses-state",
}  # fmt: skip
#: What algebra says is not so, though it is stated.
FAIL = {"xavier-fan-in", "adam-published-bound", "adamax-published-bound", "adam-rescale-invariant-default"}


@pytest.mark.parametrize("path", GRIDS, ids=NAMES)
def test_quick_and_full_measure_the_same_and_share_their_cells(path):
    quick, full = (load(path, REGISTRY, scale=scale) for scale in ("quick", "full"))
    assert {cell.id for cell in quick.cells()} < {cell.id for cell in full.cells()}
    assert [arm.label for arm in quick.arms] == [arm.label for arm in full.arms]
    assert all(isinstance(arm.config, Measurement) for arm in full.arms)


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """Return the words of every claim after all seeds of the quick scale."""
    folder = tmp_path_factory.mktemp("experiments")
    places = ["--store", str(folder / "store.sqlite"), "-o", str(folder / "report")]
    command = [sys.executable, "-m", "d2lbench", "run", *map(str, GRIDS), *places]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    with (folder / "report" / "claims.csv").open(encoding="utf-8") as file:
        return {row["claim"]: row for row in csv.DictReader(file)}


@pytest.mark.slow
def test_every_claim_about_experiments_is_answered(told):
    assert {row["word"] for row in told.values()} <= {"supported", "refuted", "unclear"}
    asked = {claim.id for path in GRIDS for claim in load(path, REGISTRY).claims}
    assert set(told) == asked


@pytest.mark.slow
def test_what_algebra_says_is_what_is_measured(told):
    assert {name: told[name]["word"] for name in sorted(HOLD)} == dict.fromkeys(sorted(HOLD), "supported")
    assert {name: told[name]["word"] for name in sorted(FAIL)} == dict.fromkeys(sorted(FAIL), "refuted")


@pytest.mark.slow
def test_a_number_is_told_beside_the_one_that_was_stated(told):
    growth = told["product-explodes"]
    assert float(growth["found"]) == pytest.approx(float(growth["stated"]), abs=0.0023)
    assert float(told["lbfgs-memory"]["stated"]) == 808


def test_what_was_declared_before_its_data_at_one_scale_was_so_at_the_other(tmp_path, monkeypatch):
    quick, full = (load(GRIDS[0], REGISTRY, scale=scale) for scale in ("quick", "full"))
    with Store(tmp_path / "store.sqlite") as store:
        note_claims([quick], store, "here")
        monkeypatch.setattr(store, "finished", lambda environment: {cell.id: frozenset() for cell in quick.cells()})
        note_claims([full], store, "here")
        assert not any(store.claim_seen(full.name, "full", claim.id, claim.digest)[1] for claim in full.claims)


def test_what_is_first_declared_after_its_data_is_marked_so_at_both_scales(tmp_path, monkeypatch):
    quick, full = (load(GRIDS[0], REGISTRY, scale=scale) for scale in ("quick", "full"))
    with Store(tmp_path / "store.sqlite") as store:
        monkeypatch.setattr(store, "finished", lambda environment: {cell.id: frozenset() for cell in quick.cells()})
        for grid in (quick, full):
            note_claims([grid], store, "here")
            assert all(store.claim_seen(grid.name, grid.scale, claim.id, claim.digest)[1] for claim in grid.claims)
