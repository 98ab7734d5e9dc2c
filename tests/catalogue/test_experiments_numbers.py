"""Facts about experiments, each beside a formula, a library or a second way of measuring."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.special
import torch

from d2lbench import catalogue
from d2lbench.catalogue.experiments import layers

REGISTRY = catalogue.load()

#: Options that an experiment needs, by its name; the others have none without a default.
NEEDED = {
    "activation-slopes": {"function": "tanh"},
    "xavier-variance": {"inputs": 32},
    "dropout-mean": {"p": 0.3},
    "softmax-and-log": {"route": "fused", "scale": 3.0},
    "penalty-or-decay": {"optimizer": "sgd"},
    "step-bound": {"optimizer": "adam"},
    "optimizer-memory": {"optimizer": "adam"},
    "changed-rate": {"way": "rebuilt"},
    "least-squares": {"method": "lbfgs"},
    "convolution-shape": {"kernel": 3},
}


def found(name, seed=0, **options):
    entry = REGISTRY.get("experiment", name)
    return entry.factory(seed, **entry.resolve(options))


@pytest.mark.parametrize("name", [entry.name for entry in REGISTRY.entries("experiment") if entry.name in NEEDED])
def test_an_experiment_returns_the_finite_numbers_that_it_declares_and_the_same_again(name):
    first = found(name, **NEEDED[name])
    assert set(first) == set(REGISTRY.get("experiment", name).traits.metrics)
    assert all(isinstance(value, float) and math.isfinite(value) for value in first.values())
    assert found(name, **NEEDED[name]) == first


def test_no_experiment_touches_the_global_generator():
    state = torch.random.get_rng_state()
    for name, options in NEEDED.items():
        found(name, **options)
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize(("function", "largest", "at_ten"), [("sigmoid", 0.25, None), ("tanh", 1.0, None)])
def test_slopes_are_those_of_the_derivatives_in_closed_form(function, largest, at_ten):
    slopes = found("activation-slopes", function=function)
    value = scipy.special.expit(10.0) if function == "sigmoid" else math.tanh(10.0)
    at_ten = value * (1 - value) if function == "sigmoid" else 1 - value**2
    assert slopes["largest_slope"] == pytest.approx(largest, abs=1e-15)
    assert slopes["slope_far_out"] == pytest.approx(at_ten, rel=1e-6)


@pytest.mark.parametrize("size", [1, 4, 9])
def test_a_product_grows_by_the_mean_log_of_a_chi_square(size):
    expected = (scipy.special.digamma(size / 2) + math.log(2)) / (2 * math.log(10))
    grown = found("matrix-product", size=size, draws=400)
    assert grown["expected_growth"] == pytest.approx(expected, rel=1e-12)
    spread = math.sqrt(scipy.special.polygamma(1, size / 2)) / (2 * math.log(10))
    assert abs(grown["growth"] - expected) < 5 * spread / math.sqrt(400 * 100)


def test_a_hundred_factors_of_four_grow_as_the_notes_are_quoted():
    grown = found("matrix-product")
    assert grown["expected_growth"] == pytest.approx(0.2423, abs=5e-5)
    # 100 factors and the first matrix' own largest entry, between 1 and 10.
    assert 24.2 < grown["largest_entry"] < 25.3


def test_linear_layers_collapse_at_any_depth_and_curved_ones_do_not():
    assert all(found("stacked-layers", depth=depth)["unexplained"] < 1e-12 for depth in (2, 3, 8))
    assert all(found("stacked-layers", activation=name)["unexplained"] > 0.05 for name in ("relu", "tanh"))


def test_a_line_on_xor_is_a_coin():
    assert found("line-on-xor", seed=3)["lowest_loss"] == pytest.approx(math.log(2), abs=1e-12)
    few = found("line-on-xor", seed=3, guesses=1)["lowest_loss"]
    assert few == pytest.approx(math.log(2), abs=1e-9), "descent finds it from any start"


@pytest.mark.parametrize("decay", [0.0, 0.3])
@pytest.mark.parametrize("dropped", [False, True])
def test_gradients_by_hand_are_those_of_automatic_differentiation(decay, dropped):
    draw = torch.Generator().manual_seed(1)
    shapes = ((7, 5), (5,), (5, 1), (1,))
    net = tuple(torch.randn(*shape, generator=draw, dtype=torch.float64).requires_grad_() for shape in shapes)
    x, y = (torch.randn(4, n, generator=draw, dtype=torch.float64) for n in (7, 1))
    kept = 2.0 * (torch.rand(4, 5, generator=draw) > 0.5).double() if dropped else None
    h = torch.tanh(x @ net[0] + net[1])
    o = (h if kept is None else h * kept) @ net[2] + net[3]
    loss = torch.nn.functional.mse_loss(o, y) + decay / 2 * (net[0].square().sum() + net[2].square().sum())
    with torch.no_grad():
        by_hand = layers.gradients(net, x, y, kept=kept, decay=decay)
    for ours, theirs in zip(by_hand, torch.autograd.grad(loss, net), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-13)


def test_equal_units_stay_equal_but_under_dropout():
    short = {"width": 16, "steps": 50}
    assert found("hidden-symmetry", **short)["relative_spread"] == 0
    assert found("hidden-symmetry", technique="l2", **short)["relative_spread"] == 0
    assert found("hidden-symmetry", technique="dropout", **short)["relative_spread"] > 0.1


@pytest.mark.parametrize(("inputs", "outputs"), [(30, 300), (200, 200), (600, 60)])
def test_xavier_gives_the_variance_that_its_bound_implies(inputs, outputs):
    bound = math.sqrt(6 / (inputs + outputs))
    measured = found("xavier-variance", inputs=inputs, outputs=outputs, examples=4000)
    assert measured["variance_ratio"] == pytest.approx(
        inputs * bound**2 / 3, rel=0.05
    )  # a uniform's variance: bound²/3
    assert measured["over_formula"] == pytest.approx(1, rel=0.05)


def test_dropouts_deviations_are_standard_normal_over_seeds():
    errors = np.array([found("dropout-mean", seed, p=0.4, draws=50)["standard_errors"] for seed in range(300)])
    assert abs(errors.mean()) < 4 / math.sqrt(300)
    assert 0.85 < errors.std() < 1.15


def test_losses_are_those_of_numpy():
    x, t = np.ones((2, 2)), np.array([[0.0, 1.0], [2.0, 3.0]])
    values = found("loss-values")
    apart = np.abs(x - t)
    assert values["l1"] == apart.mean()
    assert values["smooth_l1"] == np.where(apart < 1, apart**2 / 2, apart - 0.5).mean()
    assert values["squared"] == (apart**2).mean()
    # Three of the four terms are ln(1) = 0 times something; the rest is (1 − t)·ln(ε), summed to −2·ln(1e-12)/4·(−1).
    assert values["binary_by_old_formula"] == pytest.approx(math.log(1e-12) / 2, abs=1e-4)


@pytest.mark.parametrize(("route", "breaks_at_100"), [("separate", True), ("shifted", True), ("fused", False)])
def test_only_the_fused_loss_outlives_large_logits(route, breaks_at_100):
    assert found("softmax-and-log", route=route, scale=1.0)["not_finite"] == 0
    assert (found("softmax-and-log", route=route, scale=100.0)["not_finite"] > 0.1) is breaks_at_100


def test_the_penalty_is_the_decay_but_for_adamw():
    gaps = {name: found("penalty-or-decay", optimizer=name)["largest_gap"] for name in ("sgd", "momentum", "adam")}
    assert max(gaps.values()) < 1e-12
    assert found("penalty-or-decay", optimizer="adamw")["largest_gap"] > 1e-3


@pytest.mark.parametrize(
    ("optimizer", "bound", "published"),
    [
        ("adam", 0.1 / math.sqrt(0.001 * (1 - 0.81 / 0.999)), 0.1 / math.sqrt(0.001)),
        ("adamax", 0.1 / (1 - 0.9 / 0.999), 1),
    ],
)
def test_the_longest_step_reaches_the_bound_of_cauchy_and_schwarz_and_passes_the_published_one(
    optimizer, bound, published
):
    steps = found("step-bound", optimizer=optimizer)
    assert steps["largest_step"] == pytest.approx(bound, rel=1e-3)
    assert steps["largest_step"] <= bound * (1 + 1e-9)
    assert steps["beyond_published"] == pytest.approx(bound / published - 1, abs=5e-3)


def test_rescaling_changes_adams_steps_through_epsilon_alone():
    assert found("rescaled-gradients", eps=0.0)["largest_change"] < 1e-12
    changes = [found("rescaled-gradients", eps=eps)["largest_change"] for eps in (1e-10, 1e-8, 1e-6)]
    assert changes == sorted(changes)
    assert changes[1] > 1e-6


@pytest.mark.parametrize(
    ("optimizer", "numbers"), [("sgd", 0), ("momentum", 1), ("asgd", 1), ("adam", 2), ("adamax", 2), ("lbfgs", 202)]
)
def test_memory_is_four_bytes_for_each_number_that_is_kept(optimizer, numbers):
    assert found("optimizer-memory", optimizer=optimizer)["state_bytes"] == pytest.approx(4 * numbers, abs=0.5)


def test_a_new_optimizer_has_forgotten_what_the_old_one_keeps():
    assert found("changed-rate", way="rebuilt")["state_bytes"] == 0
    assert found("changed-rate", way="in-place")["state_bytes"] == pytest.approx(8, abs=0.01)


def test_gradient_descent_leaves_what_its_curvatures_predict_and_lbfgs_less():
    for seed in range(3):
        descent = found("least-squares", seed, method="gradient-descent", steps=400)["gap"]
        # At the best constant rate a step shrinks every error by (κ − 1)/(κ + 1) or more, κ ≈ 100; squared in the loss.
        assert descent < (105 / 107) ** 800
        assert found("least-squares", seed, method="lbfgs", steps=40)["gap"] < 1e-9


@pytest.mark.parametrize(("kernel", "padding", "stride"), [(1, 0, 1), (2, 1, 1), (3, 2, 2), (5, 8, 3), (7, 6, 4)])
def test_a_convolutions_side_and_cost_are_those_of_the_book(kernel, padding, stride):
    shape = found("convolution-shape", kernel=kernel, padding=padding, stride=stride)
    side = (28 - kernel + padding + stride) // stride  # Dive into Deep Learning, equation 7.3.2
    assert shape["side"] == side
    assert shape["multiplications"] == side**2 * kernel**2 * 3 * 8
    assert shape["cost"] == pytest.approx(side**2 / (28 - kernel + padding + 1) ** 2)


def test_only_a_pointwise_convolution_keeps_to_its_pixel():
    pointwise, wide = found("pixel-mixing", kernel=1), found("pixel-mixing", kernel=3)
    assert pointwise["off_the_pixel"] == 0
    assert pointwise["beside_channel_product"] < 1e-12
    assert wide["off_the_pixel"] > 0.1
    assert wide["beside_channel_product"] > 0.1
