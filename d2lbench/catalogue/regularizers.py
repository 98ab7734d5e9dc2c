"""Regularizers. Each says which of the engine's numbers it sets; the strength is data, its presence structure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge, Lt, MinLen

from d2lbench.catalogue.layers import dropouts
from d2lbench.catalogue.models.sizing import model_of
from d2lbench.core.errors import GridError
from d2lbench.core.kinds import RegularizerTraits
from d2lbench.core.registry import register

if TYPE_CHECKING:
    from d2lbench.core.spec import Config

Strength = Annotated[float, Ge(0)]
Rate = Annotated[float, Ge(0), Lt(1)]


@register("regularizer", "none")
def none() -> dict[str, Any]:
    """Nothing but the loss."""
    return {}


@register("regularizer", "l1")
def l1(*, strength: Strength = 1e-4, bias: bool = False) -> dict[str, Any]:
    """λ·Σ|w| added to the loss; its gradient is λ·sign(w), zero at zero."""
    return {"l1": strength, "bias": bias}


@register("regularizer", "l2")
def l2(*, strength: Strength = 1e-4, bias: bool = False) -> dict[str, Any]:
    """λ/2·Σw² added to the loss (Dive into Deep Learning, section 3.7); its gradient is λ·w."""
    return {"l2": strength, "bias": bias}


def _own_decay(config: Config) -> None:
    if config.optimizer.name == "adamw":
        problem = 'regularizer "weight-decay" meets an optimizer that has a decay of its own'
        raise GridError(problem, key="regularizer", given="weight-decay", allowed="adamw's option weight_decay")


@register(RegularizerTraits, "weight-decay", check=_own_decay)
def weight_decay(*, strength: Strength = 1e-4, bias: bool = False) -> dict[str, Any]:
    """The optimizer's own ``weight_decay``: λ·w added to the gradient (the bias only where ``bias`` says so)."""
    return {"decay": strength, "bias": bias}


def _rate_for_each_layer(config: Config) -> dict[str, Any]:
    """Repeat a single rate for every hidden layer; refuse any other number of rates than of layers."""
    places = dropouts(model_of(config))
    rates = config.regularizer.get("p")
    if not places:
        problem = f'model "{config.model.name}" has no hidden layer to drop units of'
        raise GridError(problem, key="regularizer", given="dropout", allowed="a model with hidden layers")
    if len(rates) == 1:
        rates = rates * len(places)
    if len(rates) != len(places):
        problem = "needs one rate, or one for each hidden layer"
        raise GridError(problem, key="regularizer.p", given=rates, allowed=f"1 or {len(places)} rates")
    return {"p": rates}


@register(RegularizerTraits, "dropout", settle=_rate_for_each_layer)
def dropout(*, p: Annotated[tuple[Rate, ...], MinLen(1)] = (0.5,)) -> dict[str, Any]:
    """Drop a hidden unit with probability p and divide the rest by 1 − p (Dive into Deep Learning, section 5.6)."""
    return {"dropout": p}
