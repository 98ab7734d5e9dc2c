"""The matrix products of a perceptron's step, as its stack makes them, and their share of the step."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import torch

from benchmarks.versus.engine import stack_of
from d2lbench.engine.train import Training

#: Batches that the products go through by turns, so that their inputs are no warmer than a step's.
BATCHES = 8


def products(
    x: torch.Tensor, weights: list[torch.Tensor], biases: list[torch.Tensor]
) -> tuple[Callable[[torch.Tensor], None], dict[str, torch.Tensor]]:
    """Return the products of one step, and the tensors that they are written into.

    ``x`` (M, B, inputs) gives the shapes; weights are (M, inputs, units), biases (M, units). Forward a product for
    every layer; backward one for every weight and, behind the first layer, one for every input. No activations: the
    signal that goes back has the outputs' own numbers.
    """
    M, B, _ = x.shape  # noqa: N806  (the engine's symbols)
    outputs = [x.new_empty(M, B, W.shape[2]) for W in weights]
    gradients = {f"weight{layer}": torch.empty_like(W) for layer, W in enumerate(weights)}
    signals = [torch.empty_like(o) for o in outputs[:-1]]

    def step(batch: torch.Tensor) -> None:
        h = batch
        for W, b, o in zip(weights, biases, outputs, strict=True):  # noqa: N806
            h = torch.baddbmm(b.unsqueeze(1), h, W, out=o)
        signal = outputs[-1]
        for layer in reversed(range(len(weights))):
            below = outputs[layer - 1] if layer else batch
            torch.bmm(below.mT, signal, out=gradients[f"weight{layer}"])
            if layer:
                signal = torch.bmm(signal, weights[layer].mT, out=signals[layer - 1])

    return step, gradients | {f"output{layer}": o for layer, o in enumerate(outputs)}


class Share:
    """Times an epoch of steps and then as many products, again at every call."""

    def __init__(self, text: str, steps: int | None = None) -> None:
        torch.set_num_threads(1)
        self.training = Training(stack_of(text), "cpu")
        self.width = len(self.training.parameters.block)
        self.batches = [x.flatten(2).clone() for x, _ in _first(self.training, BATCHES)]
        leaves = self.training.parameters.leaves
        weights = [value.detach() for name, value in leaves.items() if name.endswith("weight")]
        biases = [value.detach() for name, value in leaves.items() if name.endswith("bias")]
        self.products, _ = products(self.batches[0], weights, biases)
        self._steps, self._epoch = steps, 0

    def __call__(self) -> Mapping[str, float]:
        """Return the products' share of the step in percent, and both in µs for each cell."""
        torch.set_num_threads(1)
        self._epoch += 1
        began = time.perf_counter()
        self.training.train_epoch(self._epoch)
        step = (time.perf_counter() - began) / len(self.training.sizes)
        count = self._steps or len(self.training.sizes)
        with torch.inference_mode():
            began = time.perf_counter()
            for number in range(count):
                self.products(self.batches[number % BATCHES])
            product = (time.perf_counter() - began) / count
        each = 1e6 / self.width
        return {"share of the step": 100 * product / step, "products": product * each, "step": step * each}


def _first(training: Training, count: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    batches = training.feed.batches(1)
    return [next(batches) for _ in range(count)]
