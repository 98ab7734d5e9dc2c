"""Facts about costs and timings on their way to the report: measured after a run, kept in the store, drawn."""

from __future__ import annotations

import json
import re

import pytest

from d2lbench.store import Store

pytestmark = pytest.mark.slow

PLUGIN = '''
"""A kernel from outside the package."""
import torch
from d2lbench import register
from d2lbench.timing.kernels import Built

@register("kernel", "timed-outside", group="outside", phases=("forward", "backward"), sizes={"small": {}})
def case(device, dtype, /, *, n: int = 4096):
    """Twice."""
    x = torch.randn(n, device=device, dtype=dtype).requires_grad_()
    return Built(lambda x: 2 * x, (x,), reference=lambda x: x + x, flops={"forward": n, "backward": n})
'''


def test_a_run_ends_with_what_its_arms_cost_and_the_report_shows_it(trained):
    assert "costs of distinct programs: 0 in the store already; timed now: 2" in trained.done.stdout
    with Store(trained.store) as store:
        found = [timing.content for timing in store.timings("cost")]
        assert store.timings("machine")[0].content["threads"] == 1
    assert sorted(cost["parameters"] for cost in found) == [64 * n + n + n * 10 + 10 for n in (6, 8)]
    text = trained.report.read_text(encoding="utf-8")
    assert "What each arm costs: 3 arms, timed alone" in text
    (figure,) = trained.report.parent.glob("figures/tiny-cost-*.svg")
    assert f"figures/{figure.name}" in (trained.report.parent / "report.md").read_text(encoding="utf-8")


def test_what_is_known_is_not_measured_again_and_the_report_stays(house):
    first = house.run("run", "tiny.toml", "--jobs", "1")
    assert first.returncode == 0, first.stderr
    before = house.report.read_bytes()
    again = house.run("run", "tiny.toml", "--jobs", "1")
    assert "costs of" not in again.stdout
    assert "nothing new, report unchanged" in again.stdout
    assert house.run("report", "tiny.toml").returncode == 0
    assert house.report.read_bytes() == before, "drawn again from the store, the same bytes"


def test_costs_are_left_out_where_nobody_wants_them(house):
    done = house.run("run", "tiny.toml", "--jobs", "1", "--no-costs", "--json")
    assert json.loads(done.stdout)["costs"] is None
    assert "What each arm costs" not in house.report.read_text(encoding="utf-8")
    assert house.run("run", "tiny.toml", "--jobs", "1", "--no-report").returncode == 0
    with Store(house.store) as store:
        assert store.timings("cost") == ()


def test_timed_kernels_are_kept_and_shown_by_the_next_report(house):
    house.write("outside.py", PLUGIN)
    timed = house.run("time", "-k", "timed-outside", "--plugin", "outside.py", "--budget", "2")
    assert timed.returncode == 0, timed.stderr
    with Store(house.store) as store:
        phases = {timing.content["phase"]: timing.content for timing in store.timings("case")}
    assert phases.keys() == {"forward", "backward", "whole"}
    assert len(phases["forward"]["seconds"]) == phases["forward"]["summary"]["windows"]
    assert house.run("run", "pauses.toml", "--plugin", "pause.py", "--jobs", "1").returncode == 0
    text = house.report.read_text(encoding="utf-8")
    assert "1 kernel timed; of 1 timed both ways" in re.sub(r"\s+", " ", text)
    assert "timed-outside/small" in text
    names = {path.name.rpartition("-")[0] for path in (house.report.parent / "figures").iterdir()}
    assert {name.partition("-")[0] for name in names} == {"roofline", "kernels"}


def test_a_store_that_cannot_be_written_does_not_take_the_times_along(house):
    house.write("outside.py", PLUGIN)
    house.write("taken", "")
    timed = house.run(
        "time", "-k", "timed-outside", "--plugin", "outside.py", "--budget", "2", "--store", "taken/store.sqlite"
    )
    assert timed.returncode == 3
    assert "timed-outside/small  forward" in timed.stdout
    assert "taken/store.sqlite could not be opened" in timed.stderr
