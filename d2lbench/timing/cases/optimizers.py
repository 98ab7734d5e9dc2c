"""Every optimizer's step: the framework's for-loop, foreach and fused ones, and ours over M stacked cells.

The parameters are those of a perceptron, so that there are as many tensors as a model has. Gradients stay the same
from step to step; nothing underflows. The framework's step is checked against ours in float64, and ours against the
framework's for-loop. L-BFGS and sparse Adam, which know no stacks, are the framework's alone.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from annotated_types import Ge

from d2lbench import catalogue
from d2lbench.catalogue.layers import parameters
from d2lbench.core.registry import register
from d2lbench.core.spec import Component
from d2lbench.timing.cases.parts import CHECKED_STEPS, Count, noise, tolerance
from d2lbench.timing.kernels import Built

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

Implementation = Literal["for-loop", "foreach", "fused", "stacked"]
Step = Callable[[], None]

#: Steps of an epoch of ours, whose numbers are prepared together.
_EPOCH: Final = 64
#: Those whose class in torch.optim takes ``fused``; a device may still lack a kernel, and torch then says so.
_FUSED: Final = frozenset({"sgd", "sgd-momentum", "adam", "adamw", "adagrad"})


@dataclass(frozen=True)
class Rule:
    """One optimizer as it is timed.

    Attributes
    ----------
    operations
        For each parameter and step, counted in the rule as its paper states it.
    slots
        Numbers of state kept for each parameter.
    options
        Beside the defaults; a rate of 0.1 and less small constants, so that a check sees the step through rounding.
    """

    operations: int
    slots: int
    options: Mapping[str, float] = field(default_factory=lambda: {"lr": 0.1})
    optimizer: str = ""


RULES: Final[Mapping[str, Rule]] = {
    "sgd": Rule(2, 0),
    "sgd-momentum": Rule(4, 1, {"lr": 0.1, "momentum": 0.9}, "sgd"),
    "asgd": Rule(6, 1, {"lr": 0.1, "t0": 0.0}),  # averaging from the first step on
    "adagrad": Rule(7, 1),
    "rmsprop": Rule(9, 1),
    "adadelta": Rule(16, 2, {"lr": 1.0, "eps": 1e-2}),
    "adam": Rule(13, 2),
    "adamw": Rule(14, 2),
    "adamax": Rule(10, 2),
    "rprop": Rule(10, 2),
}


def _component(name: str) -> Component:
    """Return a rule's optimizer with all its options."""
    entry = catalogue.load().get("optimizer", RULES[name].optimizer or name)
    return Component("optimizer", entry.name, tuple(sorted(entry.resolve(RULES[name].options).items())))


def _shapes(inputs: int, width: int, depth: int) -> list[tuple[int, ...]]:
    """Return the parameters' shapes of a perceptron with 10 outputs."""
    model = catalogue.load().get("model", "mlp").factory((inputs,), 10, hidden=(width,) * depth)
    return [parameter.shape for parameter in parameters(model)]


def _parts(block: torch.Tensor, shapes: Sequence[tuple[int, ...]]) -> list[torch.Tensor]:
    """Cut a block (…, N) into tensors of (…, *shape), each with memory of its own as gradients have."""
    import torch

    cut = torch.split(block, [math.prod(shape) for shape in shapes], dim=-1)
    return [part.reshape(*block.shape[:-1], *shape).clone() for part, shape in zip(cut, shapes, strict=True)]


def _torch_step(
    name: str, leaves: Sequence[torch.Tensor], gradients: Sequence[torch.Tensor], **implementation: bool
) -> Step:
    """Return the step of torch's optimizer over ``leaves``, which it moves."""
    import torch

    component = _component(name)
    twin = catalogue.load().get("optimizer", component.name).factory(**dict(component.options)).torch_name
    for parameter, gradient in zip(leaves, gradients, strict=True):
        parameter.grad = gradient
    optimizer: Any = getattr(torch.optim, twin)(leaves, **dict(component.options), **implementation)

    def step() -> None:
        optimizer.step()

    return step


def _stacked_step(name: str, block: torch.Tensor, gradients: Sequence[torch.Tensor]) -> Step:
    """Return our step of a block (M, N), which it moves; gathering the gradients into a block is part of it."""
    import torch

    from d2lbench.engine.updates import FamilyRows

    component, rows = _component(name), len(block)
    family = FamilyRows(slice(0, rows), [component] * rows, block)
    gathered, taken = torch.zeros_like(block), itertools.count()
    rates = torch.full((_EPOCH, rows), float(component.get("lr")), dtype=torch.float64, device=block.device)

    @torch.no_grad()
    def step() -> None:
        done = next(taken)
        if done % _EPOCH == 0:
            family.begin(rates, done + 1)
        torch.cat([gradient.flatten(1) for gradient in gradients], dim=1, out=gathered)
        family.update(gathered, done % _EPOCH)

    return step


def _changed(
    stepping: Callable[..., Step],
    shapes: Sequence[tuple[int, ...]],
    p: torch.Tensor,
    g: torch.Tensor,
    *,
    block: bool,
) -> torch.Tensor:
    """Return what some steps change in p, of shape (M, N), over one block or over tensors of their own."""
    import torch

    moved = [p.clone()] if block else _parts(p, shapes)
    step = stepping(moved[0] if block else moved, _parts(g, shapes))
    for _ in range(CHECKED_STEPS):
        step()
    return torch.cat([each.flatten(1) for each in moved], dim=1) - p


def _build(
    name: str, device: str, dtype: torch.dtype, shapes: Sequence[tuple[int, ...]], implementation: str, rows: int
) -> Built:
    count = sum(math.prod(shape) for shape in shapes)
    p, g = noise(device, dtype, rows, count, key="p") / 10, noise(device, dtype, rows, count, key="g")
    flags: dict[str, Any] = {"foreach": implementation == "foreach"} if implementation != "fused" else {"fused": True}
    by_us = functools.partial(_changed, functools.partial(_stacked_step, name), shapes, block=True)
    by_torch = functools.partial(_changed, functools.partial(_torch_step, name, **flags), shapes, block=False)
    if implementation == "stacked":
        step, call, other = _stacked_step(name, p.clone(), _parts(g, shapes)), by_us, by_torch
        transfers = 2  # the gradients are read and written once more, into the block
    else:
        step, call, other = _torch_step(name, _parts(p[0], shapes), _parts(g[0], shapes), **flags), by_torch, by_us
        transfers = 0
    rule = RULES[name]
    return Built(
        call,
        (p, g),
        reference=other,
        tolerance=tolerance(dtype, slack=5.0),
        step=step,
        flops={"step": float(rule.operations * p.numel())},
        bytes={"step": float((3 + 2 * rule.slots + transfers) * p.numel() * p.element_size())},
    )


def _declare(name: str) -> None:
    rule = RULES[name]

    def build(
        device: str,
        dtype: torch.dtype,
        /,
        *,
        inputs: Count = 64,
        width: Count = 64,
        depth: Count = 2,
        implementation: Implementation = "foreach",
        rows: Count = 1,
    ) -> Built:
        return _build(name, device, dtype, _shapes(inputs, width, depth), implementation, rows)

    alone = ("for-loop", "foreach", *(["fused"] if name in _FUSED else []))
    implementations: dict[str, dict[str, Any]] = {each: {"implementation": each} for each in alone}
    implementations |= {f"stacked-{rows}": {"implementation": "stacked", "rows": rows} for rows in (1, 16, 64)}
    build.__doc__ = (
        f"A step of {name}: {rule.operations} operations for each parameter; {3 + 2 * rule.slots} transfers.\n\n"
        "Parameter, gradient and state are read, parameter and state written; a stacked step also reads the gradients "
        "and writes them into its block, as the engine does, and counts M times the parameters."
    )
    register(
        "kernel",
        name,
        group="optimizers",
        phases=("step",),
        sizes={"small": {"inputs": 64, "width": 64, "depth": 2}, "large": {"inputs": 784, "width": 256, "depth": 2}},
        tiny={"inputs": 3, "width": 4, "depth": 1},
        implementations=implementations,
    )(build)


for _name in RULES:
    _declare(_name)


def _bowl(w: torch.Tensor, g: torch.Tensor, curvature: torch.Tensor) -> Callable[[], float]:
    """Return a closure over ½ Σ c w² − Σ g w that leaves the slope in w's gradient: no graph, two products."""
    import torch

    @torch.no_grad()
    def closure() -> float:
        slope = curvature * w
        w.grad = slope - g
        return float((w * slope).sum() / 2 - (g * w).sum())

    return closure


@register(
    "kernel",
    "lbfgs",
    group="optimizers",
    phases=("step",),
    sizes={"small": {"parameters": 9_000}, "large": {"parameters": 270_000}},
    tiny={"parameters": 20, "iterations": 3},
    dtypes=("float32", "float64"),
)
def lbfgs(
    device: str,
    dtype: torch.dtype,
    /,
    *,
    parameters: Count = 9_000,
    iterations: Annotated[int, Ge(1)] = 10,
) -> Built:
    """A step of L-BFGS: some iterations on a quadratic, always from the same start, without a line search.

    In iteration k, each of the k - 1 pairs of the history costs two inner products and two sums of vectors, 8
    operations for each parameter; beside them 15, the quadratic's own five among them. Each pair is read twice, and
    ten vectors beside. Checked by going on to the minimum, g/c; how
    near a search comes to it is bounded by the root of the rounding of its values.
    """
    import torch

    curvature = torch.logspace(0, 1, parameters, dtype=torch.float64).to(device, dtype)
    w, g = noise(device, dtype, parameters, key="w"), noise(device, dtype, parameters, key="g")

    def optimizer(moved: torch.Tensor, most: int, **options: str) -> torch.optim.LBFGS:
        return torch.optim.LBFGS([moved], max_iter=most, tolerance_grad=0.0, tolerance_change=0.0, **options)  # type: ignore[arg-type]

    def call(w: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        moved = w.clone()
        optimizer(moved, 60, line_search_fn="strong_wolfe").step(_bowl(moved, g, curvature))  # type: ignore[no-untyped-call]
        return moved

    moved = w.clone()
    own = optimizer(moved, iterations)
    closure = _bowl(moved, g, curvature)

    def step() -> None:
        moved.copy_(w)
        own.state.clear()
        own.step(closure)  # type: ignore[no-untyped-call]

    pairs = iterations * (iterations - 1) / 2
    return Built(
        call,
        (w, g),
        reference=lambda _, g: g / curvature.double(),
        tolerance=10 * float(torch.finfo(dtype).eps) ** 0.5,
        step=step,
        flops={"step": (8 * pairs + 15 * iterations) * parameters},
        bytes={"step": (4 * pairs + 10 * iterations) * parameters * w.element_size()},
    )


@register(
    "kernel",
    "sparse-adam",
    group="optimizers",
    phases=("step",),
    sizes={
        "small": {"vocabulary": 1_000, "features": 16, "touched": 64},
        "large": {"vocabulary": 100_000, "features": 64, "touched": 4_096},
    },
    tiny={"vocabulary": 9, "features": 2, "touched": 4},
    dtypes=("float32", "float64"),
)
def sparse_adam(
    device: str,
    dtype: torch.dtype,
    /,
    *,
    vocabulary: Count = 1_000,
    features: Count = 16,
    touched: Count = 64,
) -> Built:
    """A step of sparse Adam: 13 operations and 7 transfers for each number in the rows that the gradient touches."""
    import torch

    places = torch.arange(touched, device=device) * (vocabulary // touched)
    w, g = noise(device, dtype, vocabulary, features, key="w"), noise(device, dtype, touched, features, key="g")

    def stepping(w: torch.Tensor, g: torch.Tensor) -> tuple[torch.Tensor, torch.optim.Optimizer]:
        own = w.clone().requires_grad_()
        unchecked: Any = torch.sparse.check_sparse_tensor_invariants
        with unchecked(enable=False):  # the argument of the call alone does not calm torch 2.11
            own.grad = torch.sparse_coo_tensor(places[None], g, own.shape, is_coalesced=True)
        return own, torch.optim.SparseAdam([own], lr=0.1)

    def call(w: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        own, optimizer = stepping(w, g)
        for _ in range(CHECKED_STEPS):
            optimizer.step()
        return own.detach() - w

    def of_rows(w: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        """Take Adam's steps in the touched rows alone, ε added before the root is corrected."""
        beta1, beta2 = 0.9, 0.999
        m, v, change = torch.zeros_like(g), torch.zeros_like(g), torch.zeros_like(g)
        for t in range(1, CHECKED_STEPS + 1):
            m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g * g
            rate = 0.1 * (1 - beta2**t) ** 0.5 / (1 - beta1**t)
            change = change - rate * m / (v.sqrt() + 1e-8)
        return torch.zeros_like(w).index_copy(0, places, change)

    optimizer = stepping(w, g)[1]

    def step() -> None:
        optimizer.step()

    return Built(
        call,
        (w, g),
        reference=of_rows,
        tolerance=tolerance(dtype, slack=5.0),
        step=step,
        flops={"step": 13.0 * g.numel()},
        bytes={"step": 7.0 * g.numel() * g.element_size()},
    )
