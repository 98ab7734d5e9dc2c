"""What a timing depends on beyond the code: the processor, its caches and threads, the GPU, how busy it all is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

from d2lbench.core.environment import provenance

_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
_GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
#: Taken where the kernel does not tell: more than most last-level caches hold.
UNKNOWN_CACHE = 64 * 2**20


def last_level_cache(device: str) -> int:
    """Return the bytes of the largest cache between ``device`` and its memory."""
    if device == "cuda":
        return int(torch.cuda.get_device_properties(torch.cuda.current_device()).L2_cache_size)
    return max((_bytes(_read(place / "size")) for place in _CACHES.glob("index*")), default=0) or UNKNOWN_CACHE


def fingerprint(device: str) -> dict[str, Any]:
    """Return the facts that make two timings comparable, those of :func:`provenance` among them."""
    facts: dict[str, Any] = {
        **provenance(),
        "threads": torch.get_num_threads(),
        "last_level_cache": last_level_cache(device),
        "vector_instructions": torch.backends.cpu.get_cpu_capability(),
        "governor": _read(_GOVERNOR) or "unknown",
        "subnormals": subnormals(),
        "load": load(),
    }
    if device == "cuda":
        facts |= {"gpu": torch.cuda.get_device_name(), "cuda": torch.version.cuda}
    return facts


def subnormals() -> str:
    """Return what this process does with numbers too small to be normal: ``flushed`` to zero, or ``kept``."""
    smallest_normal = torch.full((1,), torch.finfo(torch.float32).tiny)
    return "kept" if float(smallest_normal / 2) else "flushed"


def load() -> float:
    """Return how many processes wanted to run in the last minute, on average; not a number where nobody counts."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _bytes(size: str) -> int:
    """Return 33554432 for ``32768K``."""
    units = {"K": 2**10, "M": 2**20, "G": 2**30}
    number = size.rstrip("KMG")
    return int(number) * units.get(size[-1:], 1) if number.isdigit() else 0
