"""Facts about comparing timers: what a ratio, its interval and its reason say."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from benchmarks.harness.agreement import Agreement, agreements, interval, overall
from d2lbench.store.timings import KernelKey, Setting

LOGS = [0.01, -0.02, 0.03, 0.005]


def agreement(ours, theirs, lengths=(1e-3, 2e-3)):
    return Agreement(KernelKey("relu", "", "small", "forward"), "timer", tuple(ours), tuple(theirs), lengths)


def test_the_interval_is_students_of_the_logarithm():
    found = interval(LOGS)
    expected = stats.ttest_1samp(LOGS, 0).confidence_interval(0.95)
    assert found.median == pytest.approx(math.exp(np.mean(LOGS)))
    assert (found.low, found.high) == pytest.approx((math.exp(expected.low), math.exp(expected.high)))


def test_one_round_says_nothing():
    found = agreement([1.0], [2.0])
    assert (found.ratio.low, found.ratio.high) == (0, math.inf)
    assert found.ratio.covers_one
    assert found.drift == 0


def test_ours_stand_over_theirs_and_what_covers_1_needs_no_reason():
    found = agreement(np.exp(LOGS), [1.0] * 4)
    assert found.ratio.median == pytest.approx(interval(LOGS).median)
    assert found.ratio.covers_one
    assert found.reason == ""


def test_where_the_interval_does_not_cover_1_the_rounds_tell_what_is_known():
    found = agreement([1.1, 1.1, 1.21, 1.21001], [1.0, 1.0, 1.1, 1.1])
    assert not found.ratio.covers_one
    assert found.ratio.median == pytest.approx(1.1, rel=1e-4)
    assert found.drift == pytest.approx(0.1, rel=1e-3)
    lasting = "windows of 1 ms against theirs of 2 ms"
    assert found.reason == f"{lasting}; from one half of the rounds to the other the machine changed by 10.0%"


def test_together_the_median_of_ten_ratios_has_the_interval_of_order_statistics():
    """Of ten, the second smallest and the second largest hold the median in 97.9 % of orders."""
    found = overall([agreement([ratio, ratio], [1.0, 1.0]) for ratio in np.linspace(0.95, 1.04, 10)])
    assert (found.median, found.low, found.high) == pytest.approx((0.995, 0.96, 1.03))


@pytest.mark.usefixtures("process")
def test_the_two_take_turns_on_the_same_call_and_the_first_round_does_not_count(monkeypatch):
    seen = []

    def ours(*_):
        seen.append("ours")
        return type("Samples", (), {"summary": type("S", (), {"median": 2.0}), "calls": 3})

    def others(*_):
        yield "other", lambda _: seen.append("other") or (1.0, 7.0)

    monkeypatch.setattr("benchmarks.harness.agreement.collect", ours)
    monkeypatch.setattr("benchmarks.harness.agreement._others", others)
    (found,) = agreements(Setting(), rounds=3, compared=[("linear", "backward")])
    assert seen == ["other", "ours", "ours", "other"] * 2
    assert (str(found.key), found.key.phase, found.other) == ("linear/small", "backward", "other")
    assert (found.ours, found.theirs, found.lengths) == ((2.0,) * 3, (1.0,) * 3, (6.0, 7.0))


@pytest.mark.usefixtures("process")
def test_torchs_timer_is_asked_for_the_same_call_in_the_same_gradient_mode():
    (found,) = agreements(Setting(), rounds=2, seconds=0.02, compared=[("linear", "forward")])
    assert found.other == "torch.utils.benchmark"
    assert len(found.ours) == len(found.theirs) == 2
    assert min(*found.ours, *found.theirs, *found.lengths) > 0
