"""Every initializer's fill of one weight matrix: torch's function on the device, and the engine's draw by key.

A draw cannot be compared with another's, but its scale can: what is checked is the standard deviation, against the
catalogue's formula, within five standard errors; a constant is compared itself, an orthogonal matrix by its products.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, Literal

from d2lbench import catalogue
from d2lbench.catalogue.layers import Parameter
from d2lbench.core.registry import register
from d2lbench.core.spec import Component
from d2lbench.timing.cases.parts import Count, tolerance
from d2lbench.timing.kernels import Built

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    from d2lbench.catalogue.initializers import Scale

    Fill = Callable[[torch.Tensor, torch.Generator], object]

#: Initializer → torch.nn.init's function and its arguments; what fans make of a weight is left to torch.
TORCH: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "default": ("kaiming_uniform_", {"a": math.sqrt(5)}),
    "normal": ("normal_", {"std": 0.01}),
    "xavier-uniform": ("xavier_uniform_", {}),
    "xavier-normal": ("xavier_normal_", {}),
    "kaiming-uniform": ("kaiming_uniform_", {"nonlinearity": "relu"}),
    "kaiming-normal": ("kaiming_normal_", {"nonlinearity": "relu"}),
    "orthogonal": ("orthogonal_", {}),
    "zeros": ("zeros_", {}),
    "constant": ("constant_", {"val": 0.1}),
}
_RANDOM: Final = ("uniform", "normal")


def _torch_fill(name: str) -> Fill:
    import torch

    function, arguments = TORCH[name]
    fill = getattr(torch.nn.init, function)
    if function in ("zeros_", "constant_"):
        return lambda w, _: fill(w, **arguments)
    return lambda w, numbers: fill(w, **arguments, generator=numbers)


def _keyed_fill(name: str, outputs: int, inputs: int) -> Fill:
    """Return the engine's way: a keyed base draw in float32, scaled, then copied to the device."""
    from d2lbench.engine.parameters import draw

    parameter = Parameter("timed.weight", (outputs, inputs), "weight", inputs, outputs)
    options = catalogue.load().get("init", name).resolve({})
    component = Component("init", name, tuple(sorted(options.items())))
    return lambda w, _: w.copy_(draw(parameter, component, seed=0, replica=0))


def _shown(w: torch.Tensor, distribution: str) -> torch.Tensor:
    """Return what of a fill is the same in every draw."""
    if distribution in _RANDOM:
        return w.std().unsqueeze(0)
    if distribution == "orthogonal":
        return w @ w.t() if len(w) <= w.shape[1] else w.t() @ w
    return w


def _expected(scale: Scale, outputs: int, inputs: int) -> torch.Tensor:
    import torch

    if scale.distribution == "orthogonal":
        return torch.eye(min(outputs, inputs), dtype=torch.float64) * scale.weight**2
    if scale.distribution == "constant":
        return torch.full((outputs, inputs), scale.weight, dtype=torch.float64)
    spread = scale.weight / (math.sqrt(3) if scale.distribution == "uniform" else 1)
    return torch.tensor([spread], dtype=torch.float64)


def _declare(name: str) -> None:
    def build(
        device: str,
        dtype: torch.dtype,
        /,
        *,
        outputs: Count = 256,
        inputs: Count = 256,
        implementation: Literal["torch", "keyed"] = "torch",
    ) -> Built:
        import torch

        from d2lbench.core.generators import generator

        scale: Scale = catalogue.load().get("init", name).factory(inputs, outputs)
        fill = _torch_fill(name) if implementation == "torch" else _keyed_fill(name, outputs, inputs)
        w, numbers = torch.empty(outputs, inputs, device=device, dtype=dtype), generator("timed", device=device)

        @torch.no_grad()
        def call() -> torch.Tensor:
            drawn = torch.empty_like(w)
            fill(drawn, generator("kernel", name, device=device))
            return _shown(drawn.double(), scale.distribution)

        @torch.no_grad()
        def step() -> None:
            fill(w, numbers)

        count = w.numel()
        chance = 5 / math.sqrt(2 * count) if scale.distribution in _RANDOM else 0.0
        return Built(
            call,
            reference=lambda: _expected(scale, outputs, inputs).to(device),
            tolerance=max(tolerance(dtype), tolerance(torch.float32)) + chance,  # keyed draws are made in float32
            step=step,
            flops={"step": _operations(scale, outputs, inputs)},
            bytes={"step": float(count * w.element_size())},
        )

    summary = catalogue.load().get("init", name).summary
    build.__doc__ = (
        f"{summary}\n\nOne operation for each number that is drawn and scaled, none for a constant; their making "
        "is not counted. Orthogonal: a QR decomposition of n × m, m ≤ n, 4nm² − 4m³/3."
    )
    implementations = {each: {"implementation": each} for each in ("torch", "keyed")}
    traits: dict[str, Any] = {"dtypes": ("float32", "float64")} if name == "orthogonal" else {}
    register(
        "kernel",
        f"init-{name}",
        group="initializers",
        phases=("step",),
        sizes={"small": {"outputs": 64, "inputs": 64}, "large": {"outputs": 512, "inputs": 1024}},
        tiny={"outputs": 40, "inputs": 30},
        implementations=implementations,
        **traits,
    )(build)


def _operations(scale: Scale, outputs: int, inputs: int) -> float:
    if scale.distribution == "constant":
        return 0.0
    n, m = max(outputs, inputs), min(outputs, inputs)
    return 4 * n * m**2 - 4 * m**3 / 3 if scale.distribution == "orthogonal" else float(outputs * inputs)


for _name in TORCH:
    _declare(_name)
