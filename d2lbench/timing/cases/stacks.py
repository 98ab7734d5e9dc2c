"""The engine's stacked program: M cells of one structure in one pass, against M = 1 of the same code.

Counted as M times the network alone. The reference builds each row's ordinary module in float64.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from d2lbench import catalogue
from d2lbench.catalogue.layers import Conv, Layer, Linear, Model
from d2lbench.catalogue.shapes import parameter_count, shape_behind
from d2lbench.core.registry import register
from d2lbench.timing.cases.networks import passes, unfollowed
from d2lbench.timing.cases.parts import DIFFERENTIATED, Count, by_phase, noise, tolerance
from d2lbench.timing.kernels import Built

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

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
        unfollowed=unfollowed(dtype),
        flops={phase: rows * flops for phase, flops in passes(model, shape, batch).items()},
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
