"""A whole step of training a perceptron, by hand and as the framework has it, and the descent that ends it.

The perceptron is the one of Dive into Deep Learning, sections 5.2 and 5.3: one hidden layer with ReLU, cross-entropy,
plain descent. What is checked of a step is what some of them change in the parameters, against gradients by formula.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, Literal

from d2lbench.core.registry import register
from d2lbench.timing.cases.parts import CHECKED_STEPS, Count, noise, tolerance, whole_numbers
from d2lbench.timing.kernels import Built

if TYPE_CHECKING:
    import torch

    Step = Callable[[torch.Tensor, torch.Tensor], None]
    Read = Callable[[], list[torch.Tensor]]  # the parameters as they are, in the order and form of the start

Decay = Literal["none", "optimizer", "loss"]
CLASSES: Final = 10
_LR, _STRENGTH = 0.1, 0.01
_SIZES: Final = {
    "small": {"batch": 32, "inputs": 64, "width": 64},
    "large": {"batch": 256, "inputs": 784, "width": 256},
}
#: Rounding flips a ReLU now and then, and an example's share of a gradient with it.
_SLACK: Final = 100.0


def start(device: str, dtype: torch.dtype, inputs: int, width: int) -> tuple[torch.Tensor, ...]:
    """Return where training starts: w₁ (I, W), b₁ (W), w₂ (W, K), b₂ (K), whose outputs have a spread of about one."""
    drawn = noise(device, dtype, inputs, width, key="W1"), noise(device, dtype, width, CLASSES, key="W2")
    biases = noise(device, dtype, width, key="b1") / 10, noise(device, dtype, CLASSES, key="b2") / 10
    return drawn[0] / inputs**0.5, biases[0], drawn[1] / width**0.5, biases[1]


def concise(parameters: Sequence[torch.Tensor], decay: Decay) -> tuple[Step, Read]:
    """Return the framework's step (sections 5.3 and 3.7.4)."""
    import torch
    from torch import nn

    w1, b1, w2, b2 = (each.detach().clone() for each in parameters)
    net = nn.Sequential(nn.Linear(*w1.shape), nn.ReLU(), nn.Linear(*w2.shape)).to(w1)
    moved = list(net.parameters())
    with torch.no_grad():
        for own, given in zip(moved, (w1.t(), b1, w2.t(), b2), strict=True):
            own.copy_(given)
    strength = _STRENGTH if decay == "optimizer" else 0.0
    optimizer = torch.optim.SGD(moved, lr=_LR, weight_decay=strength)
    criterion = nn.CrossEntropyLoss()

    def step(x: torch.Tensor, y: torch.Tensor) -> None:
        optimizer.zero_grad()
        with torch.enable_grad():
            loss = criterion(net(x), y)
            if decay == "loss":
                loss = loss + _STRENGTH / 2 * sum((w**2).sum() for w in moved)
            loss.backward()
        optimizer.step()

    return step, lambda: [moved[0].t(), moved[1], moved[2].t(), moved[3]]


def _by_hand(parameters: Sequence[torch.Tensor]) -> tuple[Step, Read]:
    """Return the step as it is first written by hand (sections 5.2, 4.4 and 3.4)."""
    import torch

    from d2lbench.engine.module import cross_entropy

    w1, b1, w2, b2 = moved = [each.detach().clone().requires_grad_() for each in parameters]

    def step(x: torch.Tensor, y: torch.Tensor) -> None:
        with torch.enable_grad():
            h = x @ w1 + b1  # (B, W)
            h = torch.max(h, torch.zeros_like(h))
            loss = cross_entropy(h @ w2 + b2, y)
            loss.backward()  # type: ignore[no-untyped-call]
        with torch.no_grad():
            for w in moved:
                assert w.grad is not None
                w.sub_(_LR * w.grad)
                w.grad.zero_()

    return step, lambda: list(moved)


def _by_formula(
    x: torch.Tensor, y: torch.Tensor, parameters: Sequence[torch.Tensor], strength: float
) -> list[torch.Tensor]:
    """Return the parameters after some steps from x (B, I) and y (B), each gradient by the chain rule written out."""
    from torch.nn.functional import one_hot

    w1, b1, w2, b2 = parameters
    for _ in range(CHECKED_STEPS):
        z = x @ w1 + b1
        h = z.clamp(min=0)
        delta = ((h @ w2 + b2).softmax(1) - one_hot(y, CLASSES)) / len(x)  # (B, K)
        back = (delta @ w2.t()) * (z > 0)  # (B, W)
        slopes = x.t() @ back, back.sum(0), h.t() @ delta, delta.sum(0)
        w1, b1, w2, b2 = (w - _LR * (slope + strength * w) for w, slope in zip((w1, b1, w2, b2), slopes, strict=True))
    return [w1, b1, w2, b2]


def _changed(before: Sequence[torch.Tensor], after: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return what has changed in all parameters, as one vector."""
    import torch

    return torch.cat([(new.detach() - old.detach()).flatten() for old, new in zip(before, after, strict=True)])


def operations(batch: int, inputs: int, width: int) -> float:
    """Return what forward, backward and descent take; images take no gradient, so one product is left out."""
    into, out = inputs * width, width * CLASSES
    return 2.0 * batch * (2 * into + 3 * out) + 2.0 * (into + out + width + CLASSES)


@register(
    "kernel",
    "train-step",
    group="training",
    phases=("step",),
    sizes=_SIZES,
    tiny={"batch": 3, "inputs": 5, "width": 4},
    implementations={
        "concise": {},
        "scratch": {"by_hand": True},
        "weight-decay": {"decay": "optimizer"},
        "l2-in-loss": {"decay": "loss"},
    },
    dtypes=("float32", "float64"),
)
def train_step(
    device: str,
    dtype: torch.dtype,
    /,
    *,
    batch: Count = 32,
    inputs: Count = 64,
    width: Count = 64,
    by_hand: bool = False,
    decay: Decay = "none",
) -> Built:
    """A whole step of training: forward, loss, backward, descent, with the framework's layers or by hand.

    Two operations for each multiplication of the products and for each parameter, and two more for each parameter that
    decays; a penalty in the loss takes four. Decay is the framework's: by hand there is none.
    """
    begun = start(device, dtype, inputs, width)
    x, y = noise(device, dtype, batch, inputs), whole_numbers(device, CLASSES, batch)
    count = sum(w.numel() for w in begun)

    def stepping(parameters: Sequence[torch.Tensor]) -> tuple[Step, Read]:
        return _by_hand(parameters) if by_hand else concise(parameters, decay)

    def call(x: torch.Tensor, *parameters: torch.Tensor) -> torch.Tensor:
        step, read = stepping(parameters)
        for _ in range(CHECKED_STEPS):
            step(x, y)
        return _changed(parameters, read())

    def reference(x: torch.Tensor, *parameters: torch.Tensor) -> torch.Tensor:
        strength = 0.0 if by_hand or decay == "none" else _STRENGTH
        return _changed(parameters, _by_formula(x, y, parameters, strength))

    step = stepping(begun)[0]
    extra = {"none": 0.0, "optimizer": 2.0, "loss": 4.0}[decay]
    return Built(
        call,
        (x, *begun),
        reference=reference,
        tolerance=tolerance(dtype, slack=_SLACK),
        step=lambda: step(x, y),
        flops={"step": operations(batch, inputs, width) + extra * count},
        bytes={"step": float(x.element_size() * (x.numel() + 3 * count))},
    )


@register(
    "kernel",
    "descent",
    group="training",
    phases=("step",),
    sizes={name: {key: size[key] for key in ("inputs", "width")} for name, size in _SIZES.items()},
    tiny={"inputs": 5, "width": 4},
    implementations={"plain": {}, "weight-decay": {"decay": True}},
)
def descent(device: str, dtype: torch.dtype, /, *, inputs: Count = 64, width: Count = 64, decay: bool = False) -> Built:
    """The framework's step of descent over the perceptron's parameters: 2 operations each, 4 with weight decay."""
    import torch

    begun = start(device, dtype, inputs, width)
    slopes = [noise(device, dtype, *w.shape, key=f"slope{k}") for k, w in enumerate(begun)]
    strength = _STRENGTH if decay else 0.0
    count = sum(w.numel() for w in begun)

    def stepping(parameters: Sequence[torch.Tensor]) -> tuple[Callable[[], None], list[torch.Tensor]]:
        moved = [w.detach().clone().requires_grad_() for w in parameters]
        for w, slope in zip(moved, slopes, strict=True):
            w.grad = slope.to(w)
        optimizer = torch.optim.SGD(moved, lr=_LR, weight_decay=strength)

        def step() -> None:
            optimizer.step()

        return step, moved

    def call(*parameters: torch.Tensor) -> torch.Tensor:
        step, moved = stepping(parameters)
        for _ in range(CHECKED_STEPS):
            step()
        return _changed(parameters, moved)

    def reference(*parameters: torch.Tensor) -> torch.Tensor:
        after = list(parameters)
        for _ in range(CHECKED_STEPS):
            after = [w - _LR * (slope.to(w) + strength * w) for w, slope in zip(after, slopes, strict=True)]
        return _changed(parameters, after)

    return Built(
        call,
        begun,
        reference=reference,
        tolerance=tolerance(dtype, slack=3.0),
        step=stepping(begun)[0],
        flops={"step": (4.0 if decay else 2.0) * count},
        bytes={"step": 3.0 * count * begun[0].element_size()},
    )
