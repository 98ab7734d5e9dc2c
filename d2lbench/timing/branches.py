"""The side of a kink that a network takes: ReLUs and maxima recorded in one pass and followed in another.

A network of ReLUs and maxima is piecewise linear. Where rounding moves a number across zero, or lets another one win,
the value hardly changes, but the gradient is another piece's: it may differ by an example's whole share, and no
tolerance tells that from a wrong kernel. So the float64 reference follows the pieces that the network under test is on,
and refuses them where they are not within rounding of its own: what is left between the two gradients is rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from d2lbench.core.errors import TimingError

_RELU: Final = (torch.ops.aten.relu.default, torch.ops.aten.relu_.default)
_MAXIMUM: Final = torch.ops.aten.max_pool2d_with_indices.default
_SMALLEST: Final = torch.finfo(torch.float64).tiny


class Recording(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Keeps which inputs of each ReLU pass, and which inputs of each max pooling win, in the order of the calls."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.taken: list[torch.Tensor] = []

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Call ``func`` and keep the branches that it takes."""
        del types
        result = func(*args, **(kwargs or {}))
        if func in _RELU:
            self.taken.append(result > 0)
        elif func is _MAXIMUM:
            self.taken.append(result[1])
        return result


class Following(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Takes recorded branches, forward and thereby back.

    Raises
    ------
    TimingError
        A branch is not within ``tolerance`` of the kink, relative to the layer's largest input: it is not rounding
        that took it, the kernel under test is wrong.
    """

    def __init__(self, taken: list[torch.Tensor], tolerance: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._taken, self._tolerance = iter(taken), tolerance

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Call ``func``, or take the branch that was recorded in its place."""
        del types
        if func not in (*_RELU, _MAXIMUM):
            return func(*args, **(kwargs or {}))
        x = args[0]
        if func is _MAXIMUM:
            return self._won(x, func(*args, **(kwargs or {}))[0], next(self._taken))
        passed = self._passed(x, next(self._taken))
        return x.copy_(passed) if func is _RELU[1] else passed

    def _passed(self, x: torch.Tensor, through: torch.Tensor) -> torch.Tensor:
        """Return x where it goes through, else 0; the way back asks which results are above 0."""
        passed = torch.where(through, x.clamp_min(_SMALLEST), 0.0)
        self._allow("a ReLU", passed - x.clamp_min(0), x)
        self._allow("a ReLU", torch.where(through, x.clamp_max(0), 0.0), x)
        return passed

    def _won(self, x: torch.Tensor, best: torch.Tensor, places: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the winners (B, C, height, width) and where they stood in their image."""
        won = x.flatten(2).gather(2, places.flatten(2)).view_as(best)
        self._allow("a maximum", best - won, x)
        return won, places

    def _allow(self, name: str, error: torch.Tensor, x: torch.Tensor) -> None:
        off = float(error.abs().max()) / (float(x.abs().max()) or 1.0)
        if not off <= self._tolerance:
            problem = f"{name} takes a branch that is off by {off:.2g} of its largest input; allowed: "
            raise TimingError(problem + f"{self._tolerance:.2g}")
