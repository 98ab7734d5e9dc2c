"""Right before fast: a case is compared with its float64 reference, forward and back, before it gets a number.

A network of ReLUs and maxima is piecewise linear. Where rounding moves a number across zero, or lets another one win,
the value hardly changes, but the gradient is another piece's: it may differ by an example's whole share, and no
tolerance tells that from a wrong kernel. So the float64 reference follows the pieces that the network under test is on,
and refuses them where they are not within rounding of its own: what is left between the two gradients is rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from d2lbench.core.errors import TimingError
from d2lbench.timing.phases import leaves, output_gradient

if TYPE_CHECKING:
    from d2lbench.store.timings import Phase
    from d2lbench.timing.kernels import Built

#: Phases that are right when the pass back is.
_BACKWARD: frozenset[Phase] = frozenset({"backward", "whole"})
_RELU: Final = (torch.ops.aten.relu.default, torch.ops.aten.relu_.default)
_MAXIMUM: Final = torch.ops.aten.max_pool2d_with_indices.default
_SMALLEST: Final = torch.finfo(torch.float64).tiny


def check(
    built: Built,
    call: Callable[..., torch.Tensor],
    asked: Sequence[Phase],
    declared: Sequence[Phase] | None = None,
    *,
    needed: bool = True,
) -> tuple[Phase, ...]:
    """Compare ``call`` with the reference and return the phases of ``asked`` that this proves right.

    Forward is compared by value. Backward is compared by the gradients of those inputs that require them, for a random
    gradient of the output; a reference that cannot be differentiated proves forward only. A step that is all that is
    ``declared`` is proved by ``call``, which then returns what steps lead to; one beside other phases by ``stepped``.

    Raises
    ------
    TimingError
        A value is off by more than the tolerance, the shape is another, or there is no reference and one is needed.
    """
    if built.reference is None:
        if needed:
            problem = "it has no float64 reference, so nothing says that it is right"
            raise TimingError(problem)
        return ()
    if built.random and call is not built.call:
        return ()
    unproved: set[Phase] = set()
    exact = [_exact(tensor) for tensor in built.inputs]
    with torch.enable_grad(), torch.random.fork_rng():
        expected = _drawing(built.reference)(*exact)
        with torch.set_grad_enabled("step" in asked and tuple(declared or asked) == ("step",)):
            _compare("forward", _drawing(call)(*built.inputs), expected, built.tolerance)
        if not (_BACKWARD & set(asked) and _check_backward(built, call, exact, expected)):
            unproved |= _BACKWARD
        if "step" in asked and tuple(declared or asked) != ("step",):
            unproved |= set() if _check_step(built) else {"step"}
    return tuple(phase for phase in asked if phase not in unproved)


def _drawing(call: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """Return ``call`` so that it begins from the one random state that references begin from."""

    def drawn(*given: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(0)
        return call(*given)

    return drawn


def _check_step(built: Built) -> bool:
    """Compare what a step leads to; False where the case does not say what that should be."""
    if built.stepped is None:
        return False
    found, expected = built.stepped()
    _compare("a step", found, expected, built.tolerance)
    return True


def _check_backward(
    built: Built, call: Callable[..., torch.Tensor], exact: list[torch.Tensor], expected: torch.Tensor
) -> bool:
    """Compare the gradients of the inputs; False where the reference has none to compare with."""
    wanted = [tensor for tensor in built.inputs if tensor.requires_grad]
    twins = [tensor for tensor in exact if tensor.requires_grad]
    allowed = built.tolerance if call is built.call or built.unfollowed is None else built.unfollowed
    if not wanted or not expected.requires_grad or not allowed:
        return False
    output = _drawing(call)(*built.inputs)
    gradient = output_gradient(output)
    # All leaves, as in the timed call: a pass back that skips the parameters is another kernel.
    found = torch.autograd.grad(output, leaves(built), gradient, allow_unused=True)[: len(wanted)]
    right = torch.autograd.grad(expected, twins, gradient.double(), allow_unused=True)
    for number, (ours, theirs) in enumerate(zip(found, right, strict=True)):
        if theirs is not None:
            name = f"the gradient of input {number}"
            _compare(name, torch.zeros_like(theirs) if ours is None else ours, theirs, allowed)
    return True


def _exact(tensor: torch.Tensor) -> torch.Tensor:
    if not tensor.is_floating_point():
        return tensor
    return tensor.detach().double().requires_grad_(tensor.requires_grad)


def _compare(name: str, found: torch.Tensor, expected: torch.Tensor, tolerance: float) -> None:
    if found.shape != expected.shape:
        problem = f"{name} has shape {tuple(found.shape)}, the reference {tuple(expected.shape)}"
        raise TimingError(problem)
    if found.numel() == 0:
        return
    expected = expected.detach()
    largest = float(expected.abs().max())
    error = float((found.detach().to(expected) - expected).abs().max()) / (largest or 1.0)
    if not error <= tolerance:  # so that NaN is refused, too
        problem = f"{name} is off by {error:.2g} of the reference's largest value; allowed: {tolerance:.2g}"
        raise TimingError(problem)


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
