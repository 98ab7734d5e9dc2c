"""Layers as the book writes them by hand give what the framework's give."""

from __future__ import annotations

import pytest
import torch

from d2lbench.catalogue import load
from d2lbench.engine import module as scratch
from d2lbench.engine.module import ScratchDropout, module


@pytest.fixture
def draw():
    return torch.Generator().manual_seed(3)


def test_a_linear_layer_and_its_gradients_equal_the_frameworks(draw):
    by_hand, theirs = scratch.ScratchLinear(7, 4).double(), torch.nn.Linear(7, 4).double()
    theirs.load_state_dict(by_hand.state_dict())
    x = torch.randn(5, 7, generator=draw, dtype=torch.float64)
    for layer in (by_hand, theirs):
        layer(x).square().sum().backward()
    torch.testing.assert_close(by_hand(x), theirs(x), rtol=1e-14, atol=1e-14)
    torch.testing.assert_close(by_hand.weight.grad, theirs.weight.grad, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(by_hand.bias.grad, theirs.bias.grad, rtol=1e-12, atol=1e-12)


def test_softmax_and_cross_entropy_equal_the_fused_loss_where_nothing_overflows(draw):
    outputs = torch.randn(6, 10, generator=draw, dtype=torch.float64)
    labels = torch.randint(10, (6,), generator=draw)
    torch.testing.assert_close(scratch.softmax(outputs), torch.softmax(outputs, 1), rtol=1e-14, atol=1e-15)
    expected = torch.nn.functional.cross_entropy(outputs, labels)
    torch.testing.assert_close(scratch.cross_entropy(outputs, labels), expected, rtol=1e-14, atol=1e-15)


def test_softmax_by_hand_overflows_where_the_book_says_and_the_fused_loss_does_not():
    outputs = torch.tensor([[0.0, 100.0]])
    assert scratch.softmax(outputs).isnan().any()
    assert torch.isfinite(torch.nn.functional.cross_entropy(outputs, torch.tensor([0])))


def test_the_penalty_is_the_optimizers_decay(draw):
    """λ/2·‖w‖² in the loss takes the step that ``weight_decay = λ`` takes."""
    start = torch.randn(9, generator=draw, dtype=torch.float64)
    by_penalty, by_decay = start.clone().requires_grad_(), start.clone().requires_grad_()
    (0.3 * scratch.l2_penalty(by_penalty)).backward()
    by_decay.grad = torch.zeros_like(by_decay)
    torch.optim.SGD([by_penalty], lr=0.1).step()
    torch.optim.SGD([by_decay], lr=0.1, weight_decay=0.3).step()
    torch.testing.assert_close(by_penalty, by_decay, rtol=1e-14, atol=0)


@pytest.mark.parametrize("p", [0.0, 0.2, 0.5, 1.0])
def test_dropout_keeps_its_share_and_the_mean_like_the_frameworks(p):
    """Of N = 200,000 ones, the kept share and the mean lie within five standard errors of 1 - p and of 1."""
    n = 200_000
    torch.manual_seed(11)
    for layer in (scratch.ScratchDropout(p), torch.nn.Dropout(p)):
        kept = layer(torch.ones(n))
        error = 5 * (p * (1 - p) / n) ** 0.5
        assert abs(float((kept != 0).float().mean()) - (1 - p)) <= error
        if p < 1:
            assert abs(float(kept.mean()) - 1) <= error / (1 - p) + 1e-6
        assert torch.equal(layer.eval()(torch.ones(3)), torch.ones(3))


def test_a_module_can_be_built_of_layers_by_hand():
    model = load().get("model", "mlp").factory((1, 4, 4), 3, hidden=(5,), layers="scratch")
    network = module(model, lambda _: ScratchDropout(0.5))
    kinds = [type(part).__name__ for part in network]
    assert kinds == ["Flatten", "ScratchLinear", "Function", "ScratchDropout", "ScratchLinear"]
