"""Initial values: how a scheme scales a layer's base draw.

The base draw depends on seed and parameter path only (standard normal, or uniform on −1…1), so two schemes of one
distribution start one seed from the same direction: that is what pairs them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt

from d2lbench.core.registry import register


@dataclass(frozen=True)
class Scale:
    """How one layer starts: base draws × ``weight`` and × ``bias``.

    For ``constant`` every base draw is 1; for ``orthogonal`` it is a matrix with orthonormal rows or columns, whichever
    are fewer, made of a normal draw.
    """

    distribution: Literal["uniform", "normal", "constant", "orthogonal"]
    weight: float
    bias: float = 0.0


Positive = Annotated[float, Gt(0)]
Mode = Literal["fan_in", "fan_out"]
Nonlinearity = Literal["relu", "linear"]
#: What makes up for the signal that the activation takes away: ReLU halves the second moment (He et al. 2015).
_GAINS = {"relu": math.sqrt(2), "linear": 1.0}


@register("init", "default")
def default(fan_in: int, fan_out: int, /) -> Scale:
    """The framework's own: weights and biases uniform within ±1/√fan_in (Kaiming uniform with a = √5)."""
    del fan_out
    return Scale("uniform", 1 / math.sqrt(fan_in), 1 / math.sqrt(fan_in))


@register("init", "normal")
def normal(fan_in: int, fan_out: int, /, *, std: Annotated[float, Ge(0)] = 0.01) -> Scale:
    """Weights N(0, std²), biases zero (Dive into Deep Learning, section 5.4.2.1)."""
    del fan_in, fan_out
    return Scale("normal", std)


@register("init", "xavier-uniform")
def xavier_uniform(fan_in: int, fan_out: int, /, *, gain: Positive = 1.0) -> Scale:
    """Weights uniform within ±gain·√(6/(fan_in + fan_out)), biases zero (Glorot and Bengio 2010, equation 16)."""
    return Scale("uniform", gain * math.sqrt(6 / (fan_in + fan_out)))


@register("init", "xavier-normal")
def xavier_normal(fan_in: int, fan_out: int, /, *, gain: Positive = 1.0) -> Scale:
    """Weights N(0, gain²·2/(fan_in + fan_out)), biases zero (Glorot and Bengio 2010, equation 12)."""
    return Scale("normal", gain * math.sqrt(2 / (fan_in + fan_out)))


@register("init", "kaiming-uniform")
def kaiming_uniform(
    fan_in: int, fan_out: int, /, *, mode: Mode = "fan_in", nonlinearity: Nonlinearity = "relu"
) -> Scale:
    """Weights uniform within ±gain·√(3/fan), gain √2 for ReLU, biases zero (He et al. 2015, equations 10 and 14)."""
    return Scale("uniform", math.sqrt(3) * _kaiming_std(fan_in, fan_out, mode, nonlinearity))


@register("init", "kaiming-normal")
def kaiming_normal(
    fan_in: int, fan_out: int, /, *, mode: Mode = "fan_in", nonlinearity: Nonlinearity = "relu"
) -> Scale:
    """Weights N(0, gain²/fan), gain √2 for ReLU, biases zero (He et al. 2015, equations 10 and 14)."""
    return Scale("normal", _kaiming_std(fan_in, fan_out, mode, nonlinearity))


def _kaiming_std(fan_in: int, fan_out: int, mode: Mode, nonlinearity: Nonlinearity) -> float:
    return _GAINS[nonlinearity] / math.sqrt(fan_in if mode == "fan_in" else fan_out)


@register("init", "orthogonal")
def orthogonal(fan_in: int, fan_out: int, /, *, gain: Positive = 1.0) -> Scale:
    """Weights with orthonormal rows or columns, times the gain, biases zero (Saxe, McClelland and Ganguli 2014)."""
    del fan_in, fan_out
    return Scale("orthogonal", gain)


@register("init", "zeros")
def zeros(fan_in: int, fan_out: int, /) -> Scale:
    """Weights and biases zero: hidden units stay equal, ReLU's at zero (Dive into Deep Learning, section 5.4.1.3)."""
    del fan_in, fan_out
    return Scale("constant", 0.0)


@register("init", "constant")
def constant(fan_in: int, fan_out: int, /, *, value: float = 0.1) -> Scale:
    """Every weight the same, biases zero: hidden units stay equal (Dive into Deep Learning, section 5.4.1.3)."""
    del fan_in, fan_out
    return Scale("constant", value)
