"""Common random numbers: every draw is keyed by what it is for, never by who else is drawn.

A key is a seed, and words and numbers that say the purpose: ``(seed, replica, "init", "hidden1.weight")``. Its hash
seeds one generator of :mod:`d2lbench.core.generators`. So neither neighbours in a stack, nor width, position or dtype,
nor another layer move a draw.
"""

from __future__ import annotations

import hashlib


def key_integer(*key: int | str) -> int:
    """Return a whole number below 2**63 that depends on every part of the key and on nothing else."""
    text = "\x1f".join([f"{type(part).__name__}:{part}" for part in key])  # a list: a small model begins many epochs
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
