"""Whole networks: the catalogue's, torchvision's where it has them, and the engine's stacked program.

In training mode, so that batch norm uses the batch's statistics, but without dropout, whose draws could not be compared
with a reference (it is timed by itself). Images take no gradient, as in training. ``step`` is plain descent over a copy
of the parameters.

The stacked program trains M cells of one structure in one pass, against M = 1 of the same code. It is counted as M
times the network alone; the reference builds each row's ordinary module in float64.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Final

from d2lbench import catalogue
from d2lbench.catalogue.layers import Conv, Layer, Linear, Model
from d2lbench.catalogue.shapes import multiplications, parameter_count, shape_behind, steps
from d2lbench.core.registry import register
from d2lbench.timing.cases.parts import DIFFERENTIATED, Count, by_phase, noise, seeded, tolerance
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


def _unfollowed(dtype: torch.dtype) -> float:
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
        unfollowed=0.0 if _normed(network) else _unfollowed(x.dtype),
        step=_descent(parameters),
        stepped=lambda: _stepped(parameters),
        flops=flops | {"step": 2.0 * count},
        bytes=by_phase(float(width * (given + count + results)), float(width * (given + 2 * count + results)))
        | {"step": 3.0 * width * count},
    )


def _passes(model: Model, shape: tuple[int, ...], batch: int) -> dict[str, float]:
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
        return _network(network, noise(device, dtype, batch, *shape), _passes(model, shape, batch))

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
    return _network(network, noise(device, dtype, batch, inputs), _passes(model, (inputs,), batch))


#: Rows that are timed; the first is the sequential case.
ROWS: Final = {f"stacked-{rows}": {"rows": rows} for rows in (1, 16, 64)}
#: Weights of standard deviation 0.1 keep the signal of layers of about a hundred inputs.
_SPREAD: Final = 0.1


def _one_by_one(
    model: Model,
    paths: Sequence[str],
    x: torch.Tensor,
    leaves: Sequence[torch.Tensor],
    taken: Sequence[torch.Tensor],
    tolerated: float,
) -> torch.Tensor:
    """Return what each row's ordinary module gives for its input: (M, B, …) → (M, B, K).

    ``taken`` are the branches of each ReLU in the stacked pass, (M, B, H), which the rows follow.
    """
    import torch

    from d2lbench.engine.module import module, pairs
    from d2lbench.timing.correctness import Following

    linear = {f"{layer.path}.weight" for layer in model if isinstance(layer, Linear)}
    network = module(model).double().to(x.device)
    names = {id(value): name for name, value in network.named_parameters()}
    where = {
        parameter.path: names[id(part.get_parameter(parameter.path.rpartition(".")[2]))]
        for layer, part in pairs(model, network)
        for parameter in layer.parameters
    }
    outputs = []
    for row in range(len(x)):
        own = {
            where[path]: leaf[row].t() if path in linear else leaf[row]
            for path, leaf in zip(paths, leaves, strict=True)
        }
        with Following([each[row] for each in taken], tolerated):
            outputs.append(torch.func.functional_call(network, own, (x[row],)))
    return torch.stack(outputs)


def _stacked(device: str, dtype: torch.dtype, model: Model, shape: tuple[int, ...], rows: int, batch: int) -> Built:
    """Build the program over parameters (M, N); its leaves stand behind the images as inputs."""
    import torch

    from d2lbench.engine.parameters import Parameters
    from d2lbench.engine.stacked import Pass, Stacked
    from d2lbench.timing.correctness import Recording

    count = parameter_count(model)
    block = noise(device, dtype, rows, count, key="p") * _SPREAD
    parameters = Parameters.of_block(model, block)
    x, program = noise(device, dtype, rows, batch, *shape), Stacked(model)
    paths, leaves = tuple(parameters.leaves), tuple(parameters.leaves.values())
    outputs = rows * batch * shape_behind(model, shape)[0]
    passed = x.numel() + block.numel() + outputs
    width = x.element_size()

    allowed = tolerance(dtype, slack=5.0)

    def call(x: torch.Tensor, *_: torch.Tensor) -> torch.Tensor:
        return program(Pass(parameters), x)

    def reference(exact: torch.Tensor, *leaves: torch.Tensor) -> torch.Tensor:
        with torch.no_grad(), Recording() as recorded:
            call(x)
        return _one_by_one(model, paths, exact, leaves, recorded.taken, allowed)

    return Built(
        call,
        (x, *leaves),
        reference=reference,
        tolerance=allowed,
        unfollowed=_unfollowed(dtype),
        flops={phase: rows * flops for phase, flops in _passes(model, shape, batch).items()},
        bytes=by_phase(float(width * passed), float(width * (passed + block.numel()))),
    )


_IMPLEMENTED: dict[str, Any] = {"group": "stacks", "phases": DIFFERENTIATED, "implementations": ROWS}


@register(
    "kernel",
    "stack-linear",
    sizes={"small": {"batch": 32, "inputs": 64}, "large": {"batch": 256, "inputs": 784}},
    tiny={"batch": 3, "inputs": 5, "rows": 2},
    **_IMPLEMENTED,
)
def stack_linear(
    device: str, dtype: torch.dtype, /, *, rows: Count = 1, batch: Count = 32, inputs: Count = 64
) -> Built:
    """Linear layers with 64 outputs, one for each row: 2·M·batch·inputs·64 operations, once more for the weights."""
    return _stacked(device, dtype, (Linear("timed", inputs, 64),), (inputs,), rows, batch)


@register(
    "kernel",
    "stack-conv-3x3",
    sizes={"small": {"batch": 16, "channels": 8}, "large": {"batch": 16, "channels": 32}},
    tiny={"batch": 2, "channels": 2, "side": 5, "rows": 2},
    **_IMPLEMENTED,
)
def stack_conv(
    device: str,
    dtype: torch.dtype,
    /,
    *,
    rows: Count = 1,
    batch: Count = 16,
    channels: Count = 8,
    side: Count = 14,
) -> Built:
    """Padded convolutions, their rows as groups of channels: 18·channels operations for each output, then as many."""
    model: tuple[Layer, ...] = (Conv("timed", channels, channels, 3, 1, 1),)
    return _stacked(device, dtype, model, (channels, side, side), rows, batch)


@register(
    "kernel",
    "stack-mlp",
    sizes={"small": {"batch": 32, "inputs": 64, "width": 64}, "large": {"batch": 256, "inputs": 784, "width": 256}},
    tiny={"batch": 3, "inputs": 5, "width": 4, "rows": 2},
    **_IMPLEMENTED,
)
def stack_mlp(
    device: str,
    dtype: torch.dtype,
    /,
    *,
    rows: Count = 1,
    batch: Count = 32,
    inputs: Count = 64,
    width: Count = 64,
    depth: Count = 2,
) -> Built:
    """Perceptrons with ReLU, as most grids train them: M times the operations of ``mlp``."""
    model: Model = catalogue.load().get("model", "mlp").factory((inputs,), 10, hidden=(width,) * depth)
    return _stacked(device, dtype, model, (inputs,), rows, batch)
