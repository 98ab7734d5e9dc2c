"""Facts about the process of a round: it is fresh, knows plugins, and one kernel's death is not the others'."""

from __future__ import annotations

import gc

import pytest

from d2lbench.catalogue.plugins import load as load_plugins
from d2lbench.core.errors import CannotError, TimingError
from d2lbench.grid import load
from d2lbench.store import machine_key
from d2lbench.timing import cases
from d2lbench.timing.process import MeasuringProcess

pytestmark = pytest.mark.slow

PLUGIN = '''
"""A kernel that counts the times it was built in its process, and one that ends its process."""
import gc
import os
import torch
from d2lbench import register
from d2lbench.timing.kernels import Built

built = []

@register("kernel", "counted", phases=("forward", "backward"), sizes={"small": {}})
def counted(device, dtype, /, *, own: int = 0):
    """As many operations as it was built before."""
    built.append(own)
    x = torch.ones(4, requires_grad=True)
    return Built(lambda x: 2 * x, (x,), reference=lambda x: x + x, flops={"forward": len(built), "backward": 4})

@register("kernel", "broken", phases=("forward",), sizes={"small": {}})
def broken(device, dtype, /):
    """It breaks."""
    raise ArithmeticError("for the test")

@register("kernel", "deadly", phases=("forward",), sizes={"small": {}})
def deadly(device, dtype, /):
    """The end."""
    os._exit(9)
'''
FLOPS = frozenset({"flops"})


@pytest.fixture(scope="module")
def plugin(tmp_path_factory):
    path = tmp_path_factory.mktemp("plugin") / "round_kernels.py"
    path.write_text(PLUGIN, encoding="utf-8")
    load_plugins([path])
    return path


def kernel(text):
    grid = load(f'format = 1\ntitle = "x"\nseeds = 1\n[base]\nkernel = {text}\n', cases.load())
    return grid.arms[0].default(0)


def test_a_process_measures_on_until_one_kernel_ends_it_and_then_a_new_one_does(plugin):
    counted, deadly = kernel('{ name = "counted", phase = "forward" }'), kernel('{ name = "deadly" }')
    with MeasuringProcess(plugins=(plugin,)) as process:
        assert machine_key(process.machine())
        first, second = (process.measure(counted, 0.1, FLOPS) for _ in range(2))
        with pytest.raises(TimingError, match=r"^its process died$"):
            process.measure(deadly, 0.1, FLOPS)
        after = process.measure(counted, 0.1, FLOPS)
    assert [first, second, after] == [{"flops": 1.0}, {"flops": 2.0}, {"flops": 1.0}]


def test_a_kernel_that_hangs_is_given_up(plugin):
    counted = kernel('{ name = "counted", phase = "forward" }')
    late = pytest.raises(TimingError, match=r"^it took longer than 0 s$")
    with MeasuringProcess(plugins=(plugin,), patience=0.05) as process, late:  # a process needs longer to start
        process.measure(counted, 0.1, FLOPS)


def test_what_a_process_raises_is_told_in_its_words_and_kind(plugin):
    cold = '{ name = "counted", phase = "forward", cold = true }'
    with MeasuringProcess(plugins=(plugin,)) as process:
        with pytest.raises(TimingError, match=r"^ArithmeticError: for the test$"):
            process.measure(kernel('{ name = "broken" }'), 0.1, FLOPS)
        with pytest.raises(CannotError, match=r"^skipped: it cannot be cold"):
            process.measure(kernel(cold), 0.1, frozenset({"time"}))


def test_a_process_collects_no_garbage_among_what_it_imported():
    with MeasuringProcess() as process:
        assert process.ask(gc.get_freeze_count) > 100_000  # torch alone makes more objects
