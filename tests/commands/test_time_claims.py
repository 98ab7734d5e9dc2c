"""Facts about `time --claims`, in real processes: rounds are measured once, stored, judged, and shown everywhere."""

from __future__ import annotations

import json

import pytest

pytestmark = pytest.mark.slow

KERNELS = """
format = 1
title = "Two kernels"
question = "Does the larger one take longer?"
seeds = 2
[base]
kernel = { name = "relu", batch = 2, features = 3, phase = "forward" }
[vary]
kernel = [{ name = "relu", batch = 512, features = 512, phase = "forward" }]
[[claims]]
id = "larger-is-longer"
kind = "demonstration"
origin = "ours"
says = "ReLU of 262,144 numbers takes longer than that of six."
source = "us"
metric = "time"
higher = { kernel = { batch = 512 } }
than = "baseline"
[[claims]]
id = "operations"
kind = "count"
origin = "ours"
says = "One operation a number."
source = "us"
metric = "flops"
same = [{ kernel = { batch = 512 } }, 262144]
"""


@pytest.fixture
def kernels(house):
    house.write("kernels.toml", KERNELS)
    return house


def test_rounds_are_measured_judged_resumed_and_shown(kernels, call):
    """One process after the other: this is the whole way of a question about kernels."""
    code, out, _ = call("run", "kernels.toml", "--no-report")
    assert code == 0
    assert "kernels are left to `d2lbench time --claims`: kernels" in out
    assert call("claims", "kernels.toml")[1].count("Needs time --claims.") == 2

    first = kernels.run("time", "--claims", "kernels.toml", "--seeds", "1", "--budget", "1", timeout=300)
    assert first.returncode == 0, first.stderr
    assert "1 rounds of 2 kernels: 0 in the store already; measured now: 1" in first.stdout
    assert first.stdout.count("1 rounds of 2.") == 2

    rest = kernels.run("time", "--claims", "kernels.toml", "--budget", "1", "--json", timeout=300)
    assert rest.returncode == 0, rest.stderr
    answered = json.loads(rest.stdout)
    assert (answered["rounds"], answered["stored_before"], answered["measured"]) == (2, 1, 1)
    shown_twice, counted = answered["claims"]
    assert shown_twice["reason"].startswith("noise: 2 of 2 seeds show")  # 40,000 times the numbers
    assert (counted["verdict"], counted["reason"]) == ("supported", "largest deviation 0, allowed 0")
    assert "0 in the store" not in call("time", "--claims", "kernels.toml")[1]  # and nothing is left to measure

    check = call("check", "kernels.toml")[1]
    assert "4 distinct cells in 2 rounds, each a process of its own" in check
    assert "4 of them in the store" in check
    show = call("show", "kernels.toml")[1]
    assert "relu(batch=512, features=512, phase=forward)" in show
    assert "2 done" in show
    rows = json.loads(call("export", "kernels.toml", "--format", "json")[1])
    assert {row["status"] for row in rows} == {"done"}
    assert [row["flops"] for row in rows if row["arm"] == "relu(batch=512, features=512, phase=forward)"] == [2**18] * 2
    code, out, err = call("report", "kernels.toml")
    assert code == 0, err
    page = kernels.report.read_text(encoding="utf-8")
    assert "larger-is-longer" in page
    code, out, err = call("show", rows[0]["cell"][:12])
    assert code == 0, err
    assert f"cell: {rows[0]['cell']}" in out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--claims", "tiny.toml"], 'time --claims "tiny": it has no kernels; `d2lbench run tiny` answers its claims'),
        (["--claims", "-k", "relu"], "time --claims with -k: the grids say what is timed, and how"),
        (["--claims", "--phase", "forward", "--cold", "--list"], "time --claims with --phase, --cold, --list:"),
        (["--claims", "--threads", "2", "-o", "x.json"], "time --claims with --threads, -o:"),
        (["kernels"], "time GRID: goes with --claims"),
        (["--seeds", "2"], "time --seeds: goes with --claims"),
        (["--claims", "--seeds", "0"], "--seeds"),
        (["--claims", "kernls"], 'there is no grid "kernls"'),
    ],
)
def test_a_mistake_ends_with_2_and_says_what_would_be_right(call, arguments, told):
    code, out, err = call("time", *arguments)
    assert (code, out) == (2, "")
    assert told in " ".join(err.split())


def test_a_kernel_that_breaks_leaves_the_others_and_ends_with_3(kernels):
    kernels.write(
        "broken.py",
        "from d2lbench import register\n"
        '@register("kernel", "broken", phases=("forward",), sizes={"small": {}})\n'
        "def broken(device, dtype, /):\n"
        '    """It breaks."""\n'
        '    raise ArithmeticError("for the test")\n',
    )
    kernels.write("kernels.toml", KERNELS.replace("[vary]\nkernel = [", '[vary]\nkernel = ["broken", '))
    arguments = ("time", "--claims", "kernels.toml", "--seeds", "1", "--budget", "1", "--plugin", "broken.py")
    done = kernels.run(*arguments, timeout=300)
    assert done.returncode == 3, done.stderr
    assert "1 without a number: broken: failed: ArithmeticError: for the test" in done.stdout
