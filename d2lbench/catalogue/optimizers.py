"""Optimizers over stacked blocks: every cell of a stack with its own numbers, equal to their torch.optim twins.

A factory returns a :class:`Family`: pure functions over blocks of shape (M, n), M cells by n parameters. Its float
options arrive as ``hyper``, float64 tensors of shape (M, 1) cast once to the block's dtype; so a ladder of rates is
one program. What decides the arithmetic itself (Nesterov or not, a momentum buffer or none) makes a family.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from annotated_types import Ge, Lt

from d2lbench.errors import GridError
from d2lbench.registry import register

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import torch

    from d2lbench.spec import Config

    Tensors: TypeAlias = dict[str, torch.Tensor]

Rate = Annotated[float, Ge(0)]
Share = Annotated[float, Ge(0), Lt(1)]
Epsilon = Annotated[float, Ge(0)]
Decay = Annotated[float, Ge(0)]


def _nothing(hyper: Tensors, step: torch.Tensor) -> Tensors:
    del hyper, step
    return {}


@dataclass(frozen=True)
class Family:
    """One optimizer's arithmetic over blocks of stacked parameters.

    Attributes
    ----------
    update
        ``update(p, g, state, hyper)``: changes the block ``p`` and its ``state`` in place; may overwrite ``g``. All
        of shape (M, n); ``hyper`` holds the float options and what ``per_step`` made, each (M, 1).
    slots
        Name and first value of every state tensor, each shaped like the block.
    per_step
        What depends on the step alone: ``per_step(hyper, step)``, computed for an epoch's T steps at once in float64.
        ``step`` counts from 1, (T, 1, 1); ``hyper["lr"]`` is (T, M, 1), the other options are (M, 1).
    torch_name
        The class in torch.optim that the contract tests compare with.
    """

    update: Callable[[torch.Tensor, torch.Tensor, Tensors, Tensors], None]
    torch_name: str
    slots: Mapping[str, str | float]
    per_step: Callable[[Tensors, torch.Tensor], Tensors] = _nothing


def _momentum_family(options: Mapping[str, Any]) -> tuple[Any, ...]:
    """Tell momentum from none: a momentum of zero keeps no buffer, which is other arithmetic."""
    discrete = tuple(value for value in options.values() if isinstance(value, bool))
    return (options["momentum"] > 0, *discrete)


def _nesterov_needs_momentum(config: Config) -> None:
    optimizer = config.optimizer
    if optimizer.get("nesterov") and (optimizer.get("momentum") <= 0 or optimizer.get("dampening") != 0):
        problem = "Nesterov's step needs momentum and no dampening"
        given = {name: optimizer.get(name) for name in ("momentum", "dampening")}
        raise GridError(problem, key="optimizer.nesterov", given=given, allowed="momentum > 0 and dampening = 0")


@register("optimizer", "sgd", family=_momentum_family, check=_nesterov_needs_momentum)
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


@register("optimizer", "rmsprop", family=_momentum_family)
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
