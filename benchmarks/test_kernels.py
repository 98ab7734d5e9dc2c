"""Every kernel case, phase by phase: checked, then timed by the harness of `d2lbench time`, whose windows stand here.

What pytest-benchmark prints and keeps are those windows, one round each: their median, spread and number. `extra_info`
holds the evidence. Run with `tox -e benchmarks`; `-- -k relu` narrows, `-- --kernels all` takes every size and phase.
"""

from __future__ import annotations

from math import isfinite

import pytest

from d2lbench.timing.machine import load


def evidence(measurement):
    """Return all that is known of a time beside its windows, as plain data."""
    key, samples, work, place = measurement.key, measurement.samples, measurement.work, measurement.place
    summary = samples.summary
    return {
        **key.setting.as_record(),
        "case": key.case,
        "size": key.size,
        "phase": key.phase,
        "status": measurement.status,
        "checked": measurement.checked,
        "calls": samples.calls,
        "interval": [summary.low, summary.high] if isfinite(summary.precision) else None,
        "device_time": summary.median,
        "end_to_end": (measurement.wall or samples).summary.median,
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
    if not measurement.samples:
        pytest.skip(measurement.reason)
    calls = measurement.samples.calls
    benchmark.group = f"{measurement.group}, {phase}"
    benchmark.extra_info.update(evidence(measurement))
    windows += [seconds * calls for seconds in measurement.samples.seconds]
    benchmark.pedantic(lambda: None, rounds=len(windows), iterations=calls)
    if benchmark.stats:
        assert benchmark.stats["median"] == pytest.approx(measurement.summary.median)
