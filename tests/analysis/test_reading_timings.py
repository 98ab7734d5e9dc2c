"""Facts about what is read of stored timings: phases side by side, ratios, ceilings, caches, memory, machines."""

from __future__ import annotations

import math

import numpy as np
import pytest

from d2lbench.analysis.timing_model import Time, ratio
from d2lbench.analysis.timings import kernels
from d2lbench.store import Store, Timing

ENVIRONMENT = "cpu/torch-0.0/test"


def measured(case="relu", phase="forward", median=2e-6, *, size="small", group="activations", cold=False, **more):
    """One stored phase of a case, with an interval of ± 10 %."""
    setting = {"device": "cpu", "dtype": "float32", "threads": 1, "compiled": False, "cold": cold, "kind": "hot"}
    summary = {"median": median, "low": 0.9 * median, "high": 1.1 * median, "spread": 0.0, "windows": 30}
    return {
        "case": case, "group": group, "size": size, "phase": phase, "setting": setting, "status": "precise",
        "reason": "", "summary": summary, "host_bound": False, "work": {"flops": 4e3, "bytes": 1e3, "launches": 1},
        "place": {"flops_per_second": 1.0, "bytes_per_second": 1.0, "bound": "memory", "share": 0.5}, **more,
    }  # fmt: skip


def row(content, *, kind="case", machine="m1", environment=ENVIRONMENT):
    named = [content.get(name) for name in ("case", "size", "phase", "axis", "depth", "batch", "what")]
    cold = content.get("setting", {}).get("cold")
    return Timing(kind, f"{named}{cold}", machine, environment, content)


CEILINGS = row(
    {"device": "cpu", "dtype": "float32", "threads": 1, "flops": 1e11, "copies": [[1e5, 8e10], [1e8, 2e10]]},
    kind="ceilings",
)


@pytest.fixture
def read(tmp_path):
    def reads(*rows, environment=ENVIRONMENT):
        with Store(tmp_path / "store.sqlite") as store:
            store.save_timings(rows)
            return kernels(store, environment)

    return reads


def test_nothing_is_read_where_nothing_was_timed_there(read):
    assert read() is None
    assert read(row(measured()), environment="cuda/torch-0.0/test") is None


def test_forward_stands_beside_backward_and_their_ratio(read):
    (group,) = read(row(measured()), row(measured(phase="backward", median=5e-6)), row(measured("tanh"))).groups
    assert (group.name, group.setting) == ("activations", "float32, 1 thread, hot cache")
    relu, tanh = group.rows
    assert (relu.times["forward"].median, relu.times["backward"].median) == (2e-6, 5e-6)
    assert relu.ratio.estimate == pytest.approx(2.5)
    assert relu.places == (("forward", "memory", 0.5), ("backward", "memory", 0.5))
    assert (tanh.case, set(tanh.times), tanh.ratio) == ("tanh", {"forward"}, None)
    assert [list(times) for _, times in group.lines] == [["forward", "backward"], ["forward"]]


def test_the_interval_of_a_ratio_covers_as_often_as_it_says():
    draw = np.random.default_rng(3)
    n, covered, trials, half = 400, 0, 2000, 1.959964
    for _ in range(trials):
        ends = []
        for true in (3.0, 2.0):
            mean = math.log(true) + draw.normal(0, 1 / math.sqrt(n))
            ends.append(Time(*(math.exp(mean + k * half / math.sqrt(n)) for k in (0, -1, 1))))
        found = ratio(*ends)
        covered += found.low <= 1.5 <= found.high
    assert 0.94 < covered / trials < 0.96  # standard error 0.005


def test_a_ratio_of_times_without_intervals_has_none():
    found = ratio(Time(4.0, math.nan, math.nan), Time(2.0, 1.9, 2.1))
    assert found.estimate == 2
    assert math.isnan(found.low)
    assert math.isnan(found.high)


def test_a_time_below_six_windows_has_no_interval_and_is_said_to_be_unconverged(read):
    summary = {"median": 2e-6, "low": None, "high": None, "spread": 0.0, "windows": 3}
    (found,) = read(row(measured(summary=summary, status="unconverged"))).groups[0].rows
    assert math.isnan(found.times["forward"].low)
    assert found.notes == ("forward unconverged",)


def test_where_only_steps_are_timed_implementations_share_a_line(read):
    steps = [measured(name, "step", 1e-5, group="optimizers") for name in ("adam[fused]", "adam[foreach]", "lbfgs")]
    (group,) = read(*map(row, steps)).groups
    assert [(label, list(times)) for label, times in group.lines] == [
        ("adam/small", ["fused", "foreach"]),
        ("lbfgs/small", ["step"]),
    ]


def test_hot_and_cold_never_share_a_table_but_a_comparison(read):
    found = read(row(measured()), row(measured(cold=True, median=6e-6)), row(measured("tanh", cold=True)))
    assert [group.setting for group in found.groups] == [
        "float32, 1 thread, hot cache",
        "float32, 1 thread, cold cache",
    ]
    (pair,) = found.hot_cold
    assert (pair.name, pair.hot.median, pair.cold.median) == ("relu/small forward", 2e-6, 6e-6)
    assert pair.ratio.estimate == pytest.approx(3)


def test_a_point_below_the_roof_is_operations_for_each_byte_and_a_second(read):
    found = read(row(measured(median=1e-6)), row(measured(phase="whole")), CEILINGS)
    (roofline,) = found.rooflines
    assert (roofline.flops, roofline.copies) == (1e11, ((1e5, 8e10), (1e8, 2e10)))
    (point,) = roofline.points
    assert (point.intensity, point.rate, point.phase, point.bound) == (4.0, pytest.approx(4e9), "forward", "memory")


def test_what_does_no_operations_has_no_place_below_the_roof(read):
    idle = measured("load", "step", work={"flops": 0.0, "bytes": 1e3, "launches": 1})
    assert read(row(idle), CEILINGS).rooflines == ()


def test_memory_is_a_curve_over_each_axis_for_training_and_prediction(read):
    points = [
        {"axis": "depth", "depth": depth, "batch": 8, "what": what, "network": "net", "bytes": size * 2**20}
        for what, size in (("prediction", 1), ("training", 3))
        for depth in (4, 2)
    ]
    (panel,) = read(row(measured()), *(row(point, kind="memory") for point in points)).memory
    assert (panel.x_label, panel.y_label) == ("hidden layers", "peak memory, MiB")
    assert [(curve.label, curve.x, curve.mean) for curve in panel.curves] == [
        ("prediction", (2.0, 4.0), (1.0, 1.0)),
        ("training", (2.0, 4.0), (3.0, 3.0)),
    ]


def test_a_refused_kernel_is_named_with_the_reason_and_has_no_row(read):
    wrong = measured("wrong", summary=None, place=None, status="refused", reason="forward is off by 1.9")
    found = read(row(measured()), row(wrong))
    assert found.refused == (("wrong/small forward", "forward is off by 1.9"),)
    assert [line.case for line in found.groups[0].rows] == ["relu"]


def test_only_the_machine_that_was_timed_last_is_read(read):
    facts = {"processor": "old", "load": 0.123456}
    found = read(
        row(measured(median=1.0), machine="m2"),
        Timing("machine", "", "m2", ENVIRONMENT, {"processor": "other"}),
        Timing("machine", "", "m1", ENVIRONMENT, facts),
        row(measured(median=2.0)),
    )
    assert found.groups[0].rows[0].times["forward"].median == 2.0
    assert found.machine == (("processor", "old"), ("load", "0.12"))
    assert found.other_machines == 1
