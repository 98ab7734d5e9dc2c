"""Facts about the harness's self-tests: each can fail, and says what it found; the live ones run in benchmarks/."""

from __future__ import annotations

import pytest

from benchmarks.harness import self_tests
from d2lbench.timing.clock import HostClock, Window
from d2lbench.timing.windows import Pair

pytestmark = pytest.mark.usefixtures("process")


@pytest.mark.parametrize(("late", "verdict"), [(1.0, "holds"), (1.009, "holds"), (1.02, "fails"), (0.98, "fails")])
def test_a_sleep_must_come_back_within_1_percent(late, verdict):
    nanoseconds = 0.0

    def sleep(seconds):
        nonlocal nanoseconds
        nanoseconds += seconds * late * 1e9

    found = self_tests.known_sleep(0.1, HostClock(lambda: int(nanoseconds)), sleep)
    assert (found.verdict, found.claim) == (verdict, "a sleep of 100 ms comes back within 1%")
    assert found.found == f"{late - 1:+.2%} from 15 windows"


def scripted(monkeypatch, found):
    """Let pairs come out as a script says: 1 for equal, else the second call's share of the first's."""
    pairs = iter([Pair(((Window(1.0, 1.0), Window(ratio, 1.0)),) * 30) for ratio in found])
    monkeypatch.setattr(self_tests, "collect_pair", lambda *_: next(pairs))


@pytest.mark.parametrize(("found", "verdict"), [(9, "holds"), (8, "fails")])
def test_a_slow_down_must_be_found_in_9_of_10_trials_and_a_speed_up_is_none(monkeypatch, found, verdict):
    scripted(monkeypatch, [1.05] * found + [0.95] * (10 - found))
    told = self_tests.slow_downs("cpu", HostClock(), 10)
    assert (told.verdict, told.found) == (verdict, f"{found} of 10")


@pytest.mark.parametrize(("missed", "verdict"), [(1, "holds"), (2, "unsure"), (10, "unsure")])
def test_a_machine_that_is_too_noisy_to_see_it_is_told_and_not_the_rule_blamed(monkeypatch, missed, verdict):
    """Ratios from 0.9 to 1.2 do not tell 1.05 from 1, and their median is not known to 2 %."""
    noisy = Pair(tuple((Window(1.0, 1.0), Window(0.9 + 0.03 * step, 1.0)) for step in range(11)))
    clear = Pair(((Window(1.0, 1.0), Window(1.05, 1.0)),) * 30)
    pairs = iter([noisy] * missed + [clear] * (10 - missed))
    monkeypatch.setattr(self_tests, "collect_pair", lambda *_: next(pairs))
    told = self_tests.slow_downs("cpu", HostClock(), 10)
    assert told.verdict == verdict
    assert told.reason == (f"too noisy: {missed} ratios are not known to 2% within 1 s" if verdict == "unsure" else "")


@pytest.mark.parametrize(("alarms", "verdict"), [(0, "holds"), (3, "holds"), (8, "holds"), (9, "fails")])
def test_false_alarms_beyond_luck_at_a_rate_of_1_percent_refute_it(monkeypatch, alarms, verdict):
    """Of 300 at a rate of 1 %, 9 or more come in less than 1 % of runs, 8 or more in 1.2 %."""
    scripted(monkeypatch, [1.02] * alarms + [1.0] * (300 - alarms))
    told = self_tests.equal_pairs("cpu", HostClock(), 300)
    assert told.verdict == verdict
    assert told.found.startswith(f"{alarms} of 300; ")


def test_a_wrong_kernel_is_refused_and_one_that_is_timed_is_a_failure(monkeypatch):
    assert self_tests.wrong_kernel("cpu").verdict == "holds"
    monkeypatch.setattr("d2lbench.timing.measure.check", lambda *_, **__: ())
    told = self_tests.wrong_kernel("cpu")
    assert (told.verdict, told.found) == ("fails", "it was timed")


def test_without_a_gpu_the_host_bound_case_is_not_run_and_says_why():
    told = self_tests.host_bound("cpu")
    assert (told.verdict, told.reason) == ("not run", "there is no CUDA device; tested on simulated ones")


@pytest.mark.cuda
def test_on_a_gpu_a_case_that_waits_for_its_host_is_labelled_so():
    assert self_tests.host_bound("cuda").verdict == "holds"
