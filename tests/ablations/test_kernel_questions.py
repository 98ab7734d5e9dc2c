"""Facts about the packaged question about kernels: it asks what it should, and what it counts is what algebra says."""

from __future__ import annotations

import math

import pytest

from d2lbench.grid import find_grids, load
from d2lbench.timing import cases
from d2lbench.timing.observe import observe
from d2lbench.timing.rounds import wanted

REGISTRY = cases.load()
(PATH,) = find_grids(["kernels"])


@pytest.fixture(scope="module")
def grid():
    return load(PATH, REGISTRY, seeds=1)


def test_every_statement_about_kernels_is_asked_and_none_is_left_open(grid):
    asked = {claim.id: claim.kind for claim in grid.claims}
    assert {
        "backward-like-forward": "timing",
        "training-needs-more-memory": "count",
        "loading-is-the-bottleneck": "timing",
        "relu-cheapest": "timing",
        "decay-is-free": "timing",
        "scratch-vs-concise": "timing",
        "fused-loss-faster": "timing",
    }.items() <= asked.items()
    untested = {each.id for path in find_grids(()) for each in load(path, REGISTRY, scale="full").untested}
    assert not untested & set(asked)


def test_both_scales_share_their_rounds(grid):
    full = load(PATH, REGISTRY, scale="full", seeds=1)
    assert [cell.id for cell in full.cells()] == [cell.id for cell in grid.cells()]


def test_every_time_that_is_measured_stands_in_a_claim_or_beside_one(grid):
    read = {arm.label for claim in grid.claims for one in claim.parts for side in one.sides for arm in side.arms}
    beside = {arm.label for arm in grid.arms} - read
    assert {label.partition("(")[0] for label in beside} == {"train-epoch", "log-softmax-nll"}


def counted(grid, name, **options):
    """Return what rounds count of the kernels of a name that have some options, by arm."""
    asked = wanted([grid])
    found = []
    for arm in grid.arms:
        kernel = arm.config.experiment
        if kernel.name == name and all(kernel.get(option) == value for option, value in options.items()):
            numbers = asked[arm.default(0).id] - {"time"}
            found.append((kernel, observe(kernel, "cpu", frozenset(numbers), 0.0)))
    return found


@pytest.mark.usefixtures("process")
def test_what_a_perceptron_keeps_is_its_input_and_its_hidden_layers(grid):
    kept = [
        (kernel, values) for kernel, values in counted(grid, "mlp", phase="forward-train") if "saved_bytes" in values
    ]
    assert len(kept) == 1 + 3 + 3 + 3
    for kernel, values in kept:
        batch, inputs, width, depth = (kernel.get(name) for name in ("batch", "inputs", "width", "depth"))
        assert values["saved_bytes"] == 4 * batch * (inputs + depth * width)


@pytest.mark.usefixtures("process")
def test_backward_does_twice_the_products_but_for_the_first_layers(grid):
    forward, backward = (
        {
            kernel.get("width"): values["flops"]
            for kernel, values in counted(grid, "mlp", phase=phase)
            if "flops" in values
        }
        for phase in ("forward-train", "backward")
    )
    assert set(forward) == set(backward) == {64, 256, 1024}
    for width, inputs in ((64, 64), (256, 784), (1024, 784)):
        first, rest = inputs * width, width * width + 10 * width
        assert backward[width] / forward[width] == pytest.approx((first + 2 * rest) / (first + rest))
    assert math.log(backward[256] / forward[256]) < 0.405 < math.log(backward[1024] / forward[1024])
