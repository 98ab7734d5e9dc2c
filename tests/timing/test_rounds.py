"""Facts about rounds of kernels: what is measured, in which order, what is stored, and what is never measured twice."""

from __future__ import annotations

import itertools
from contextlib import contextmanager

import pytest

from d2lbench.api.session import note_claims
from d2lbench.core.environment import environment, provenance
from d2lbench.core.errors import TimingError
from d2lbench.grid import load
from d2lbench.running.work import plan_works
from d2lbench.store import Run
from d2lbench.store.machines import environment_of, timed_environment
from d2lbench.timing import cases
from d2lbench.timing.rounds import Order, Rounds, wanted

REGISTRY = cases.load()
HERE = timed_environment(environment("cpu").key, provenance())
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
  { name = "mlp", phase = ["forward", "whole"] },
  { name = "mse", phase = "whole" },
  { name = "l1-loss", phase = "whole" },
]
[claims.cheaper]
kind = "timing"
origin = "ours"
says = "ReLU is cheaper."
source = "us"
lower = "baseline"
[[claims.cheaper.part]]
than = { kernel = "sigmoid" }
[[claims.cheaper.part]]
than = { kernel = "tanh" }
[claims.higher]
kind = "demonstration"
origin = "ours"
says = "Training holds more."
source = "us"
metric = "peak_memory"
higher = { kernel = { name = "mlp", phase = "whole" } }
than = { kernel = { name = "mlp", phase = "forward" } }
[claims.losses]
kind = "timing"
origin = "ours"
says = "Squares take as long as magnitudes."
source = "us"
margin = 0.1
reason = "for the test"
same = [{ kernel = "mse" }, { kernel = "l1-loss" }]
"""


class Bench:
    """Measures by making numbers up, and keeps a record of what it was asked."""

    def __init__(self, broken=()):
        self.broken, self.rounds, self.shares = set(broken), [], []

    @contextmanager
    def __call__(self):
        self.rounds.append([])
        yield self

    def machine(self):
        return {**provenance(), "load": 0.0}

    def measure(self, cell, seconds, wanted):
        kernel = cell.config.experiment
        self.rounds[-1].append((kernel.name, kernel.get("phase"), wanted))
        self.shares.append(seconds)
        if kernel.name in self.broken:
            problem = "broken for the test"
            raise TimingError(problem)
        return dict.fromkeys(wanted, float(len(self.rounds)))


@pytest.fixture
def bench():
    return Bench()


def grid(text=GRID, seeds=3):
    return load(text, REGISTRY, seeds=seeds)


def measure(store, bench, one, **options):
    return Rounds(store, bench, quiet=True, **options).run([one])


def test_each_round_is_a_process_that_measures_each_kernel_once(store, bench):
    summary = measure(store, bench, grid())
    assert (summary.rounds, summary.kernels, summary.measured, summary.failed) == (3, 7, 3, {})
    assert [len(calls) for calls in bench.rounds] == [7, 7, 7]
    runs = store.runs(HERE, [cell.id for cell in grid().cells()])
    assert sorted((run.seed, run.status) for run in runs.values()) == [
        (seed, "done") for seed in range(3) for _ in range(7)
    ]


def test_what_claims_read_is_measured_and_the_time_of_what_none_reads():
    text = GRID.replace('[claims.losses]\nkind = "timing"', '[claims.losses]\nkind = "count"').replace(
        'margin = 0.1\nreason = "for the test"', 'metric = "flops"'
    )
    one = grid(text, seeds=1)
    asked = wanted([one])
    told = {arm.label: set(asked[arm.default(0).id]) for arm in one.arms}
    assert told == {
        "baseline": {"time"},
        "sigmoid(phase=whole)": {"time"},
        "tanh(phase=whole)": {"time"},
        "mlp(phase=forward)": {"peak_memory"},
        "mlp(phase=whole)": {"peak_memory"},
        "mse(phase=whole)": {"flops"},
        "l1-loss(phase=whole)": {"flops"},
    }


def test_finished_rounds_are_not_measured_again_and_more_rounds_go_on(store, bench):
    measure(store, bench, grid(seeds=2))
    again = measure(store, bench, grid(seeds=2))
    assert (again.known, again.measured, len(bench.rounds)) == (2, 0, 2)
    more = measure(store, bench, grid(seeds=3))
    assert (more.known, more.measured, len(bench.rounds)) == (2, 1, 3)


def test_a_number_that_is_asked_for_later_is_put_beside_the_others(store, bench):
    measure(store, bench, grid(seeds=1))
    head = '[claims.count]\nkind = "count"\norigin = "ours"\nsays = "s"\nsource = "us"\n'
    later = grid(f'{GRID}{head}metric = "flops"\nsame = ["baseline", 1]\n', seeds=1)
    measure(store, bench, later)
    assert bench.rounds[1] == [("relu", "whole", frozenset({"time", "flops"}))]
    (run,) = store.runs(HERE, [later.arms[0].default(0).id]).values()
    assert {name: y[-1] for name, (_, y) in run.series.items()} == {"time": 1.0, "flops": 2.0}


def test_a_kernel_without_a_number_is_told_and_tried_again_alone(store):
    first = measure(store, Bench(broken=["tanh"]), grid(seeds=2))
    assert first.failed == {"tanh(phase=whole): broken for the test": 2}
    assert "2 without a number: tanh(phase=whole): broken for the test" in first.text()
    bench = Bench()
    second = measure(store, bench, grid(seeds=2))
    assert not second.failed
    assert [[name for name, _, _ in calls] for calls in bench.rounds] == [["tanh"], ["tanh"]]


def test_what_a_claim_compares_is_measured_side_by_side(store, bench):
    measure(store, bench, grid(seeds=8))
    for calls in bench.rounds:
        names = [name for name, _, _ in calls]
        for members in ({"relu", "sigmoid", "tanh"}, {"mlp"}, {"mse", "l1-loss"}):
            places = [place for place, name in enumerate(names) if name in members]
            assert places == list(range(places[0], places[-1] + 1))


def test_the_order_changes_from_pair_to_pair_of_rounds_and_is_reversed_within_one():
    one = grid(seeds=8)
    order = Order([one])
    rounds = [[arm.default(seed) for arm in one.arms] for seed in range(8)]
    labels = {arm.default(seed).id: arm.label for arm in one.arms for seed in range(8)}
    found = [[labels[cell.id] for cell in order.of(seed, cells)] for seed, cells in enumerate(rounds)]
    assert all(found[k] == found[k + 1][::-1] for k in range(0, 8, 2))
    assert len({tuple(names) for names in found}) > 2
    assert [labels[cell.id] for cell in order.of(0, reversed(rounds[0]))] == found[0]


def test_an_interrupted_round_is_not_stored_and_those_before_it_are(store):
    class Interrupted(Bench):
        def measure(self, cell, seconds, wanted):
            if len(self.rounds) == 2 and len(self.rounds[-1]) == 3:
                raise KeyboardInterrupt
            return super().measure(cell, seconds, wanted)

    with pytest.raises(KeyboardInterrupt):
        measure(store, Interrupted(), grid())
    runs = store.runs(HERE, [cell.id for cell in grid().cells()])
    assert {run.seed for run in runs.values()} == {0}
    assert len(runs) == 7


def test_a_budget_is_shared_among_rounds_and_what_is_left_of_a_round_among_its_kernels(store, bench):
    clock = itertools.count()
    measure(store, bench, grid(seeds=2), budget=1000.0, now=lambda: float(next(clock)))
    assert all(share > 0 for share in bench.shares)
    assert bench.shares[6] == pytest.approx(500.0, abs=20)  # the last of a round may have all that is left of it
    assert bench.shares[0] == pytest.approx(500.0 / 7, abs=5)


def test_kernels_are_left_alone_when_grids_are_trained():
    assert plan_works([grid()], {}).planned == 0


def test_times_lie_under_the_machines_own_environment_and_are_read_of_one_machine(store, bench):
    one = grid(seeds=1)
    assert environment_of(one, store, environment("cpu").key) == HERE
    other = f"{environment('cpu').key}/machine-0123456789abcdef"
    cells = list(one.cells())
    run = Run(cells[0].id, 0, "{}", "done", extras=frozenset({"time"}))
    store.save(other, "round 0", [run], {"commit": "abc"})
    assert environment_of(one, store, environment("cpu").key) == other
    measure(store, bench, one)
    assert environment_of(one, store, environment("cpu").key) == HERE
    assert store.finished(environment("cpu").key) == {}


def test_claims_about_kernels_are_noted_before_their_rounds(store, bench):
    one, key = grid(seeds=1), environment("cpu").key
    note_claims([one], store, key)
    measure(store, bench, one)
    note_claims([one], store, key)
    assert not any(store.claim_seen(one.name, one.scale, claim.id, claim.digest)[1] for claim in one.claims)
    late = grid(GRID.replace("margin = 0.1", "margin = 0.2"), seeds=1)
    note_claims([late], store, key)
    seen = {claim.id: store.claim_seen(late.name, late.scale, claim.id, claim.digest)[1] for claim in late.claims}
    assert seen == {"cheaper": False, "higher": False, "losses": True}
