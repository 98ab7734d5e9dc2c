"""Optimizers that step a whole stack at once, by rows: descent, rates for every parameter, Adam's kin, and Rprop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Gt, Lt

from d2lbench.catalogue.optimizers.family import Decay, Epsilon, Family, Rate, Share
from d2lbench.core.errors import GridError
from d2lbench.core.kinds import OptimizerTraits
from d2lbench.core.registry import register

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

    from d2lbench.catalogue.optimizers.family import Tensors
    from d2lbench.core.spec import Config


def _momentum_family(options: Mapping[str, Any]) -> tuple[Any, ...]:
    """Separate momentum from none: without it no buffer is kept, which is other arithmetic."""
    discrete = tuple(value for value in options.values() if isinstance(value, bool))
    return (options["momentum"] > 0, *discrete)


def _nesterov_needs_momentum(config: Config) -> None:
    optimizer = config.optimizer
    if optimizer.get("nesterov") and (optimizer.get("momentum") <= 0 or optimizer.get("dampening") != 0):
        problem = "Nesterov's step needs momentum and no dampening"
        given = {name: optimizer.get(name) for name in ("momentum", "dampening")}
        raise GridError(problem, key="optimizer.nesterov", given=given, allowed="momentum > 0 and dampening = 0")


@register(OptimizerTraits, "sgd", family=_momentum_family, check=_nesterov_needs_momentum)
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


@register(OptimizerTraits, "rmsprop", family=_momentum_family)
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


Shrink = Annotated[float, Gt(0), Lt(1)]
Grow = Annotated[float, Gt(1)]
Size = Annotated[float, Gt(0)]


def _sizes_are_in_order(config: Config) -> None:
    smallest, largest = config.optimizer.get("step_sizes")
    if smallest > largest:
        problem = "the smallest step is larger than the largest"
        given, allowed = (smallest, largest), "[smallest, largest]"
        raise GridError(problem, key="optimizer.step_sizes", given=given, allowed=allowed)


@register(OptimizerTraits, "rprop", check=_sizes_are_in_order)
def rprop(
    *,
    lr: Rate = 0.01,
    etas: tuple[Shrink, Grow] = (0.5, 1.2),
    step_sizes: tuple[Size, Size] = (1e-6, 50.0),
) -> Family:
    """Resilient propagation: each parameter's step grows while its sign holds (Riedmiller and Braun 1993).

    ``lr`` is the first size of every step, and a schedule changes nothing afterwards, except that a rate of 0 stands
    still. Signs of small batches are mostly noise: it is meant for batches of all examples.
    """
    del lr, etas, step_sizes

    def update(p: torch.Tensor, g: torch.Tensor, state: Tensors, hyper: Tensors) -> None:
        import torch

        p.add_(g, alpha=0.0)  # the sign of NaN is 0: without this, a gradient that is not finite would go unseen
        previous, size = state["previous_gradient"], state["step_size"]
        agreement = g * previous
        turned = agreement < 0
        factor = torch.where(turned, hyper["etas.0"], torch.where(agreement > 0, hyper["etas.1"], 1.0))
        size.add_(hyper["first_size"]).mul_(factor).clamp_(hyper["step_sizes.0"], hyper["step_sizes.1"])
        previous.copy_(g.masked_fill_(turned, 0.0))
        p.addcmul_(g.sign_().mul_(hyper["moves"]), size, value=-1)

    def per_step(hyper: Tensors, step: torch.Tensor) -> Tensors:
        lr = hyper["lr"]
        return {"first_size": lr * (step == 1), "moves": (lr > 0).double()}

    return Family(update, "Rprop", {"previous_gradient": 0.0, "step_size": 0.0}, per_step)
