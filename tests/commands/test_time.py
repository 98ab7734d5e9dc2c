"""Facts about `time`: what it lists, refuses, prints, keeps and returns."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

PLUGIN = '''
"""Two kernels from outside the package, one of them wrong."""
import torch
from d2lbench import register
from d2lbench.timing.kernels import Built

def build(reference):
    def case(device, dtype, /, *, n: int = 4096):
        """Twice."""
        x = torch.randn(n, device=device, dtype=dtype).requires_grad_()
        return Built(lambda x: 2 * x, (x,), reference=reference, flops={"forward": n, "backward": n})
    return case

told = {"group": "outside", "phases": ("forward", "backward"), "sizes": {"small": {}}}
register("kernel", "timed-outside", **told)(build(lambda x: x + x))
register("kernel", "wrong-outside", **told)(build(lambda x: x * x))
'''


def test_every_case_is_listed_by_group_with_its_phases(call):
    code, out, err = call("time", "--list")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert int(lines[0].split()[0]) >= 60
    assert any(line.split() == ["relu/small", "forward,", "forward-train,", "backward,", "whole"] for line in lines)


def test_the_list_is_narrowed_like_the_timing_and_machines_read_it(call):
    listed = json.loads(call("time", "--list", "-k", "relu", "--size", "small", "--json")[1])
    assert [(case["case"], case["size"], case["group"]) for case in listed] == [("relu", "small", "activations")]
    assert listed[0]["options"]
    assert listed[0]["summary"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["-k", "rellu"], '-k "rellu": no kernel case matches'),
        (["-k", "rellu"], 'did you mean "relu"?'),
        (["--size", "smal"], 'did you mean "small"?'),
        (["-k", "relu", "--phase", "step"], "no kernel case has all that is asked for"),
        (["--phase", "backwards"], "'backwards' is not one of 'forward', 'forward-train', 'backward'"),
        (["--dtype", "fp8"], "'fp8' is not one of 'float32', 'bfloat16', 'float64'"),
        (["--threads", "0"], "greater than or equal to 1"),
        (["--budget", "0"], "0.1"),
        (["--compile", "--cold"], "--compile with --cold"),
        (["--plugin", "none.py"], "none.py: no such file"),
    ],
)
def test_a_mistake_ends_with_2_and_says_what_would_be_right(call, arguments, told):
    code, out, err = call("time", *arguments)
    assert (code, out) == (2, "")
    assert told in " ".join(err.split())


@pytest.mark.slow
def test_a_right_kernel_is_timed_beside_a_wrong_one_which_is_refused(tmp_path):
    (tmp_path / "outside.py").write_text(PLUGIN, encoding="utf-8")
    command = ["time", "-k", "*-outside", "--plugin", "outside.py", "--budget", "4", "-o", "kept/timings.json"]
    done = subprocess.run(
        [sys.executable, "-m", "d2lbench", *command], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "timed-outside/small  forward " in done.stdout
    assert "wrong-outside/small forward, backward, whole: refused: forward is off by" in done.stdout
    kept = json.loads((tmp_path / "kept" / "timings.json").read_text(encoding="utf-8"))
    assert kept["machine"]["processor"]
    assert kept["machine"]["threads"] == 1
    timed, refused = (
        [m for m in kept["measurements"] if m["case"] == name] for name in ("timed-outside", "wrong-outside")
    )
    assert [m["phase"] for m in timed] == ["forward", "backward", "whole"]
    assert all(m["checked"] and len(m["seconds"]) == m["summary"]["windows"] >= 1 for m in timed)
    assert all(m["place"]["bound"] in {"compute", "memory", "launch"} for m in timed)
    assert {m["status"] for m in refused} == {"refused"}
