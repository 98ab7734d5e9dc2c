"""The stacked program: M cells of one structure as one model with a leading dimension M.

Weights of linear layers are kept as (M, inputs, outputs), the transpose of torch.nn's layout: then neither the forward
product nor the two products of the backward pass need a transposed copy, and gradients come out laid out like the
weights. All other parameters have torch.nn's layout behind the M.

A step of a small stack is some forty short operations, and autograd takes half of their time to record the graph and to
walk it back. So there is a second way through: :class:`Derived` finds the gradients of a perceptron as derived by hand.
It covers chains of linear layers, three activations and dropout, under a loss that brings its own derivative, and has
autograd's own bits; everything else goes by autograd.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import torch

from d2lbench.catalogue import load
from d2lbench.catalogue.layers import (
    Activation,
    BatchNorm,
    Branches,
    Conv,
    Dropout,
    EmbeddingBag,
    Flatten,
    GlobalPool,
    Layer,
    Linear,
    Model,
    Pool,
    Residual,
    walk,
)
from d2lbench.engine.routines import affine, average_pool, way_of

if TYPE_CHECKING:
    from d2lbench.catalogue.losses import Derivative, Loss
    from d2lbench.engine.parameters import Parameters

#: Gives a dropout layer its factors for a batch of B: (M, B, H), 0 or 1 / (1 - p).
Masks = Callable[[Dropout, int], torch.Tensor]
#: Writes the gradients of a layer's parameters, by path, and turns that by its output into that by its input.
_Back = Callable[[torch.Tensor, Mapping[str, torch.Tensor]], torch.Tensor]

_aten: Final[Any] = torch.ops.aten
#: Activations whose slope autograd takes from their output h: how to apply them, and to turn the gradient g by their
#: output into that by their input; both in place.
SLOPES: Final[Mapping[Any, tuple[Any, Any]]] = {
    torch.relu: (torch.relu_, lambda g, h: _aten.threshold_backward.grad_input(g, h, 0, grad_input=g)),
    torch.sigmoid: (torch.sigmoid_, lambda g, h: _aten.sigmoid_backward.grad_input(g, h, grad_input=g)),
    torch.tanh: (torch.tanh_, lambda g, h: _aten.tanh_backward.grad_input(g, h, grad_input=g)),
}


@dataclass
class Pass:
    """What one pass through the program uses and leaves behind.

    Attributes
    ----------
    masks
        Given in training mode only: without them nothing is dropped.
    batch_statistics
        Whether batch norm uses the batch's own mean and variance, as in training, or the running ones.
    track
        Whether it also moves the running ones toward the batch's.
    hidden
        Collects the output of every activation, (M, B, …), where it is a list.
    sparse
        Whether gradients of embeddings come out sparse.
    """

    parameters: Parameters
    masks: Masks | None = None
    batch_statistics: bool = False
    track: bool = False
    hidden: list[torch.Tensor] | None = None
    sparse: bool = False
    leaves: Mapping[str, torch.Tensor] = field(init=False)

    def __post_init__(self) -> None:
        """Look the parameters up once."""
        self.leaves = self.parameters.leaves


class Stacked:
    """The forward program of a model over stacked parameters."""

    def __init__(self, model: Model) -> None:
        self.model = model
        registry = load()
        names = {layer.name for layer in walk(model) if isinstance(layer, Activation)}
        self._functions = {name: registry.get("activation", name).factory() for name in names}
        self._operations: dict[type, Callable[[Any, torch.Tensor, Pass], torch.Tensor]] = {
            Flatten: lambda _, h, __: h.flatten(2),
            Linear: _linear,
            Conv: _conv,
            BatchNorm: _batch_norm,
            EmbeddingBag: _embedding_bag,
            Activation: self._activation,
            Dropout: _dropout,
            Pool: _pool,
            GlobalPool: lambda _, h, __: h.mean((-2, -1)),
            Residual: self._residual,
            Branches: self._branches,
        }

    def __call__(self, run: Pass, x: torch.Tensor) -> torch.Tensor:
        """Map inputs (M, B, …) to raw outputs (M, B, K)."""
        return self._through(self.model, x, run)

    def _through(self, model: Model, h: torch.Tensor, run: Pass) -> torch.Tensor:
        for layer in model:
            h = self._operations[type(layer)](layer, h, run)
        return h

    def _activation(self, layer: Activation, h: torch.Tensor, run: Pass) -> torch.Tensor:
        h = self._functions[layer.name](h)
        if run.hidden is not None:
            run.hidden.append(h)
        return h

    def _residual(self, layer: Residual, h: torch.Tensor, run: Pass) -> torch.Tensor:
        return self._through(layer.body, h, run) + self._through(layer.shortcut, h, run)

    def _branches(self, layer: Branches, h: torch.Tensor, run: Pass) -> torch.Tensor:
        return torch.cat([self._through(body, h, run) for body in layer.bodies], dim=2)


def takes_shared(model: Model) -> bool:
    """Say whether a model's inputs may be (S, B, …), each of them of M/S neighbouring rows: where one output sees them.

    Rows of one seed see the same examples; with one output, their weights are one matrix as they lie.
    """
    first = next((layer for layer in model if not isinstance(layer, Flatten)), None)
    return isinstance(first, Linear) and first.outputs == 1 and not first.scratch


def _linear(layer: Linear, h: torch.Tensor, run: Pass) -> torch.Tensor:
    W, b = run.leaves[f"{layer.path}.weight"], run.leaves[f"{layer.path}.bias"]
    return h @ W + b.unsqueeze(1) if layer.scratch else affine(h, W, b)


def _conv(layer: Conv, h: torch.Tensor, run: Pass) -> torch.Tensor:
    """(M, B, inputs, height, width) → (M, B, outputs, height', width'); several cells are groups of channels."""
    K = run.leaves[f"{layer.path}.weight"]  # (M, outputs, inputs, kernel, kernel)
    b = run.leaves[f"{layer.path}.bias"].flatten() if layer.bias else None
    M = len(K)
    o = torch.nn.functional.conv2d(_folded(h), K.flatten(0, 1), b, layer.stride, layer.padding, groups=M)
    return _unfolded(o, M)


def _folded(h: torch.Tensor) -> torch.Tensor:
    """Put the cells among the channels: (M, B, C, …) → (B, M·C, …), without a copy where M is 1."""
    return h.squeeze(0) if len(h) == 1 else h.transpose(0, 1).flatten(1, 2)


def _unfolded(h: torch.Tensor, M: int) -> torch.Tensor:
    """Undo :func:`_folded`: (B, M·C, …) → (M, B, C, …)."""
    return h.unsqueeze(0) if M == 1 else h.view(len(h), M, -1, *h.shape[2:]).transpose(0, 1)


def _pool(layer: Pool, h: torch.Tensor, run: Pass) -> torch.Tensor:
    del run
    images = h.flatten(0, 1)  # (M·B, C, height, width)
    if layer.kind == "max":
        pooled = torch.nn.functional.max_pool2d(images, layer.kernel, layer.stride, layer.padding)
    else:
        pooled = average_pool(layer, images)
    return pooled.view(*h.shape[:2], *pooled.shape[1:])


def _batch_norm(layer: BatchNorm, h: torch.Tensor, run: Pass) -> torch.Tensor:
    """Normalize every cell's features by its own batch: cells stand side by side as features, (B, M·C, …)."""
    M = len(h)
    scale, shift = run.leaves[f"{layer.path}.weight"].flatten(), run.leaves[f"{layer.path}.bias"].flatten()  # (M·C,)
    mean = variance = None
    if run.track or not run.batch_statistics:
        mean = run.parameters.buffers[f"{layer.path}.running_mean"].view(-1)
        variance = run.parameters.buffers[f"{layer.path}.running_var"].view(-1)
    o = torch.nn.functional.batch_norm(
        _folded(h), mean, variance, scale, shift, run.batch_statistics, layer.momentum, layer.eps
    )
    return _unfolded(o, M)


def _dropout(layer: Dropout, h: torch.Tensor, run: Pass) -> torch.Tensor:
    return h if run.masks is None else h * run.masks(layer, h.shape[1])


def _embedding_bag(layer: EmbeddingBag, h: torch.Tensor, run: Pass) -> torch.Tensor:
    """Average the embeddings of tokens (M, B, length) → (M, B, features); every cell looks into its own table."""
    E = run.leaves[f"{layer.path}.weight"]  # (M, count, features)
    offsets = torch.arange(len(E), device=E.device) * layer.count  # (M,): where each cell's table begins
    tokens = (h.long() + offsets[:, None, None]).flatten(0, 1)  # (M·B, length)
    table = E.squeeze(0) if len(E) == 1 else E.flatten(0, 1)  # a sparse gradient cannot be reshaped
    bags = torch.nn.functional.embedding_bag(tokens, table, mode="mean", sparse=run.sparse)  # (M·B, features)
    return bags.view(*h.shape[:2], -1)


def derived(model: Model, loss: Loss) -> Derived | None:
    """Return the gradients of a model under a loss, or None where they are autograd's to find."""
    names = {layer.name for layer in model if isinstance(layer, Activation)}
    functions = {name: load().get("activation", name).factory() for name in names}
    slopes = {name: SLOPES[function] for name, function in functions.items() if function in SLOPES}

    def is_covered(before: Layer | None, layer: Layer) -> bool:
        if isinstance(layer, Activation):
            return layer.name in slopes and isinstance(before, Linear)
        return isinstance(layer, Flatten | Dropout) or (isinstance(layer, Linear) and not layer.scratch)

    if loss.derivative is None or not all(map(is_covered, (None, *model), model)):
        return None
    return Derived(model, slopes, loss.derivative)


@dataclass(frozen=True)
class Derived:
    """The losses and gradients of a chain of layers."""

    model: Model
    slopes: Mapping[str, tuple[Any, Any]]
    derivative: Derivative

    @torch.inference_mode()
    def __call__(
        self,
        parameters: Parameters,
        masks: Masks | None,
        x: torch.Tensor,
        y: torch.Tensor,
        gradients: Mapping[str, torch.Tensor],
    ) -> torch.Tensor:
        """Return every row's loss of a batch in training mode, (M,), and write its gradients, by leaf.

        They are written where they are wanted: to copy them there took a tenth of a small stack's step.
        """
        back: list[_Back] = []
        losses, g = self.derivative(self._through(parameters, masks, x, back), y)
        for layer_back in reversed(back):
            g = layer_back(g, gradients)
        return losses.mean(1)

    @torch.inference_mode()
    def outputs(self, parameters: Parameters, x: torch.Tensor) -> torch.Tensor:
        """Return the raw outputs (M, B, K) in evaluation mode."""
        return self._through(parameters, None, x, None)

    def _through(
        self, parameters: Parameters, masks: Masks | None, h: torch.Tensor, back: list[_Back] | None
    ) -> torch.Tensor:
        for layer in self.model:  # h (M, B, …)
            if isinstance(layer, Flatten):
                h = h.flatten(2)  # (M, B, H)
            elif isinstance(layer, Linear):
                h = _affine(layer.path, parameters, h, back)
            elif isinstance(layer, Activation):
                h = _activation(self.slopes[layer.name], h, back)
            elif isinstance(layer, Dropout) and masks is not None:
                h = _scaled(masks(layer, h.shape[1]), h, back)
        return h


def _affine(path: str, parameters: Parameters, h: torch.Tensor, back: list[_Back] | None) -> torch.Tensor:
    W, b = parameters.leaves[f"{path}.weight"], parameters.leaves[f"{path}.bias"]  # (M, inputs, outputs), (M, outputs)
    way, is_first = way_of(h, W), not back

    def affine_back(g: torch.Tensor, gradients: Mapping[str, torch.Tensor]) -> torch.Tensor:
        way.of_W(h, g, gradients[f"{path}.weight"])  # hᵀ g, from (M, B, inputs) and (M, B, outputs)
        gradients[f"{path}.bias"].copy_(g.sum(1))  # by itself: summed into a block's columns it takes thrice as long
        return g if is_first else way.of_x(g, W)  # g Wᵀ (M, B, inputs); nobody asks for that of the data

    if back is not None:
        back.append(affine_back)
    return way.forward(h, W, b)


def _activation(slope: tuple[Any, Any], h: torch.Tensor, back: list[_Back] | None) -> torch.Tensor:
    in_place, gradient = slope
    h = in_place(h)  # a linear layer's own output, which nothing else needs
    if back is not None:
        back.append(lambda g, _: gradient(g, h))
    return h


def _scaled(factors: torch.Tensor, h: torch.Tensor, back: list[_Back] | None) -> torch.Tensor:
    if back is not None:
        back.append(lambda g, _: g * factors)
    return h * factors
