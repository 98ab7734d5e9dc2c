"""Adam and its kin: a running mean of the gradient over a running size of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from d2lbench.catalogue.optimizers.family import Decay, Epsilon, Family, Rate, Share
from d2lbench.core.registry import register

if TYPE_CHECKING:
    import torch

    from d2lbench.catalogue.optimizers.family import Tensors


def _adam_step(p: torch.Tensor, g: torch.Tensor, state: Tensors, hyper: Tensors) -> None:
    m = state["first_moment"].lerp_(g, hyper["new_share1"])
    v = state["second_moment"].lerp_(g.mul_(g), hyper["new_share2"])
    root = v.sqrt().mul_(hyper["root_correction"]).add_(hyper["eps"])
    p.addcmul_(root.reciprocal_().mul_(m), hyper["corrected_lr"], value=-1)


def _adam_per_step(hyper: Tensors, step: torch.Tensor) -> Tensors:
    """Return the shares of the new gradient and the bias corrections (Kingma and Ba 2015, algorithm 1)."""
    beta1, beta2 = hyper["betas.0"], hyper["betas.1"]
    return {
        "new_share1": 1 - beta1,
        "new_share2": 1 - beta2,
        "corrected_lr": hyper["lr"] / (1 - beta1**step),
        "root_correction": (1 - beta2**step).rsqrt(),
    }


_ADAM_SLOTS = {"first_moment": 0.0, "second_moment": 0.0}


@register("optimizer", "adam")
def adam(*, lr: Rate = 1e-3, betas: tuple[Share, Share] = (0.9, 0.999), eps: Epsilon = 1e-8) -> Family:
    """Adam: momentum over a root mean square, both corrected for their start at zero (Kingma and Ba 2015)."""
    del lr, betas, eps
    return Family(_adam_step, "Adam", _ADAM_SLOTS, _adam_per_step)


@register("optimizer", "adamw")
def adamw(
    *,
    lr: Rate = 1e-3,
    betas: tuple[Share, Share] = (0.9, 0.999),
    eps: Epsilon = 1e-8,
    weight_decay: Decay = 0.01,
) -> Family:
    """Adam with the decay taken from the weights, not through the gradient (Loshchilov and Hutter 2019)."""
    del lr, betas, eps, weight_decay

    def update(p: torch.Tensor, g: torch.Tensor, state: Tensors, hyper: Tensors) -> None:
        p.mul_(hyper["kept"])
        _adam_step(p, g, state, hyper)

    def per_step(hyper: Tensors, step: torch.Tensor) -> Tensors:
        return {**_adam_per_step(hyper, step), "kept": 1 - hyper["lr"] * hyper["weight_decay"]}

    return Family(update, "AdamW", _ADAM_SLOTS, per_step)


@register("optimizer", "adamax")
def adamax(*, lr: Rate = 2e-3, betas: tuple[Share, Share] = (0.9, 0.999), eps: Epsilon = 1e-8) -> Family:
    """Adam with a decaying maximum in place of the root mean square (Kingma and Ba 2015, section 7.1)."""
    del lr, betas, eps

    def update(p: torch.Tensor, g: torch.Tensor, state: Tensors, hyper: Tensors) -> None:
        m, u = state["first_moment"].lerp_(g, hyper["new_share1"]), state["largest"].mul_(hyper["betas.1"])
        u.copy_(u.maximum(g.abs_().add_(hyper["eps"])))
        p.addcmul_(m / u, hyper["corrected_lr"], value=-1)

    def per_step(hyper: Tensors, step: torch.Tensor) -> Tensors:
        beta1 = hyper["betas.0"]
        return {"new_share1": 1 - beta1, "corrected_lr": hyper["lr"] / (1 - beta1**step)}

    return Family(update, "Adamax", {"first_moment": 0.0, "largest": 0.0}, per_step)
