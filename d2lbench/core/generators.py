"""Torch's random generators, seeded by what they draw for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from d2lbench.core.seeding import key_integer

if TYPE_CHECKING:
    import torch


def generator(*key: int | str, device: str = "cpu") -> torch.Generator:
    """Return a new random generator on ``device``, seeded by the key."""
    import torch

    return torch.Generator(device).manual_seed(key_integer(*key))
