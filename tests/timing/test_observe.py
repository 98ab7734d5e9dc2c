"""Facts about one kernel in one round: which case a grid means, what is timed of it, and what is counted."""

from __future__ import annotations

import math

import pytest
import torch

from d2lbench.core.errors import CannotError, TimingError
from d2lbench.core.registry import REGISTRY
from d2lbench.grid import load
from d2lbench.store.timings import Setting
from d2lbench.timing import cases
from d2lbench.timing.counting import saved_bytes
from d2lbench.timing.kernels import Built
from d2lbench.timing.kernels import cases as every_case
from d2lbench.timing.observe import LEAST_WINDOWS, case_of, observe, setting_of

cases.load()
TIME = frozenset({"time"})


def kernel(text):
    grid = load(f'format = 1\ntitle = "x"\nseeds = 1\n[base]\nkernel = {text}\n', REGISTRY)
    return grid.arms[0].config.experiment


@pytest.fixture
def register(monkeypatch):
    """Register kernels for one test."""
    monkeypatch.setattr(REGISTRY, "_entries", {**REGISTRY._entries, "kernel": dict(REGISTRY._entries["kernel"])})

    def registers(call, reference, **traits):
        def case(device, dtype, /, *, n: int = 64):
            """Whatever it is handed."""
            x = torch.linspace(-1, 1, n, device=device, dtype=dtype).requires_grad_()
            return Built(call, (x,), reference=reference, flops={"forward": n, "backward": n})

        told = {"group": "own", "phases": ("forward", "backward"), "sizes": {"small": {"n": 64}}}
        REGISTRY.register("kernel", "own", **told, **traits)(case)

    return registers


def test_a_grids_kernel_is_the_case_that_the_command_times():
    for case in every_case(REGISTRY):
        own = "implementation" in case.entry.options or not case.implementation
        named = "" if own else f', implementation = "{case.implementation}"'
        if own and case.implementation:
            spelled = {**case.options}
            named = "".join(f", {name} = {value!r}".replace("'", '"') for name, value in spelled.items())
        found = case_of(
            kernel(f'{{ name = "{case.entry.name}", size = "{case.size}", phase = "{case.phases[0]}"{named} }}')
        )
        assert found.entry is case.entry
        assert found.entry.resolve(found.options) == case.entry.resolve(case.options)


def test_a_grids_kernel_says_how_it_is_measured():
    asked = kernel('{ name = "relu", phase = "forward", dtype = "float64", threads = 2, cold = true }')
    assert setting_of(asked, "cpu") == Setting("cpu", "float64", threads=2, cold=True)


@pytest.mark.usefixtures("process")
def test_a_time_comes_with_its_evidence_from_windows_enough_however_little_time_there_is():
    values = observe(kernel('{ name = "relu", batch = 3, features = 7, phase = "backward" }'), "cpu", TIME, 0.0)
    assert values["windows"] >= LEAST_WINDOWS
    assert 0 < values["time_low"] <= values["time"] <= values["time_high"] < math.inf


@pytest.mark.usefixtures("process")
def test_a_time_from_too_few_windows_is_no_time(monkeypatch):
    monkeypatch.setattr("d2lbench.timing.observe.TRIES", 1)
    words = "^only 1 windows were timed, and a median needs 6: the machine is too busy$"
    with pytest.raises(TimingError, match=words):
        observe(kernel('{ name = "relu", batch = 3, features = 7, phase = "forward" }'), "cpu", TIME, 0.0)


@pytest.mark.usefixtures("process")
def test_only_what_is_wanted_is_measured():
    asked = kernel('{ name = "mlp", batch = 2, inputs = 5, width = 4, phase = "whole" }')
    values = observe(asked, "cpu", frozenset({"flops", "saved_bytes", "peak_memory", "deviation"}), 0.0)
    assert set(values) == {"flops", "saved_bytes", "peak_memory", "deviation"}
    assert values["flops"] == 2 * (2 * 2 * (5 * 4 + 4 * 4 + 4 * 10)) + 2 * 2 * (4 * 4 + 4 * 10)
    assert values["peak_memory"] >= 2 * 4 * 4  # its two hidden layers at least
    assert 0 <= values["deviation"] < 1e-5


@pytest.mark.usefixtures("process")
def test_a_wrong_kernel_has_no_time_and_says_why(register):
    register(lambda x: 2 * x, lambda x: x * x)
    with pytest.raises(TimingError, match=r"^refused: forward is off by"):
        observe(kernel('{ name = "own", phase = "forward" }'), "cpu", TIME, 0.0)


@pytest.mark.usefixtures("process")
def test_the_deviation_is_the_largest_error_as_a_share_of_the_largest_value(register):
    register(lambda x: 2 * x + 0.01, lambda x: 2 * x)
    values = observe(kernel('{ name = "own", phase = "forward" }'), "cpu", frozenset({"deviation"}), 0.0)
    assert values == {"deviation": pytest.approx(0.005, rel=1e-4)}


@pytest.mark.usefixtures("process")
def test_a_kernel_that_breaks_says_how(register):
    register(lambda x: x[:, 1], lambda x: x)
    with pytest.raises(TimingError, match=r"^failed: IndexError"):
        observe(kernel('{ name = "own", phase = "forward" }'), "cpu", TIME, 0.0)
    with pytest.raises(IndexError, match=r"^too many indices"):
        observe(kernel('{ name = "own", phase = "whole" }'), "cpu", frozenset({"saved_bytes"}), 0.0)


@pytest.mark.usefixtures("process")
def test_a_kernel_that_cannot_be_measured_so_is_skipped(register):
    register(lambda x: 2 * x, lambda x: 2 * x)
    with pytest.raises(CannotError, match=r"^skipped: it cannot be cold"):
        observe(kernel('{ name = "own", n = 1, phase = "forward", cold = true }'), "cpu", TIME, 0.0)


@pytest.mark.usefixtures("process")
def test_a_kernel_without_a_reference_has_no_deviation(register):
    register(lambda x: 2 * x, None)
    with pytest.raises(TimingError, match=r"^it has no float64 reference to deviate from$"):
        observe(kernel('{ name = "own", phase = "forward" }'), "cpu", frozenset({"deviation"}), 0.0)


def test_a_perceptron_keeps_its_input_and_what_each_hidden_layer_hands_on():
    """ReLU's result is kept once, though the next product needs it, too; the outputs themselves are not kept."""
    entry = REGISTRY.get("kernel", "mlp")
    for batch, inputs, width, depth in ((2, 5, 4, 1), (3, 5, 4, 2), (3, 9, 7, 4)):
        built = entry.factory("cpu", torch.float32, batch=batch, inputs=inputs, width=width, depth=depth)
        assert saved_bytes(built) == 4 * batch * (inputs + depth * width)


def test_kept_is_what_the_graph_holds_and_not_the_parameters():
    x, w = torch.ones(6, 3), torch.ones(3, 2, requires_grad=True)
    assert saved_bytes(Built(lambda x, w: x @ w, (x, w))) == 4 * 6 * 3
    assert saved_bytes(Built(lambda w: w + 1, (w,))) == 0
    assert saved_bytes(Built(lambda w: w.exp(), (w,))) == 4 * 6
    assert saved_bytes(Built(lambda x: x.exp(), (x,))) == 0  # nothing is differentiated
