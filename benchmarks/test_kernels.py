"""Every kernel case, phase by phase: checked, then timed by the harness of `d2lbench time`, whose windows stand here.

What pytest-benchmark prints and keeps are those windows, one round each: their median, spread and number. `extra_info`
holds the evidence. Run with `tox -e benchmarks`; `-- -k relu` narrows, `-- --kernels all` takes every size and phase.
"""

from __future__ import annotations

from dataclasses import asdict
from math import isfinite

import pytest

from d2lbench.timing.machine import load


def evidence(measurement):
    """Return all that is known of a time beside its windows, as plain data."""
    summary, work, place = measurement.summary, measurement.work, measurement.place
    return {
        **asdict(measurement.setting),
        "kind": measurement.setting.kind,
        "case": measurement.case,
        "size": measurement.size,
        "phase": measurement.phase,
        "status": measurement.status,
        "checked": measurement.checked,
        "calls": measurement.calls,
        "interval": [summary.low, summary.high] if isfinite(summary.precision) else None,
        "device_time": summary.median,
        "end_to_end": measurement.end_to_end.median if measurement.end_to_end else summary.median,
        "host_bound": measurement.host_bound,
        "flops": work.flops,
        "bytes": work.bytes,
        "launches": work.launches,
        "peak_memory": measurement.peak_memory,
        "bound": place.bound,
        "share_of_ceiling": place.share,
        "load": load(),
    }


def test_kernel(windows, benchmark, kernels, case, phase):
    measurement = kernels.measured(case, phase)
    if measurement.status in {"refused", "failed"}:
        pytest.fail(f"{measurement.status}: {measurement.reason}", pytrace=False)
    if not measurement.timed:
        pytest.skip(measurement.reason)
    benchmark.group = f"{measurement.group}, {phase}"
    benchmark.extra_info.update(evidence(measurement))
    windows += [seconds * measurement.calls for seconds in measurement.seconds]
    benchmark.pedantic(lambda: None, rounds=len(windows), iterations=measurement.calls)
    if benchmark.stats:
        assert benchmark.stats["median"] == pytest.approx(measurement.summary.median)
