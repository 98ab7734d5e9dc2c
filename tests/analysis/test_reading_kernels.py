"""Facts about reading kernels: times of rounds become ratios, verdicts of a family of their own, and a table."""

from __future__ import annotations

import math

import numpy as np
import pytest

from d2lbench.analysis.assemble import results_of, section
from d2lbench.analysis.claims import judge
from d2lbench.analysis.statistics.parts import Part
from d2lbench.analysis.statistics.verdicts import Evidence, judge_family
from d2lbench.analysis.tables import kernel_table
from d2lbench.core.environment import environment, provenance
from d2lbench.grid import load
from d2lbench.store import Run, Store
from d2lbench.store.machines import timed_environment
from d2lbench.timing import cases

REGISTRY = cases.load()
KEY = environment("cpu").key
HERE = timed_environment(KEY, provenance())
GRID = """
format = 1
title = "Kernels"
seeds = 9
[base]
kernel = { name = "relu", phase = "whole" }
[vary]
kernel = [
  { name = "sigmoid", phase = "whole" },
  { name = "tanh", phase = "whole" },
  { name = "mlp", depth = [1, 2, 4], phase = "forward-train" },
]
[[claims]]
id = "cheaper"
kind = "timing"
origin = "ours"
says = "ReLU is cheaper."
source = "us"
lower = "baseline"
than = { kernel = "sigmoid" }
[[claims]]
id = "alike"
kind = "timing"
origin = "ours"
says = "Sigmoid is as cheap as tanh."
source = "us"
same = [{ kernel = "sigmoid" }, { kernel = "tanh" }]
[[claims]]
id = "linear"
kind = "count"
origin = "ours"
says = "What is kept grows with the depth."
source = "us"
metric = "saved_bytes"
statistic = "misfit"
over = "kernel.depth"
tolerance = 1e-9
same = [{ kernel = "mlp" }, 0]
"""


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "store.sqlite") as opened:
        yield opened


@pytest.fixture
def measured(store):
    """Store rounds in which sigmoid takes 1.2 times as long as ReLU, tanh a hundredth more than sigmoid."""

    def stores(rounds, saved=lambda depth: 100.0 + 50.0 * depth):
        grid = load(GRID, REGISTRY)
        noise = np.random.default_rng(0)
        for seed in rounds:
            pace = math.exp(0.3 * noise.standard_normal())  # a round as a whole may be slow: pairs are of one round
            factors = {"relu": 1.0, "sigmoid": 1.2, "tanh": 1.212}
            rows = []
            for arm in grid.arms:
                kernel = arm.config.experiment
                own = math.exp(0.01 * noise.standard_normal())
                value = (
                    factors[kernel.name] * 1e-5 * pace * own if kernel.name in factors else saved(kernel.get("depth"))
                )
                name = "time" if kernel.name in factors else "saved_bytes"
                series = {name: (np.zeros(1), np.array([value]))}
                cell = arm.default(seed)
                rows.append(Run(cell.id, seed, "{}", "done", extras=frozenset({name}), series=series))
            store.save(HERE, f"round {seed}", rows, {**provenance(), "load": 0.5})
        return grid

    return stores


def test_times_of_rounds_are_compared_by_ratio_pair_by_pair(store, measured):
    grid = measured(range(9))
    cheaper, alike, linear = judge(results_of(grid, store, KEY))
    (part,) = cheaper.judgement.parts
    assert math.exp(part.estimate) == pytest.approx(1.2, rel=0.01)
    assert part.interval95.high - part.interval95.low < 0.03  # the rounds' own paces, 30 % apart, fall out
    assert (cheaper.judgement.word, cheaper.judgement.shown) == ("supported", "supported")
    assert (alike.judgement.word, alike.judgement.shown) == ("supported", "same within the margin")
    assert (linear.judgement.shown, linear.judgement.deviation < 1e-9) == ("holds", True)
    assert cheaper.judgement.family_size == 2


def test_what_is_no_line_is_no_line(store, measured):
    grid = measured(range(9), saved=lambda depth: float(depth**2))
    linear = judge(results_of(grid, store, KEY))[2]
    # Least squares through (1, 1), (2, 4), (4, 16): slope 36/7; the farthest miss is 9/7, of 16.
    assert linear.judgement.deviation == pytest.approx(9 / 7 / 16)
    assert linear.judgement.shown == "fails"


def test_without_rounds_claims_say_what_they_need_and_with_too_few_how_many(store, measured):
    grid = load(GRID, REGISTRY)
    words = {claim.judgement.shown for claim in judge(results_of(grid, store, KEY))}
    assert words == {"not run (needs time --claims)"}
    measured(range(4))
    words = {claim.judgement.shown for claim in judge(results_of(grid, store, KEY))}
    assert words == {"not run (4 rounds of 9)"}


def test_the_table_has_the_geometric_mean_of_each_kernel_that_is_timed(store, measured):
    grid = measured(range(9))
    results = results_of(grid, store, KEY)
    table = kernel_table(results)
    assert [row.label for row in table.rows] == ["relu (baseline)", "sigmoid(phase=whole)", "tanh(phase=whole)"]
    times = [results.runs[grid.arms[1].default(seed).id].series["time"][1][0] for seed in range(9)]
    assert table.rows[1].metric.mean == pytest.approx(float(np.prod(np.array(times) * 1e5)) ** (1 / 9) * 1e-5)
    assert (table.rows[1].metric.n, table.unit) == (9, "s")


def test_a_section_names_the_machine_that_its_kernels_were_timed_on(store, measured):
    grid = measured(range(9))
    told = dict(section(results_of(grid, store, KEY), store).setting)
    assert told["kernel"] == "relu(phase=whole)"
    assert (told["processor"], told["load"]) == (provenance()["processor"], "0.5")


def test_timings_are_corrected_among_themselves_alone():
    def claim(name, kind, differences):
        return Evidence(name, kind, parts=(Part("it", "greater", differences, 0.0),))

    small, large = (0.1,) * 8, (0.2,) * 8
    alone = judge_family([claim("t", "timing", small)])[0]
    beside = judge_family(
        [claim("c", "comparison", large), claim("d", "comparison", large), claim("t", "timing", small)]
    )
    assert beside[2] == alone
    assert [each.family_size for each in beside] == [2, 2, 1]
    assert beside[0].p_holm == pytest.approx(2 * 2 / 2**8)  # two flips of all signs, for two claims
