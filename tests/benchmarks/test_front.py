"""Facts about pytest-benchmark in front of the harness: its table and JSON hold our windows; a wrong kernel fails."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from d2lbench.core.environment import cpu_model

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
WRONG = '''
"""A kernel that is wrong by a thousandth."""
import torch
from d2lbench import register
from d2lbench.timing.kernels import Built

@register("kernel", "skewed-outside", group="outside", phases=("forward",), sizes={"small": {}})
def skewed(device, dtype, /, *, n: int = 4096):
    """Twice, nearly."""
    x = torch.randn(n, device=device, dtype=dtype)
    return Built(lambda x: 2.002 * x, (x,), reference=lambda x: x + x, flops={"forward": n})
'''


def run(tmp_path, *arguments):
    (tmp_path / "skewed_outside.py").write_text(WRONG, encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "benchmarks/test_kernels.py",
        "-p",
        "skewed_outside",
        "-p",
        "no:cacheprovider",
    ]
    own = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}  # xdist's workers have
    return subprocess.run(
        [*command, "-q", "--kernel-budget", "2", *arguments],
        cwd=ROOT,
        env={**own, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def front(tmp_path_factory):
    folder = tmp_path_factory.mktemp("front")
    given = ["--benchmark-enable", "--benchmark-json", str(folder / "out.json"), "-k", "relu/small or skewed-outside"]
    done = run(folder, *given)
    return done, json.loads((folder / "out.json").read_text(encoding="utf-8"))


def test_a_wrong_kernel_fails_with_the_reason_and_has_no_number(front):
    done, kept = front
    assert done.returncode == 1
    assert "refused: forward is off by 0.001 of the reference's largest value; allowed: 0.0001" in done.stdout
    assert "2 passed" in done.stdout
    assert [each["name"] for each in kept["benchmarks"]] == [
        f"test_kernel[relu/small-{p}]" for p in ("forward", "backward")
    ]


def test_the_json_holds_our_windows_their_evidence_and_the_machines_fingerprint(front):
    _, kept = front
    assert kept["machine_info"]["fingerprint"]["processor"] == cpu_model()
    assert kept["machine_info"]["fingerprint"]["threads"] == 1
    assert not {"load", "commit"} & set(kept["machine_info"]["fingerprint"]), "they differ between runs on one machine"
    for each, phase in zip(kept["benchmarks"], ("forward", "backward"), strict=True):
        told, stats = each["extra_info"], each["stats"]
        assert each["group"] == f"activations, {phase}"
        assert (told["phase"], told["dtype"], told["kind"], told["checked"]) == (phase, "float32", "hot", True)
        assert told["flops"] == 64 * 256
        assert told["bytes"] > 0
        assert told["status"] in {"precise", "unconverged"}
        assert stats["median"] == pytest.approx(told["device_time"])
        assert stats["iterations"] == told["calls"]
        assert (told["interval"] is None) == (stats["rounds"] < 6), "fewer windows have no interval of 95 %"
        assert told["interval"] is None or told["interval"][0] <= stats["median"] <= told["interval"][1]
        assert each["params"] == {"case": "relu/small", "phase": phase}


def test_the_table_is_grouped_by_what_can_be_compared(front):
    done, _ = front
    assert "benchmark 'activations, forward': 1 tests" in done.stdout


def test_disabled_benchmarks_check_what_is_right_and_tell_no_time(tmp_path):
    done = run(tmp_path, "-k", "relu/small-forward or skewed-outside")
    assert done.returncode == 1
    assert "1 failed, 1 passed" in done.stdout
    assert "Median" not in done.stdout
