"""The matrix products of a perceptron's step, as its stack makes them, and their share of the step."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import torch

from benchmarks.versus.engine import stack_of
from d2lbench.engine.routines import is_large, multiply
from d2lbench.engine.train import Training

#: Batches that the products go through by turns, so that their inputs are no warmer than a step's.
BATCHES = 8


def products(
    x: torch.Tensor, weights: list[torch.Tensor], biases: list[torch.Tensor]
) -> Callable[[torch.Tensor], dict[str, torch.Tensor]]:
    """Return the products of one step, which return the outputs and the weights' gradients by layer.

    ``x`` (M, B, inputs) gives the shapes; weights are (M, inputs, units), biases (M, units). Forward a product for
    every layer; backward one for every weight and, behind the first layer, one for every input, each by the library
    that the step takes for it. No activations: the signal that goes back has the outputs' own numbers.
    """
    layers = [_Layer(x.shape[1], W, b) for W, b in zip(weights, biases, strict=True)]

    def step(batch: torch.Tensor) -> dict[str, torch.Tensor]:
        inputs, found = [batch], {}
        for number, layer in enumerate(layers):
            found[f"output{number}"] = layer.forward(inputs[-1])
            inputs.append(found[f"output{number}"])
        signal = inputs[-1]
        for number, layer in reversed(list(enumerate(layers))):
            found[f"weight{number}"] = layer.of_weight(inputs[number], signal)
            if number:
                signal = layer.of_input(signal)
        return found

    return step


class _Layer:
    """A linear layer's three products; those of the BLAS are written into memory that is there already."""

    def __init__(self, batch: int, W: torch.Tensor, b: torch.Tensor) -> None:  # noqa: N803
        M, inputs, units = W.shape  # noqa: N806
        self._W, self._b = W, b
        self._o, self._h, self._dW = W.new_empty(M, batch, units), W.new_empty(M, batch, inputs), torch.empty_like(W)
        self._large = is_large(self._h, W)

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        if self._large:
            return multiply(h, self._W).add_(self._b.unsqueeze(1))
        return torch.baddbmm(self._b.unsqueeze(1), h, self._W, out=self._o)

    def of_weight(self, h: torch.Tensor, signal: torch.Tensor) -> torch.Tensor:
        return multiply(h.mT, signal) if self._large else torch.bmm(h.mT, signal, out=self._dW)

    def of_input(self, signal: torch.Tensor) -> torch.Tensor:
        return multiply(signal, self._W.mT) if self._large else torch.bmm(signal, self._W.mT, out=self._h)


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
        self.products = products(self.batches[0], weights, biases)
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
