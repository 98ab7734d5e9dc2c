"""Facts about the check that goes before the clock: what is wrong, forward or back, gets no number."""

from __future__ import annotations

import pytest
import torch

from d2lbench.core.errors import TimingError
from d2lbench.timing.correctness import check
from d2lbench.timing.kernels import Built

DIFFERENTIATED = ("forward", "forward-train", "backward", "whole")


def squares(**changes):
    x = torch.randn(7, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
    return Built(**{"call": lambda x: x * x, "inputs": (x,), "reference": lambda x: x**2, **changes})


class Skewed(torch.autograd.Function):
    """Squares whose way back is off by a thousandth."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        return 2.002 * x * gradient


def test_a_right_kernel_is_proved_in_every_phase():
    built = squares()
    assert check(built, built.call, DIFFERENTIATED) == DIFFERENTIATED


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (lambda x: x * x * 1.001, "forward is off by 0.001 of the reference's largest value; allowed: 0.0001"),
        (lambda x: (x * x).T, "forward has shape (3, 7), the reference (7, 3)"),
        (lambda x: x * x / 0 * 0, "forward is off by nan"),
        (Skewed.apply, "the gradient of input 0 is off by 0.001"),
        (lambda x: x.detach() * x, "the gradient of input 0 is off by 0.5"),
    ],
    ids=["values", "shape", "nan", "gradient", "half a gradient"],
)
def test_a_wrong_kernel_is_refused(wrong, told):
    built = squares(call=wrong)
    with pytest.raises(TimingError) as refused:
        check(built, built.call, DIFFERENTIATED)
    assert told in str(refused.value)


def test_the_error_is_relative_to_the_largest_value_and_a_hair_is_allowed():
    built = squares(call=lambda x: x * x * (1 + 5e-5))
    assert check(built, built.call, ("forward",)) == ("forward",)


def test_what_is_compared_is_what_will_be_called_and_not_the_cases_own():
    built = squares()
    with pytest.raises(TimingError):
        check(built, lambda x: x * 3, ("forward",))


def test_without_a_reference_nothing_is_proved_and_where_one_is_needed_it_is_refused():
    built = squares(reference=None)
    assert check(built, built.call, ("forward",), needed=False) == ()
    with pytest.raises(TimingError, match="no float64 reference"):
        check(built, built.call, ("forward",))


def test_a_reference_that_cannot_be_differentiated_proves_forward_alone():
    built = squares(reference=lambda x: torch.from_numpy(x.detach().numpy() ** 2))
    assert check(built, built.call, DIFFERENTIATED) == ("forward", "forward-train")


def test_a_step_is_proved_where_it_is_all_there_is():
    weights = torch.ones(3)
    built = Built(call=lambda: weights - 0.5, reference=lambda: weights.double() / 2, step=lambda: None)
    assert check(built, built.call, ("step",), ("step",)) == ("step",)
    assert check(built, built.call, ("step",), ("forward", "step")) == ()


def test_a_step_beside_other_phases_is_proved_by_what_it_leads_to():
    weights = torch.ones(3)
    given = {"step": lambda: None, "stepped": lambda: (weights - 0.5, weights.double() / 2)}
    built = squares(**given)
    assert check(built, built.call, ("forward", "step")) == ("forward", "step")
    wrong = squares(**{**given, "stepped": lambda: (weights - 0.4, weights.double() / 2)})
    with pytest.raises(TimingError, match=r"a step is off by 0\.2"):
        check(wrong, wrong.call, ("forward", "step"))
    assert check(wrong, wrong.call, ("forward",)) == ("forward",)


def test_a_reference_draws_what_the_call_draws_and_the_process_goes_on_with_its_own_numbers():
    def noisy(x):
        return x * torch.rand(7, 3).to(x)

    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    built = squares(call=noisy, reference=noisy, random=True)
    assert check(built, built.call, DIFFERENTIATED) == DIFFERENTIATED
    assert torch.rand(1) == expected


def test_a_compiled_call_that_draws_in_its_own_way_is_not_compared():
    built = squares(random=True)
    assert check(built, lambda x: x + 1, DIFFERENTIATED) == ()


def test_whole_numbers_go_into_the_reference_as_they_are():
    labels = torch.tensor([2, 0])
    built = Built(
        lambda x, y: x[torch.arange(2), y],
        (torch.randn(2, 3), labels),
        reference=lambda x, y: (x * torch.nn.functional.one_hot(y, 3)).sum(1),
    )
    assert check(built, built.call, ("forward",)) == ("forward",)


@pytest.mark.parametrize(
    ("unfollowed", "proved"), [(None, True), (0.0, False), (5e-2, True)], ids=["no branches", "unbounded", "bounded"]
)
def test_of_a_call_whose_branches_cannot_be_followed_the_way_back_is_proved_as_far_as_it_is_bounded(unfollowed, proved):
    built = squares(unfollowed=unfollowed)
    found = check(built, lambda x: x * x, DIFFERENTIATED)  # stands for the compiled call
    assert ("backward" in found) == proved
    assert check(built, built.call, DIFFERENTIATED) == DIFFERENTIATED


def test_the_bound_of_a_call_whose_branches_cannot_be_followed_is_its_own():
    built = squares(unfollowed=5e-2)
    check(built, Skewed.apply, DIFFERENTIATED)
    with pytest.raises(TimingError, match="the gradient of input 0 is off"):
        check(squares(unfollowed=5e-4), Skewed.apply, DIFFERENTIATED)
