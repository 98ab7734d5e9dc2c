"""The timing harness put to the test on this machine; a failure says that its times are not to be believed here.

`python -m benchmarks.harness.self_tests` does the same with more trials and writes a page. These are no benchmarks:
they run with `tox -e benchmarks`, never with the tests, since they ask a clock.
"""

from __future__ import annotations

import os

import pytest

from benchmarks.harness import self_tests
from d2lbench.engine.process import prepare_process
from d2lbench.timing.clock import clock_of

TRIALS, PAIRS = 40, 100


@pytest.fixture
def device(request):
    if not request.config.getoption("benchmark_enable"):
        pytest.skip("asks a clock: run with --benchmark-enable")
    prepare_process(1)
    return request.config.getoption("--kernel-device")


def believe(finding):
    busy = f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    if finding.verdict in {"not run", "unsure"}:
        pytest.skip(f"{finding.reason} ({busy})")
    assert finding.verdict == "holds", f"{finding.claim}: {finding.found} ({busy})"


@pytest.mark.usefixtures("device")
def test_a_sleep_of_known_length_comes_back_within_1_percent():
    believe(self_tests.known_sleep())


def test_an_injected_slow_down_of_5_percent_is_found_in_9_of_10_trials(device):
    believe(self_tests.slow_downs(device, clock_of(device), TRIALS))


def test_equal_pairs_are_called_different_in_1_percent_at_most(device):
    believe(self_tests.equal_pairs(device, clock_of(device), PAIRS))


def test_a_case_that_its_host_holds_up_is_labelled_so(device):
    believe(self_tests.host_bound(device))


def test_a_wrong_kernel_is_refused(device):
    believe(self_tests.wrong_kernel(device))
