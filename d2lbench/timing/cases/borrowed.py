"""Steps of the optimizers that know no stacks: L-BFGS and sparse Adam, as torch has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

from annotated_types import Ge

from d2lbench.core.registry import register
from d2lbench.timing.cases.parts import Count, noise, tolerance
from d2lbench.timing.kernels import Built

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

#: Steps of sparse Adam that are taken to compare with the reference.
_CHECKED: Final = 3


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
        for _ in range(_CHECKED):
            optimizer.step()
        return own.detach() - w

    def of_rows(w: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        """Take Adam's steps in the touched rows alone, ε added before the root is corrected."""
        beta1, beta2 = 0.9, 0.999
        m, v, change = torch.zeros_like(g), torch.zeros_like(g), torch.zeros_like(g)
        for t in range(1, _CHECKED + 1):
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
