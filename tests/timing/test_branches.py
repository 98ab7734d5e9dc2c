"""Facts about kinks: a reference follows the side that a network takes, and refuses what rounding cannot explain."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from d2lbench.core.errors import TimingError
from d2lbench.timing.correctness import Following, Recording


def recorded(network, x):
    with torch.no_grad(), Recording() as found:
        network(x)
    return found.taken


def followed(network, x, taken, tolerance=1e-3):
    with Following(taken, tolerance):
        return network(x)


def slope(output, x):
    return torch.autograd.grad(output.sum(), x)[0]


@pytest.mark.parametrize("inplace", [False, True])
def test_a_relu_passes_what_passed_in_the_recording_forward_and_back(inplace):
    taken = recorded(nn.ReLU(), torch.tensor([1e-6, -1e-6, 1.0, -1.0]))
    x = torch.tensor([-1e-6, 1e-6, 1.0, -1.0], dtype=torch.float64, requires_grad=True)
    output = followed(nn.Sequential(nn.Identity(), nn.ReLU(inplace)), x * 1, taken)
    torch.testing.assert_close(output, torch.tensor([0.0, 0, 1, 0], dtype=torch.float64), rtol=0, atol=1e-30)
    assert slope(output, x).tolist() == [1, 0, 1, 0]


def test_a_maximum_is_won_by_who_won_in_the_recording_forward_and_back():
    pool = nn.MaxPool2d(2)
    taken = recorded(pool, torch.tensor([[[[1.0, 1.0001], [0, 0]]]]))
    x = torch.tensor([[[[1.0, 0.9999], [0, 0]]]], dtype=torch.float64, requires_grad=True)
    output = followed(pool, x, taken)
    assert output.item() == 0.9999
    assert slope(output, x).flatten().tolist() == [0, 1, 0, 0]


def test_overlapping_padded_windows_keep_their_winners():
    pool, x = nn.MaxPool2d(3, 2, 1), torch.randn(2, 3, 7, 7, generator=torch.Generator().manual_seed(0))
    exact = x.double().requires_grad_()
    output = followed(pool, exact, recorded(pool, x))
    torch.testing.assert_close(output, pool(exact), rtol=0, atol=0)
    torch.testing.assert_close(slope(output, exact), slope(pool(exact), exact), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("network", "seen", "exact", "told"),
    [
        (nn.ReLU(), [-0.5, 1.0], [0.5, 1.0], "a ReLU takes a branch that is off by 0.5 of its largest input"),
        (nn.ReLU(), [0.5, 1.0], [-0.5, 1.0], "a ReLU takes a branch that is off by 0.5 of its largest input"),
        (nn.MaxPool2d((1, 2)), [[[[1.0, 0.0]]]], [[[[0.75, 1.0]]]], "a maximum takes a branch that is off by 0.25"),
    ],
    ids=["blocked", "passed", "lost"],
)
def test_a_side_further_from_the_kink_than_rounding_is_refused(network, seen, exact, told):
    taken = recorded(network, torch.tensor(seen))
    with pytest.raises(TimingError, match=told):
        followed(network, torch.tensor(exact, dtype=torch.float64), taken)
