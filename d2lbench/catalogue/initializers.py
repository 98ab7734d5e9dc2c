"""Initial values: how a scheme scales a layer's base draw.

The base draw depends on seed and parameter path only (standard normal, or uniform on −1…1), so two schemes of one
distribution start one seed from the same direction: that is what pairs them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt

from d2lbench.registry import register


@dataclass(frozen=True)
class Scale:
    """How one layer starts: base draws × ``weight`` and × ``bias``; for ``constant`` every base draw is 1."""

    distribution: Literal["uniform", "normal", "constant"]
    weight: float
    bias: float = 0.0


Positive = Annotated[float, Gt(0)]


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


@register("init", "constant")
def constant(fan_in: int, fan_out: int, /, *, value: float = 0.1) -> Scale:
    """Every weight the same, biases zero: hidden units stay equal (Dive into Deep Learning, section 5.4.1.3)."""
    del fan_in, fan_out
    return Scale("constant", value)
