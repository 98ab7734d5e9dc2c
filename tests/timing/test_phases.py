"""Facts about phases: what lies inside the window, what outside, and what each one does."""

from __future__ import annotations

import pytest
import torch

from d2lbench.core.errors import TimingError
from d2lbench.timing.counting import footprint, least_bytes, work
from d2lbench.timing.kernels import Built
from d2lbench.timing.phases import output_gradient, prepare


def linear_of(x, w):
    return Built(lambda x: torch.nn.functional.linear(x, w), (x,), (w,))


@pytest.fixture
def linear():
    return linear_of(torch.randn(4, 8).requires_grad_(), torch.randn(6, 8).requires_grad_())


@pytest.mark.parametrize(("phase", "graph"), [("forward", False), ("forward-train", True)])
def test_only_training_builds_a_graph(linear, phase, graph):
    prepared = prepare([linear], phase)
    with torch.set_grad_enabled(prepared.records):
        assert prepared.call().requires_grad is graph


@pytest.mark.parametrize("phase", ["backward", "whole"])
def test_the_way_back_gives_every_leaf_the_gradient_of_a_dense_random_one(linear, phase):
    (x,), (w,) = linear.inputs, linear.parameters
    given = output_gradient(torch.empty(4, 6))
    for _ in range(2):  # the graph outlives its first use
        found = prepare([linear], phase).call()
        torch.testing.assert_close(found[0], given @ w, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(found[1], given.T @ x, rtol=1e-5, atol=1e-6)


def test_the_outputs_gradient_is_neither_ones_nor_a_broadcast_number():
    gradient = output_gradient(torch.empty(50, 40, dtype=torch.bfloat16))
    assert gradient.dtype == torch.bfloat16
    assert gradient.is_contiguous()
    assert gradient.unique().numel() > 100
    assert gradient.equal(output_gradient(gradient))


def test_backward_runs_forward_before_the_window_and_not_in_it(linear):
    calls = []
    counted = Built(lambda x: calls.append(1) or linear.call(x), linear.inputs, linear.parameters)
    backward = prepare([counted], "backward")
    before = len(calls)
    backward.call()
    assert (before, len(calls)) == (1, 1)


def test_several_instances_are_called_in_turn():
    numbers = []
    instances = [Built(lambda x, n=n: numbers.append(n) or x, (torch.ones(1),)) for n in range(3)]
    prepared = prepare(instances, "forward")
    for _ in range(7):
        prepared.call()
    assert numbers == [0, 1, 2, 0, 1, 2, 0]


@pytest.mark.parametrize(
    ("built", "phase", "told"),
    [
        (Built(lambda x: x, (torch.ones(2),)), "backward", "nothing to differentiate"),
        (Built(lambda x: x.detach(), (torch.ones(2, requires_grad=True),)), "whole", "nothing to differentiate"),
        (Built(lambda: torch.ones(2)), "step", "there is no step"),
    ],
)
def test_a_phase_that_is_declared_and_missing_is_refused(built, phase, told):
    with pytest.raises(TimingError, match=told):
        prepare([built], phase)


def test_torch_counts_the_operations_of_a_product_and_both_of_its_ways_back(linear):
    assert work(linear, "forward").flops == 2 * 4 * 8 * 6
    assert work(linear, "backward").flops == 2 * 2 * 4 * 8 * 6
    assert work(linear, "whole").flops == 3 * 2 * 4 * 8 * 6


def test_an_unknown_count_is_an_error_and_a_count_of_zero_has_to_be_said():
    x = torch.randn(9)
    with pytest.raises(TimingError, match="FLOPs of its forward phase are unknown"):
        work(Built(torch.relu, (x,)), "forward")
    assert work(Built(torch.relu, (x,), flops={"forward": 0.0}), "forward").flops == 0


def test_what_a_case_says_holds_and_composed_phases_follow_from_it():
    x = torch.randn(9).requires_grad_()
    built = Built(torch.relu, (x,), flops={"forward": 9, "backward": 18}, bytes={"forward": 72, "backward": 108})
    found = {phase: work(built, phase) for phase in ("forward", "forward-train", "backward", "whole")}
    assert [each.flops for each in found.values()] == [9, 9, 18, 27]
    assert [each.bytes for each in found.values()] == [72, 72, 108, 180]


def test_the_least_bytes_are_everything_that_goes_in_and_comes_out_once(linear):
    x, w, y = 4 * 8 * 4, 6 * 8 * 4, 4 * 6 * 4
    assert footprint(linear) == x + w
    assert least_bytes(linear, "forward") == x + w + y
    assert least_bytes(linear, "backward") == x + w + y + x + w
    assert least_bytes(linear, "whole") == 2 * (x + w + y) + x + w
    assert least_bytes(linear, "step") == 2 * w
    twice = linear_of(shared := torch.randn(8, 8), shared)
    assert footprint(twice) == 8 * 8 * 4, "one tensor in two places is moved once"


def test_views_and_allocations_are_no_launches():
    def call(x):
        torch.empty(3)
        return 2 * x.T.unsqueeze(0) + 1

    assert work(Built(call, (torch.randn(4, 4),), flops={"forward": 32}), "forward").launches == 2


def test_what_a_first_call_makes_for_good_and_marks_for_profilers_are_no_launches():
    weight = torch.ones(4, requires_grad=True)
    weight.grad = torch.ones(4)
    optimizer = torch.optim.SGD([weight], lr=0.1, momentum=0.9, foreach=False)
    built = Built(torch.neg, step=optimizer.step, flops={"step": 16})
    assert work(built, "step").launches == 3  # momentum times the velocity, plus the gradient, and the move


def test_a_call_that_has_a_length_of_none_stands_in_like_any_other(linear):
    """What torch compiles of a module asks the module for its truth, and that for its length."""

    class Empty:
        def __len__(self):
            return 0

        def __call__(self, x):
            return 2 * x

    x = linear.inputs[0]
    torch.testing.assert_close(prepare([linear], "forward", Empty()).call(), 2 * x)
