"""Facts about choosing cases: by part of a name, glob, group, size and phase, with a word on what matches nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest

from d2lbench.core.errors import UsageError
from d2lbench.core.registry import Registry
from d2lbench.timing.kernels import cases, select

ALONE = {"small": {"n": 1}, "large": {"n": 9}}


@pytest.fixture(scope="module")
def known():
    registry = Registry()

    def build(device, dtype, /, *, n: int = 1, fused: bool = False):
        """Nothing."""

    add = registry.register
    add("kernel", "relu", group="activations", phases=("backward", "forward"), sizes=ALONE)(build)
    ways = {"for-loop": {}, "fused": {"fused": True}}
    add("kernel", "adam", group="optimizers", phases=("step",), sizes=ALONE, implementations=ways)(build)
    add("kernel", "conv-3x3", group="convolutions", phases=("forward",), sizes={"small": {}})(build)
    return cases(registry)


def test_a_case_is_a_name_times_a_size_times_an_implementation(known):
    assert [case.identity for case in known] == [
        *("relu/small", "relu/large"),
        *("adam[for-loop]/small", "adam[for-loop]/large", "adam[fused]/small", "adam[fused]/large"),
        "conv-3x3/small",
    ]
    assert dict(known[5].options) == {"n": 9, "fused": True}


def test_phases_come_in_the_order_of_work_and_whole_goes_with_backward(known):
    assert known[0].phases == ("forward", "backward", "whole")
    assert known[2].phases == ("step",)


@pytest.mark.parametrize(
    ("patterns", "sizes", "phases", "found"),
    [
        (["elu"], (), (), ["relu/small", "relu/large"]),
        (["fused"], ["large"], (), ["adam[fused]/large"]),
        (["optim"], ["small"], (), ["adam[for-loop]/small", "adam[fused]/small"]),
        (["conv-?x?"], (), (), ["conv-3x3/small"]),
        (["*/small"], (), ["forward"], ["relu/small", "conv-3x3/small"]),
        (["relu/large", "conv"], (), (), ["relu/large", "conv-3x3/small"]),
        ((), (), ["whole"], ["relu/small", "relu/large"]),
    ],
)
def test_cases_are_chosen_by_name_group_glob_size_and_phase(known, patterns, sizes, phases, found):
    assert [case.identity for case in select(known, patterns, sizes, phases)] == found


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"patterns": ["rellu"]}, '-k "rellu": no kernel case matches; there are: relu, activations, adam, opt'),
        ({"patterns": ["rellu"]}, 'did you mean "relu"?'),
        ({"patterns": ["relu", "konv-3x3"]}, 'did you mean "conv-3x3"?'),
        ({"sizes": ["smal"]}, '--size "smal": no kernel case matches; there are: small, large; did you mean "small"?'),
        ({"patterns": ["relu"], "phases": ["step"]}, "`d2lbench time --list` shows sizes and phases"),
    ],
)
def test_what_matches_nothing_is_refused_with_what_there_is(known, asked, told):
    with pytest.raises(UsageError) as refused:
        select(known, **asked)
    assert told in str(refused.value)


def test_listing_every_case_needs_no_torch():
    code = (
        "import sys; from d2lbench.api import time as t; from d2lbench.commands.time_table import listing; "
        "text = listing(t.Request().cases()); "
        "print(text.partition(' ')[0], 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    count, torch_is_loaded = done.stdout.split()
    assert int(count) >= 60
    assert torch_is_loaded == "False"
