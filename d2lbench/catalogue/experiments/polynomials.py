"""Polynomials fitted in closed form to the noisy cubic that descent is tried on elsewhere."""

from __future__ import annotations

import math
from typing import Annotated, Final

from annotated_types import Ge, Le

from d2lbench.catalogue.datasets.regression import CUBIC, polynomial
from d2lbench.core.kinds import ExperimentTraits, MetricTraits
from d2lbench.core.registry import register

#: Errors span decades, so sides differ by ratio; a twentieth matters, as of losses.
_ERROR: Final = MetricTraits(as_="ratio", margins={"quick": 0.05, "full": 0.05}, better="lower")


@register(
    ExperimentTraits,
    "polynomial-least-squares",
    metrics={"train_error": _ERROR, "test_error": _ERROR, "coefficient_error": MetricTraits()},
)
def polynomial_least_squares(seed: int, /, *, degree: Annotated[int, Ge(3), Le(50)] = 3) -> dict[str, float]:
    """Mean squared errors of the least-squares polynomial of a degree, on the data of ``polynomial``; float64.

    100 examples train, 100 test, as in Dive into Deep Learning 0.17, section 4.4, which trains by descent instead.
    The fit is made in Legendre's polynomials on the range of the training inputs: the powers of x are so nearly
    dependent at degree 19 that double precision would lose the fit. ``coefficient_error`` is the largest distance of
    any coefficient of x^i/i! from the one behind the data, 0 beyond the cubic.
    """
    import numpy as np
    from numpy.polynomial import Legendre, Polynomial
    from numpy.polynomial.legendre import legvander

    splits = polynomial(seed, degree=1)
    x, y = (part.astype(np.float64) for part in (splits.pool.x[:, 0], splits.pool.y))
    ends = [float(x[splits.train].min()), float(x[splits.train].max())]
    inside = (2 * x - ends[0] - ends[1]) / (ends[1] - ends[0])  # the training inputs' range becomes -1 to 1
    design = legvander(inside, degree)  # (N, degree + 1)
    fit = np.linalg.lstsq(design[splits.train], y[splits.train])[0]
    errors = (design @ fit - y) ** 2
    powers = Legendre(fit, domain=ends).convert(kind=Polynomial, domain=[-1, 1], window=[-1, 1]).coef
    found = powers * [float(math.factorial(i)) for i in range(len(powers))]
    truth = np.pad(np.array(CUBIC), (0, degree + 1 - len(CUBIC)))
    return {
        "train_error": float(errors[splits.train].mean()),
        "test_error": float(errors[splits.test].mean()),
        "coefficient_error": float(np.abs(np.pad(found, (0, degree + 1 - len(found))) - truth).max()),
    }
