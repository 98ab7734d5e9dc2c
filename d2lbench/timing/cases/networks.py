"""Whole networks: the catalogue's, and torchvision's where it has them.

In training mode, so that batch norm uses the batch's statistics, but without dropout, whose draws could not be compared
with a reference (it is timed by itself). Images take no gradient, as in training. ``step`` is plain descent over a copy
of the parameters.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Final

from d2lbench import catalogue
from d2lbench.catalogue.layers import Conv, Linear, Model
from d2lbench.catalogue.shapes import multiplications, steps
from d2lbench.core.registry import register
from d2lbench.timing.cases.parts import Count, by_phase, noise, seeded, tolerance
from d2lbench.timing.kernels import Built

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import torch

_PHASES: Final = ("forward", "forward-train", "backward", "step", "whole")
_CLASSES: Final = 10
#: Bytes of a number in single precision.
_SINGLE: Final = 4
#: What rounding does to a network, in units of what it does to one operation: each layer adds its own. Measured in
#: float32: 6e-6 of the largest gradient without batch norm, 4e-4 with it (GoogLeNet, two small images).
_SLACK: Final = 100.0
#: The same in bfloat16, without batch norm (measured: 3.4 %) and with it: variances of small batches are uncertain.
_COARSE_SLACK: Final = (2.5, 25.0)
#: Of a network that torch has compiled, the reference cannot follow the branches: one example's share may be another.
#: Measured: 1.4 % in GoogLeNet, two examples, float32. After a batch norm it is up to a half, which bounds nothing, and
#: in bfloat16 branches are taken otherwise in every layer.
_UNFOLLOWED: Final = 0.05

#: The catalogue's networks → options of the two sizes. Those that the grids train see 28 × 28 images at the small one.
OWN: Final[dict[str, tuple[dict[str, int], dict[str, int]]]] = {
    "lenet": ({"batch": 64, "side": 28}, {"batch": 256, "side": 28}),
    "alexnet": ({"batch": 16, "side": 28}, {"batch": 16, "side": 224}),
    "vgg-11": ({"batch": 16, "side": 28}, {"batch": 8, "side": 224}),
    "nin": ({"batch": 16, "side": 28}, {"batch": 16, "side": 224}),
    "googlenet": ({"batch": 16, "side": 28}, {"batch": 16, "side": 224}),
    "resnet-18": ({"batch": 16, "side": 28}, {"batch": 16, "side": 224}),
}
#: Name → torchvision's function, and what makes it plain: no dropout, no side classifiers.
TORCHVISION: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "alexnet": ("alexnet", {"dropout": 0.0}),
    "vgg-11": ("vgg11", {"dropout": 0.0, "init_weights": False}),
    "googlenet": ("googlenet", {"dropout": 0.0, "init_weights": False, "aux_logits": False}),
    "resnet-18": ("resnet18", {}),
}


def _normed(network: torch.nn.Module) -> bool:
    import torch

    return any(isinstance(part, torch.nn.BatchNorm2d) for part in network.modules())


def _exactly(network: torch.nn.Module, dtype: torch.dtype) -> Callable[..., torch.Tensor]:
    """Return the same network in float64, as a function of an input and its parameters in order.

    It is on the piece of the function that the network is on in its own dtype, so that gradients differ by rounding
    alone. In bfloat16 after a batch norm they differ by their own size even so: then its result has no graph, and it
    proves forward only; layers are proved by themselves.
    """
    import torch

    from d2lbench.timing.correctness import Following, Recording

    allowed = _tolerance(network, dtype)

    def reference(x: torch.Tensor, *parameters: torch.Tensor) -> torch.Tensor:
        twin = copy.deepcopy(network).double()  # made when it is asked for: it doubles the memory
        named = dict(zip((name for name, _ in network.named_parameters()), parameters, strict=True))

        def exact() -> torch.Tensor:
            return torch.func.functional_call(twin, named, (x,))  # type: ignore[no-any-return]

        if dtype == torch.bfloat16 and _normed(network):
            with torch.no_grad():
                return exact()
        with torch.no_grad(), Recording() as recorded:
            network(x.to(dtype))
        with Following(recorded.taken, allowed):
            return exact()

    return reference


def _tolerance(network: torch.nn.Module, dtype: torch.dtype) -> float:
    import torch

    slack = _COARSE_SLACK[_normed(network)] if dtype == torch.bfloat16 else _SLACK
    return tolerance(dtype, slack=slack)


def unfollowed(dtype: torch.dtype) -> float:
    """Return what bounds the gradients of compiled networks without batch norm; 0 where nothing does."""
    return _UNFOLLOWED if dtype.itemsize >= _SINGLE else 0.0


def _optimizer(parameters: Sequence[torch.Tensor], lr: float) -> tuple[list[torch.Tensor], torch.optim.Optimizer]:
    """Return a copy of the parameters and plain descent over it; the gradient is the start."""
    import torch

    own = [parameter.detach().clone().requires_grad_() for parameter in parameters]
    for parameter in own:
        parameter.grad = parameter.detach().clone()
    return own, torch.optim.SGD(own, lr=lr)


def _descent(parameters: Sequence[torch.Tensor]) -> Callable[[], None]:
    """Return a step over a copy of the parameters, made at the first step."""
    made: list[torch.optim.Optimizer] = []

    def step() -> None:
        if not made:
            made.append(_optimizer(parameters, 1e-6)[1])  # so small that millions of steps lead nowhere
        made[0].step()

    return step


def _stepped(parameters: Sequence[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Take one step at a rate that shows, and return what it changes and what it should: w − 0.5 w, less w."""
    import torch

    own, optimizer = _optimizer(parameters, 0.5)
    optimizer.step()
    changes = (moved.detach() - start.detach() for moved, start in zip(own, parameters, strict=True))
    right = (-0.5 * start.detach().double() for start in parameters)
    return tuple(torch.cat([each.flatten() for each in side]) for side in (changes, right))  # type: ignore[return-value]


def _network(network: torch.nn.Module, x: torch.Tensor, flops: dict[str, float]) -> Built:
    """Build a network; its parameters stand behind the image as inputs, so that their gradients are checked.

    Bytes are what no way around exists for: images, parameters and outputs, and back the parameters' gradients;
    what layers hand to each other may stay in a cache.
    """
    parameters = tuple(network.parameters())
    count, given = sum(parameter.numel() for parameter in parameters), x.numel()
    results, width = len(x) * _CLASSES, x.element_size()
    return Built(
        lambda x, *_: network(x),
        (x, *parameters),
        reference=_exactly(network, x.dtype),
        tolerance=_tolerance(network, x.dtype),
        unfollowed=0.0 if _normed(network) else unfollowed(x.dtype),
        step=_descent(parameters),
        stepped=lambda: _stepped(parameters),
        flops=flops | {"step": 2.0 * count},
        bytes=by_phase(float(width * (given + count + results)), float(width * (given + 2 * count + results)))
        | {"step": 3.0 * width * count},
    )


def passes(model: Model, shape: tuple[int, ...], batch: int) -> dict[str, float]:
    """Return the operations of a batch: two for each multiplication, and twice that back.

    Back, the first layer's product with its weight is left out: images take no gradient.
    """
    forward = 2.0 * batch * multiplications(model, shape)
    first = next((layer, before) for layer, before, _ in steps(model, shape) if isinstance(layer, Conv | Linear))
    return by_phase(forward, 2 * forward - 2.0 * batch * multiplications((first[0],), first[1]))


def _declare_own(name: str) -> None:
    def build(device: str, dtype: torch.dtype, /, *, batch: Count = 16, side: Count = 28) -> Built:
        from d2lbench.engine.module import module

        shape = (1, side, side)
        model: Model = catalogue.load().get("model", name).factory(shape, _CLASSES)
        with seeded(name):
            network = module(model).to(device, dtype)
        return _network(network, noise(device, dtype, batch, *shape), passes(model, shape, batch))

    build.__doc__ = (
        f"The catalogue's {name} on images of one channel, without dropout.\n\n"
        "Two operations for each multiplication of convolutions and linear layers, twice as many back but for the "
        "first layer, whose input takes no gradient; a step costs two operations and three transfers a parameter."
    )
    small, large = OWN[name]
    register(
        "kernel",
        name,
        group="networks",
        phases=_PHASES,
        sizes={"small": small, "large": large},
        tiny={"batch": 2, "side": 28},
    )(build)


def _declare_torchvision(name: str) -> None:
    def build(device: str, dtype: torch.dtype, /, *, batch: Count = 1, side: Count = 224) -> Built:
        from torchvision import models

        function, options = TORCHVISION[name]
        with seeded(name):
            network = getattr(models, function)(weights=None, num_classes=_CLASSES, **options).to(device, dtype)
        return _network(network, noise(device, dtype, batch, 3, side, side), {})

    build.__doc__ = (
        f"torchvision's {name} on images of three channels, without dropout.\n\n"
        "Operations of the passes are left to torch's counter; a step costs two operations and three transfers a "
        "parameter."
    )
    register(
        "kernel",
        f"{name}-torchvision",
        group="networks",
        phases=_PHASES,
        sizes={"small": {"batch": 1}, "large": {"batch": 16}},
        tiny={"batch": 2, "side": 64},
    )(build)


for _name in OWN:
    _declare_own(_name)
for _name in TORCHVISION:
    _declare_torchvision(_name)


@register(
    "kernel",
    "mlp",
    group="networks",
    phases=_PHASES,
    sizes={"small": {"batch": 32, "inputs": 64, "width": 64}, "large": {"batch": 256, "inputs": 784, "width": 256}},
    tiny={"batch": 3, "inputs": 5, "width": 4},
)
def mlp(
    device: str,
    dtype: torch.dtype,
    /,
    *,
    batch: Count = 32,
    inputs: Count = 64,
    width: Count = 64,
    depth: Count = 2,
) -> Built:
    """A perceptron with ReLU, as most grids train it: counted like the other networks."""
    from d2lbench.engine.module import module

    model: Model = catalogue.load().get("model", "mlp").factory((inputs,), _CLASSES, hidden=(width,) * depth)
    with seeded("mlp"):
        network = module(model).to(device, dtype)
    return _network(network, noise(device, dtype, batch, inputs), passes(model, (inputs,), batch))
