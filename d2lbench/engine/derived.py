"""The gradients of a perceptron derived by hand: autograd's own numbers without its graph.

A step of a small stack is some forty short operations, and to record the graph and walk it back takes half of their
time. What is written down here covers chains of linear layers, the activations below and dropout, under a loss that
brings its own derivative; everything else goes by autograd, whose bits these gradients have.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import torch

from d2lbench.catalogue import load
from d2lbench.catalogue.layers import Activation, Dropout, Flatten, Layer, Linear, Model
from d2lbench.engine.products import way_of

if TYPE_CHECKING:
    from d2lbench.catalogue.losses import Derivative, Loss
    from d2lbench.engine.parameters import Parameters
    from d2lbench.engine.stacked import Masks

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
        for layer in self.model:
            if isinstance(layer, Flatten):
                h = h.flatten(2)
            elif isinstance(layer, Linear):
                h = _affine(layer.path, parameters, h, back)
            elif isinstance(layer, Activation):
                h = _activation(self.slopes[layer.name], h, back)
            elif isinstance(layer, Dropout) and masks is not None:
                h = _scaled(masks(layer, h.shape[1]), h, back)
        return h


def _affine(path: str, parameters: Parameters, h: torch.Tensor, back: list[_Back] | None) -> torch.Tensor:
    W, b = parameters.leaves[f"{path}.weight"], parameters.leaves[f"{path}.bias"]  # noqa: N806
    way, is_first = way_of(h, W), not back

    def affine_back(g: torch.Tensor, gradients: Mapping[str, torch.Tensor]) -> torch.Tensor:
        way.of_W(h, g, gradients[f"{path}.weight"])
        gradients[f"{path}.bias"].copy_(g.sum(1))  # by itself: summed into a block's columns it takes thrice as long
        return g if is_first else way.of_x(g, W)

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
