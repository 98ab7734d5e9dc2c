"""Resilient propagation: only the signs of the gradient count."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from annotated_types import Gt, Lt

from d2lbench.catalogue.optimizers.family import Family, Rate
from d2lbench.core.errors import GridError
from d2lbench.core.kinds import OptimizerTraits
from d2lbench.core.registry import register

if TYPE_CHECKING:
    import torch

    from d2lbench.catalogue.optimizers.family import Tensors
    from d2lbench.core.spec import Config

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
