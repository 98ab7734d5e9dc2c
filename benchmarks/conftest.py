"""Options of the kernels' benchmarks, the machine's fingerprint in their JSON, and the clock that tells our windows."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from d2lbench.core.kinds import DTYPES
from d2lbench.store.timings import PHASES, Setting
from d2lbench.timing import cases as registered
from d2lbench.timing.clock import Budget
from d2lbench.timing.kernels import cases, select

#: What every change is timed by, within five minutes on two cores; `--kernels all` is everything that is registered.
DEFAULT_PHASES = ("forward", "backward", "step")
#: Takes longer to build and check than to time, or is timed in another size of the same code.
LEFT_OUT = ("vgg-11-torchvision", "alexnet-torchvision", "googlenet-torchvision", "load-workers[4]")
CEILING_SECONDS = 5.0


def pytest_addoption(parser):
    group = parser.getgroup("kernels", "kernel cases")
    group.addoption(
        "--kernels", choices=("default", "all"), default="default", help="small sizes in three phases, or everything"
    )
    group.addoption("--kernel-budget", type=float, default=170.0, metavar="SECONDS", help="for all of them together")
    group.addoption("--kernel-dtype", choices=DTYPES, default="float32")
    group.addoption("--kernel-device", choices=("cpu", "cuda"), default="cpu")
    group.addoption("--kernel-threads", type=int, default=1)
    group.addoption("--kernel-compile", action="store_true", help="time what torch.compile makes of them")
    group.addoption("--kernel-cold", action="store_true", help="with nothing in the cache")


def setting_of(config):
    options = {name: config.getoption(f"--kernel-{name}") for name in ("device", "dtype", "threads")}
    return Setting(**options, compiled=config.getoption("--kernel-compile"), cold=config.getoption("--kernel-cold"))


def chosen(config):
    """Return the cases by identity, and the phases, that are asked for."""
    known, phases = cases(registered.load()), PHASES
    if config.getoption("--kernels") == "default":
        known = tuple(case for case in select(known, sizes=("small",)) if case.name not in LEFT_OUT)
        phases = DEFAULT_PHASES
    return {case.identity: case for case in known}, phases


def pytest_generate_tests(metafunc):
    """Make a benchmark of every phase of every case that is asked for."""
    if {"case", "phase"} <= set(metafunc.fixturenames):
        known, phases = chosen(metafunc.config)
        pairs = [(name, phase) for name, case in known.items() for phase in case.phases if phase in phases]
        metafunc.parametrize(("case", "phase"), pairs, ids=["-".join(pair) for pair in pairs])


def pytest_benchmark_update_machine_info(config, machine_info):
    """Tell what a time depends on: pytest-benchmark's own facts name no processor's model, no threads, no library.

    What differs from run to run on one machine, its load, stands beside the times: two runs on it must compare equal.
    """
    from d2lbench.timing.machine import fingerprint

    facts = fingerprint(config.getoption("--kernel-device"))
    machine_info["fingerprint"] = {name: fact for name, fact in facts.items() if name not in ("load", "commit")}


class Session:
    """Measures a case once for all of its phases that were selected, within a fair share of the budget."""

    def __init__(self, config, selected):
        from d2lbench.timing.measure import Harness

        self.known, _ = chosen(config)
        self.selected = selected
        self.harness = Harness(setting_of(config))
        budget, ceilings = config.getoption("--kernel-budget"), CEILING_SECONDS
        if not config.getoption("benchmark_enable"):
            budget = ceilings = 0.0  # a window each: benchmarks are disabled, and only what is right is asked
        self.time_left = Budget(budget, sum(map(len, selected.values())))
        self.harness.measure_ceilings(ceilings)
        self.measurements = {}

    def measured(self, case, phase):
        if (case, phase) not in self.measurements:
            phases = self.selected[case]
            measured = self.harness.measure(self.known[case], phases, self.time_left.share(len(phases)))
            self.measurements |= {(case, each.key.phase): each for each in measured}
        return self.measurements[case, phase]


@pytest.fixture(scope="session")
def kernels(request):
    """Return what measures the kernels that are selected."""
    selected: dict[str, list[str]] = {}
    for item in request.session.items:
        found = getattr(item, "callspec", None)
        if found is not None and {"case", "phase"} <= set(found.params):
            selected.setdefault(found.params["case"], []).append(found.params["phase"])
    return Session(request.config, selected)


@pytest.fixture
def windows(request):
    """Return a list for windows' seconds; the benchmark's clock, asked before and after each, moves by them."""
    seconds: list[float] = []

    def ticks() -> Iterator[float]:
        now = 0.0
        for window in seconds:
            yield now
            now += window
            yield now
        while True:  # for the call whose result pytest-benchmark returns
            yield now

    ticking = ticks()

    def our_windows() -> float:
        return next(ticking)

    request.node.add_marker(pytest.mark.benchmark(timer=our_windows))
    return seconds
