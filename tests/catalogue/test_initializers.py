"""Facts about initializers and activations: torch.nn.init and other formulas are the judges."""

from __future__ import annotations

import math

import pytest
import torch

from d2lbench import catalogue
from d2lbench.core.errors import GridError

FAN_IN, FAN_OUT = 300, 200

#: What torch fills a weight (outputs, inputs) with.
TWINS = {
    "default": lambda w: torch.nn.init.kaiming_uniform_(w, a=math.sqrt(5)),
    "normal": lambda w: torch.nn.init.normal_(w, std=0.01),
    "xavier-uniform": torch.nn.init.xavier_uniform_,
    "xavier-normal": torch.nn.init.xavier_normal_,
    "kaiming-uniform": lambda w: torch.nn.init.kaiming_uniform_(w, nonlinearity="relu"),
    "kaiming-normal": lambda w: torch.nn.init.kaiming_normal_(w, nonlinearity="relu"),
    "orthogonal": torch.nn.init.orthogonal_,
    "zeros": torch.nn.init.zeros_,
    "constant": lambda w: torch.nn.init.constant_(w, 0.1),
}


def scale(name, fan_in=FAN_IN, fan_out=FAN_OUT, **given):
    entry = catalogue.load().get("init", name)
    return entry.factory(fan_in, fan_out, **entry.resolve(given))


def standard_deviation(of):
    """Return that of a weight which starts at this scale; of an orthogonal matrix Q (p, q), ‖Q‖² = min(p, q)."""
    base = {
        "uniform": 1 / math.sqrt(3),
        "normal": 1.0,
        "constant": 0.0,
        "orthogonal": math.sqrt(min(FAN_IN, FAN_OUT) / (FAN_IN * FAN_OUT)),
    }
    return base[of.distribution] * of.weight


def filled(name, shape=(FAN_OUT, FAN_IN)):
    torch.manual_seed(0)
    return TWINS[name](torch.empty(shape, dtype=torch.float64))


@pytest.mark.parametrize("name", TWINS)
def test_a_scheme_has_the_moments_of_torchs(name):
    weight = filled(name)
    assert float(weight.std()) == pytest.approx(standard_deviation(scale(name)), rel=0.01, abs=1e-15)


@pytest.mark.parametrize("name", ["default", "xavier-uniform", "kaiming-uniform"])
def test_a_uniform_scheme_has_the_bounds_of_torchs(name):
    largest = float(filled(name).abs().max())
    assert 0.999 * scale(name).weight < largest <= scale(name).weight


def test_every_initializer_is_compared_with_torchs():
    built_in = [
        entry.name for entry in catalogue.load().entries("init") if entry.factory.__module__.startswith("d2lbench.")
    ]
    assert set(built_in) == set(TWINS)


@pytest.mark.parametrize("nonlinearity", ["relu", "linear"])
@pytest.mark.parametrize("mode", ["fan_in", "fan_out"])
def test_kaimings_options_are_torchs(mode, nonlinearity):
    torch.manual_seed(0)
    asked = {"mode": mode, "nonlinearity": nonlinearity}
    for name in ("kaiming-uniform", "kaiming-normal"):
        fill = getattr(torch.nn.init, f"{name.replace('-', '_')}_")
        found = float(fill(torch.empty(FAN_OUT, FAN_IN), **asked).std())
        assert found == pytest.approx(standard_deviation(scale(name, **asked)), rel=0.01)


def test_both_kaimings_have_one_variance():
    assert standard_deviation(scale("kaiming-uniform")) == pytest.approx(standard_deviation(scale("kaiming-normal")))


def test_kaiming_keeps_the_second_moment_through_relu_and_xavier_loses_half_of_it():
    torch.manual_seed(0)
    x = torch.relu(torch.randn(4000, FAN_IN)) * math.sqrt(2)  # second moment 1

    def second_moment(name):
        weight = torch.randn(FAN_IN, FAN_IN) * scale(name, FAN_IN, FAN_IN).weight
        return float(torch.relu(x @ weight.T).square().mean())

    assert second_moment("kaiming-normal") == pytest.approx(1.0, rel=0.05)
    assert second_moment("xavier-normal") == pytest.approx(0.5, rel=0.05)


@pytest.mark.parametrize("shape", [(FAN_OUT, FAN_IN), (FAN_IN, FAN_OUT), (64, 64)])
def test_torchs_orthogonal_weights_have_orthonormal_rows_or_columns_times_the_gain(shape):
    torch.manual_seed(0)
    gain = scale("orthogonal", shape[1], shape[0], gain=1.5).weight
    weight = torch.nn.init.orthogonal_(torch.empty(shape, dtype=torch.float64), gain=gain)
    gram = weight @ weight.T if shape[0] <= shape[1] else weight.T @ weight
    torch.testing.assert_close(gram, 1.5**2 * torch.eye(min(shape), dtype=torch.float64))


@pytest.mark.parametrize("name", [name for name in TWINS if name != "default"])
def test_biases_start_at_zero(name):
    assert scale(name).bias == 0


@pytest.mark.parametrize(
    ("name", "given", "told"),
    [
        (
            "kaiming-normal",
            {"mode": "fan-in"},
            'mode: is not allowed here; given "fan-in"; allowed: "fan_in" or "fan_out"',
        ),
        ("kaiming-uniform", {"nonlinearity": "rellu"}, 'did you mean "relu"?'),
        ("orthogonal", {"gain": 0}, "allowed: number > 0"),
        ("zeros", {"gain": 1}, 'init "zeros" has no such option; allowed: no options'),
    ],
)
def test_an_option_that_is_none_is_refused_by_name(name, given, told):
    with pytest.raises(GridError) as error:
        scale(name, **given)
    assert told in str(error.value)


def function(name):
    return catalogue.load().get("activation", name).factory()


def test_the_scaled_sigmoid_is_twice_tanh_of_half_its_input():
    x = torch.linspace(-30, 30, 2001, dtype=torch.float64)
    torch.testing.assert_close(function("scaled-sigmoid")(x), 2 * torch.tanh(x / 2), rtol=0, atol=1e-14)


def test_the_slope_of_the_scaled_sigmoid_is_tanhs_at_the_origin_and_four_times_the_sigmoids():
    x = torch.linspace(-5, 5, 101, dtype=torch.float64, requires_grad=True)

    def slope(name):
        return torch.autograd.grad(function(name)(x).sum(), x)[0]

    assert float(slope("scaled-sigmoid").max()) == pytest.approx(1.0)
    assert float(slope("tanh").max()) == pytest.approx(1.0)
    torch.testing.assert_close(slope("scaled-sigmoid"), 4 * slope("sigmoid"))
