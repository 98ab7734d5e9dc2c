"""What one configuration costs to train, alone: a forward pass, a backward pass, a training step, and its memory.

The engine's own program is timed, at M = 1 and at the grid's batch size, by the same windows and rules as kernels.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import torch

from d2lbench.engine.plan import Stack
from d2lbench.engine.stacked import Pass
from d2lbench.engine.train import Training
from d2lbench.timing.clock import Budget, wall_clock_of
from d2lbench.timing.counting import peak_memory
from d2lbench.timing.windows import Rule, Samples, collect, undisturbed

if TYPE_CHECKING:
    from d2lbench.core.spec import Cell
    from d2lbench.timing.clock import Call, Clock

#: What is timed apart: a pass that predicts, without a graph; a pass that trains, to the loss, with one; the pass back
#: through it; and a whole training step: both passes, penalties, and the optimizer's update. The batch is at hand.
Part = Literal["forward", "forward-train", "backward", "step"]
PARTS: tuple[Part, ...] = get_args(Part)

#: Arms differ by factors, so 5 % tell them apart, and many have to share little time. On a GPU the wall clock is read,
#: as that is what training takes.
RULE = Rule(0.05, least=10)


@dataclass(frozen=True)
class Cost:
    """What a structure costs to train alone.

    ``parameters`` are counted, ``batch`` is the examples of a step. ``held`` are the bytes that training keeps between
    steps (parameters, gradients, buffers, the optimizer's state), ``peak`` those that a step needs beyond them.
    """

    parameters: int
    batch: int
    parts: dict[Part, Samples]
    held: int
    peak: int

    def as_record(self) -> dict[str, Any]:
        """Return it as plain data, raw samples included."""
        parts = {part: samples.as_record() for part, samples in self.parts.items()}
        return {**vars(self), "parts": parts}


def measure_cost(
    cell: Cell,
    device: str,
    seconds: float,
    *,
    clock: Clock | None = None,
    now: Callable[[], float] = time.monotonic,
) -> Cost:
    """Measure a cell for about ``seconds``, building included; every part gets one window at least.

    Raises
    ------
    DataError
        Its data are missing or damaged.
    """
    time_left = Budget(seconds, len(PARTS), now)
    training = Training(Stack((cell,)), device)
    training.derived = None  # passes and step are to be of one kind: autograd's, as a reader's own network takes them
    training.begin(1)
    x, y = next(training.feed.batches(1))  # (1, B, *shape), (1, B)
    clock = clock or wall_clock_of(device)
    parts: dict[Part, Samples] = {}
    for part, call in _calls(training, x, y):
        deadline = now() + time_left.share()
        with torch.set_grad_enabled(part != "forward"), undisturbed():
            parts[part] = collect(call, clock, RULE, deadline, now)
    peak = peak_memory(lambda: _step(training, x, y), device)
    return Cost(training.parameters.block.shape[1], y.shape[1], parts, held_bytes(training), peak)


def _calls(training: Training, x: torch.Tensor, y: torch.Tensor) -> Iterator[tuple[Part, Call]]:
    """Yield the parts as calls, each made when it is its turn: a step moves what a graph made before would miss."""
    parameters = training.parameters
    yield "forward", lambda: training.program(Pass(parameters), x)
    yield "forward-train", lambda: _loss(training, x, y)
    loss, leaves = _loss(training, x, y), tuple(parameters.leaves.values())
    yield "backward", lambda: torch.autograd.grad(loss, leaves, retain_graph=True)
    yield "step", lambda: _step(training, x, y)


def _loss(training: Training, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    sparse = training.borrowed is not None and training.borrowed.sparse
    run = Pass(training.parameters, training.masks, batch_statistics=True, track=True, sparse=sparse)
    return training.loss.per_example(training.program(run, x), y).mean(1).sum()


def _step(training: Training, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return training.borrowed_step(x, y, 0) if training.borrowed else training.step(x, y, 0)


def held_bytes(training: Training) -> int:
    """Return the bytes of all that a training keeps from one step to the next, its data left out."""
    tensors = [training.parameters.block, training.gradients, *training.parameters.buffers.values()]
    tensors += [slot for family in training.families for slot in family.state.values()]
    if training.borrowed is not None:
        tensors += _tensors(training.borrowed.snapshot()["state"])
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _tensors(state: Any) -> list[torch.Tensor]:
    if isinstance(state, torch.Tensor):
        return [state]
    inner = state.values() if isinstance(state, dict) else state if isinstance(state, list | tuple) else ()
    return [tensor for each in inner for tensor in _tensors(each)]
