"""Optimizers that step along the gradient: plain descent, with momentum, and averaged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from d2lbench.catalogue.optimizers.family import Decay, Family, Rate, Share, momentum_family
from d2lbench.core.errors import GridError
from d2lbench.core.kinds import OptimizerTraits
from d2lbench.core.registry import register

if TYPE_CHECKING:
    import torch

    from d2lbench.catalogue.optimizers.family import Tensors
    from d2lbench.core.spec import Config


def _nesterov_needs_momentum(config: Config) -> None:
    optimizer = config.optimizer
    if optimizer.get("nesterov") and (optimizer.get("momentum") <= 0 or optimizer.get("dampening") != 0):
        problem = "Nesterov's step needs momentum and no dampening"
        given = {name: optimizer.get(name) for name in ("momentum", "dampening")}
        raise GridError(problem, key="optimizer.nesterov", given=given, allowed="momentum > 0 and dampening = 0")


@register(OptimizerTraits, "sgd", family=momentum_family, check=_nesterov_needs_momentum)
def sgd(*, lr: Rate = 0.1, momentum: Share = 0.0, dampening: Share = 0.0, nesterov: bool = False) -> Family:
    """Stochastic gradient descent, with momentum (Polyak 1964) or Nesterov's variant (Sutskever et al. 2013)."""
    del lr, dampening

    def plain(p: torch.Tensor, g: torch.Tensor, state: Tensors, hyper: Tensors) -> None:
        del state
        p.addcmul_(g, hyper["lr"], value=-1)

    def with_momentum(p: torch.Tensor, g: torch.Tensor, state: Tensors, hyper: Tensors) -> None:
        v = state["momentum_buffer"]
        v.mul_(hyper["momentum"]).addcmul_(g, hyper["share_of_gradient"])
        p.addcmul_(g.addcmul_(v, hyper["momentum"]) if nesterov else v, hyper["lr"], value=-1)

    def undampened_first(hyper: Tensors, step: torch.Tensor) -> Tensors:
        """Start the buffer as the first gradient itself, whatever the dampening."""
        return {"share_of_gradient": 1 - hyper["dampening"] * (step > 1)}

    if momentum > 0:
        return Family(with_momentum, "SGD", {"momentum_buffer": 0.0}, undampened_first)
    return Family(plain, "SGD", {})


@register("optimizer", "asgd")
def asgd(*, lr: Rate = 0.01, lambd: Decay = 1e-4, alpha: Decay = 0.75, t0: Decay = 1e6) -> Family:
    """Averaged descent: the network is judged at the mean of its parameters (Polyak and Juditsky 1992).

    The mean is taken from step ``t0`` + 2 on and is the parameters themselves until then: at torch's default of a
    million, which stands here too, hardly any run ever averages. The rate falls as lr/(1 + lambd·lr·t)^alpha, one
    step behind its schedule, and the parameters decay by ``lambd`` times the rate.
    """
    del lr, lambd, alpha, t0

    def update(p: torch.Tensor, g: torch.Tensor, state: Tensors, hyper: Tensors) -> None:
        rate = state["rate"][:, :1]  # (M, 1): one number a row, although a slot has room for a block
        rate.add_(hyper["first_rate"])
        p.mul_(1 - hyper["lambd"] * rate).addcmul_(g, rate, value=-1)
        state["average"].lerp_(p, hyper["share_of_new"])
        rate.copy_(hyper["next_rate"])

    return Family(update, "ASGD", {"rate": 0.0, "average": 0.0}, _asgd_per_step, averaged="average")


def _asgd_per_step(hyper: Tensors, step: torch.Tensor) -> Tensors:
    """Return the rate that a step leaves to the next one, and the share of the newest parameters in their mean.

    Rounded to single precision, as torch keeps both whatever the parameters' own precision.
    """
    lr = hyper["lr"]
    numbers = {
        "first_rate": lr * (step == 1),
        "next_rate": lr / (1 + hyper["lambd"] * lr * step) ** hyper["alpha"],
        "share_of_new": 1 / (step - 1 - hyper["t0"]).clamp(min=1),
    }
    return {name: number.float().double() for name, number in numbers.items()}
