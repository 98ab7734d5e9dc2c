"""Optimizers with a rate for every parameter, from a running size of its gradient."""

from __future__ import annotations

from typing import TYPE_CHECKING

from d2lbench.catalogue.optimizers.family import Decay, Epsilon, Family, Rate, Share, momentum_family
from d2lbench.core.kinds import OptimizerTraits
from d2lbench.core.registry import register

if TYPE_CHECKING:
    import torch

    from d2lbench.catalogue.optimizers.family import Tensors


@register("optimizer", "adagrad")
def adagrad(
    *, lr: Rate = 0.01, lr_decay: Decay = 0.0, initial_accumulator_value: Decay = 0.0, eps: Epsilon = 1e-10
) -> Family:
    """Adagrad: the rate divided by the root of the sum of all squared gradients (Duchi et al. 2011)."""
    del lr, lr_decay, initial_accumulator_value, eps

    def update(p: torch.Tensor, g: torch.Tensor, state: Tensors, hyper: Tensors) -> None:
        s = state["sum"].addcmul_(g, g)
        p.addcmul_(g.div_(s.sqrt().add_(hyper["eps"])), hyper["decayed_lr"], value=-1)

    def per_step(hyper: Tensors, step: torch.Tensor) -> Tensors:
        return {"decayed_lr": hyper["lr"] / (1 + (step - 1) * hyper["lr_decay"])}

    return Family(update, "Adagrad", {"sum": "initial_accumulator_value"}, per_step)


@register(OptimizerTraits, "rmsprop", family=momentum_family)
def rmsprop(
    *, lr: Rate = 0.01, alpha: Share = 0.99, eps: Epsilon = 1e-8, momentum: Share = 0.0, centered: bool = False
) -> Family:
    """RMSprop: the rate divided by a running root mean square of the gradient (Tieleman and Hinton 2012)."""
    del lr, alpha, eps

    def update(p: torch.Tensor, g: torch.Tensor, state: Tensors, hyper: Tensors) -> None:
        s = state["square_average"].lerp_(g * g, hyper["new_share"])
        if centered:
            mean = state["gradient_average"].lerp_(g, hyper["new_share"])
            root = s.addcmul(mean, mean, value=-1).sqrt_()
        else:
            root = s.sqrt()
        g.div_(root.add_(hyper["eps"]))
        if momentum > 0:
            g = state["momentum_buffer"].mul_(hyper["momentum"]).add_(g)
        p.addcmul_(g, hyper["lr"], value=-1)

    slots = {"square_average": 0.0}
    slots |= {"gradient_average": 0.0} if centered else {}
    slots |= {"momentum_buffer": 0.0} if momentum > 0 else {}
    return Family(update, "RMSprop", slots, lambda hyper, _: {"new_share": 1 - hyper["alpha"]})


@register("optimizer", "adadelta")
def adadelta(*, lr: Rate = 1.0, rho: Share = 0.9, eps: Epsilon = 1e-6) -> Family:
    """Adadelta: steps in the unit of the parameters, from running averages of gradients and steps (Zeiler 2012)."""
    del lr, rho, eps

    def update(p: torch.Tensor, g: torch.Tensor, state: Tensors, hyper: Tensors) -> None:
        s = state["square_average"].lerp_(g * g, hyper["new_share"])
        accumulated = state["accumulated_step"]
        step = accumulated.add(hyper["eps"]).div_(s.add(hyper["eps"])).sqrt_().mul_(g)
        accumulated.lerp_(step * step, hyper["new_share"])
        p.addcmul_(step, hyper["lr"], value=-1)

    slots = {"square_average": 0.0, "accumulated_step": 0.0}
    return Family(update, "Adadelta", slots, lambda hyper, _: {"new_share": 1 - hyper["rho"]})
