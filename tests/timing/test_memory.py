"""Facts about peak memory: what a call holds at once, counted by hand."""

from __future__ import annotations

import pytest
import torch

from d2lbench.timing.counting import peak_memory

WIDTH = 4  # bytes of a number


def perceptron(batch, inputs, hidden, outputs):
    network = torch.nn.Sequential(
        torch.nn.Linear(inputs, hidden), torch.nn.ReLU(), torch.nn.Linear(hidden, outputs)
    )  # fmt: skip
    return network, torch.randn(batch, inputs)


def training(network, x):
    gradient = torch.randn(len(x), network[2].out_features)
    return lambda: torch.autograd.grad(network(x), list(network.parameters()), gradient)


def by_hand(batch, inputs, hidden, outputs):
    """Return the numbers that prediction and training hold at once.

    Predicting, both sides of the ReLU. Training, the output stays throughout; then either the ReLU's result and the
    gradients behind and before it, beside those of the second layer, or, when it is done, the gradients of all
    parameters and the one that the first layer's are made of.
    """
    activation, output = batch * hidden, batch * outputs
    second, first = hidden * outputs + outputs, inputs * hidden + hidden
    return 2 * activation, output + max(3 * activation + second, activation + second + first)


@pytest.mark.parametrize("shape", [(64, 16, 32, 4), (8, 100, 32, 4)], ids=["activations rule", "parameters rule"])
def test_the_peak_of_a_small_perceptron_is_what_a_hand_counts(shape):
    network, x = perceptron(*shape)
    predicted, trained = by_hand(*shape)
    with torch.no_grad():
        assert peak_memory(lambda: network(x), "cpu") == WIDTH * predicted
    assert peak_memory(training(network, x), "cpu") == WIDTH * trained


def test_what_was_there_before_and_what_a_first_call_leaves_for_good_do_not_count():
    before, held = torch.ones(1_000_000), []

    def call():
        if not held:
            held.append(torch.ones(500_000))
        return before[:1000] * held[0][:1000]

    assert peak_memory(call, "cpu") == 1000 * WIDTH


def test_what_replaces_itself_counts_only_while_both_are_there():
    held = [torch.ones(1000)]

    def call():
        held[0] = held[0].neg()

    assert peak_memory(call, "cpu") == 1000 * WIDTH


def test_what_is_released_again_counts_and_what_is_not_needed_at_once_does_not_add_up():
    def call():
        for size in (1000, 5000, 2000):
            torch.ones(size)

    assert peak_memory(call, "cpu") == 5000 * WIDTH


def test_a_call_that_allocates_nothing_needs_nothing():
    x = torch.ones(10)
    assert peak_memory(x.neg_, "cpu") == 0


def test_an_error_of_the_call_is_the_callers():
    def call():
        problem = "no"
        raise ValueError(problem)

    with pytest.raises(ValueError, match="no"):
        peak_memory(call, "cpu")


def test_nothing_is_written_where_a_user_reads(capfd):
    peak_memory(lambda: torch.ones(3), "cpu")
    assert capfd.readouterr() == ("", "")


@pytest.mark.cuda
def test_on_a_gpu_the_peak_is_that_of_its_allocator_in_blocks_of_half_a_kilobyte():
    network, x = perceptron(64, 128, 256, 4)
    network, x = network.cuda(), x.cuda()
    with torch.no_grad():
        assert peak_memory(lambda: network(x), "cuda") == WIDTH * 2 * 64 * 256
