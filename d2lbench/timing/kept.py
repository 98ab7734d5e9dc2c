"""What training keeps: the bytes that a forward pass leaves for the pass back, which a prediction frees at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from d2lbench.timing.built import Built


def saved_bytes(built: Built) -> int:
    """Return the bytes that the graph of one forward pass holds until the pass back, counted in its storages.

    Each storage counts once, however often it is saved or viewed. Leaves that take a gradient do not count: they are
    parameters, which a prediction holds, too. An input that takes none counts, since a prediction may drop it behind
    the first layer.
    """
    owned = {
        tensor.untyped_storage().data_ptr() for tensor in (*built.inputs, *built.parameters) if tensor.requires_grad
    }
    held: dict[int, int] = {}
    alive = []  # so that no storage takes the place of one that was counted

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in owned:
            held[storage.data_ptr()] = storage.nbytes()
        alive.append(tensor)
        return tensor

    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        alive.append(built.call(*built.inputs))
    return sum(held.values())
