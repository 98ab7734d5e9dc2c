"""How far a linear model is from what there was to find: the coefficients that made the data, and the best fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from d2lbench.catalogue.layers import Linear, Model, learned

if TYPE_CHECKING:
    from collections.abc import Mapping

    from d2lbench.engine.batches import Feed
    from d2lbench.engine.parameters import Parameters

#: The losses whose best linear fit has a closed form, with their factor before the mean squared error.
SQUARED = {"mse": 1.0, "half-mse": 0.5}


class Fit:
    """Probes of a linear regression; says nothing where the model, the targets or the loss are of another kind."""

    def __init__(self, model: Model, feed: Feed, loss: str) -> None:
        layers = learned(model)
        self._single = len(layers) == 1 and isinstance(layers[0], Linear) and not feed.classes
        self._path = layers[0].path
        self._truth = feed.truth if self._single else None
        self._spread = feed.streams.spread
        self._optimum: torch.Tensor | None = None
        if self._single and loss in SQUARED:
            self._optimum = SQUARED[loss] * self._spread(least_squares_error(feed))  # (M,)

    @torch.no_grad()
    def __call__(self, parameters: Parameters, evaluated: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Return ``coefficient_error``, the largest over coefficients, and ``optimality_gap`` in the loss's unit."""
        vectors = {}
        if self._truth is not None:
            w = parameters.leaves[f"{self._path}.weight"].squeeze(2).double()  # (M, features)
            b = parameters.leaves[f"{self._path}.bias"].double()  # (M, 1)
            error = (torch.cat([w, b], 1) - self._spread(self._truth)).abs()
            vectors["coefficient_error"] = error.amax(1)
        if self._optimum is not None and "train_loss" in evaluated:
            vectors["optimality_gap"] = evaluated["train_loss"] - self._optimum
        return vectors


def least_squares_error(feed: Feed) -> torch.Tensor:
    """Return every stream's smallest mean squared error of a linear fit to its training split, (S,) in float64.

    Solved on the CPU: a GPU's only driver wants features of full rank, which more features than examples never have.
    """
    rows = feed.rows["train"]
    x, y = feed.examples(rows)  # (S, n, *shape), (S, n)
    x, y = x.flatten(2).double().cpu(), y.double().unsqueeze(2).cpu()
    x = torch.cat([x, torch.ones_like(y)], 2)
    w = torch.linalg.lstsq(x, y, driver="gelsd").solution
    error: torch.Tensor = (x @ w - y).square().mean((1, 2))
    return error.to(rows.device)
