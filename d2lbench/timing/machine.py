"""What a timing depends on beyond the code: the processor, its caches and threads, the GPU, how busy it all is."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

from d2lbench.core.environment import provenance

_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
_GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
#: Taken where the kernel does not tell: more than most last-level caches hold.
UNKNOWN_CACHE = 64 * 2**20


def last_level_cache(device: str) -> int:
    """Return the bytes of the largest cache between ``device`` and its memory."""
    if device == "cuda":
        import torch

        return int(torch.cuda.get_device_properties(torch.cuda.current_device()).L2_cache_size)
    return max((_bytes(_read(place / "size")) for place in _CACHES.glob("index*")), default=0) or UNKNOWN_CACHE


def identity(device: str) -> dict[str, Any]:
    """Return the facts that tell this machine from others (:func:`~d2lbench.store.machine_key`), and the libraries."""
    facts: dict[str, Any] = dict(provenance())
    if device == "cuda":
        import torch

        facts |= {"gpu": torch.cuda.get_device_name(), "cuda": torch.version.cuda}
    return facts


def fingerprint(device: str) -> dict[str, Any]:
    """Return the facts that make two timings comparable: :func:`identity`, and what this process makes of it."""
    import torch

    smallest_normal = torch.full((1,), torch.finfo(torch.float32).tiny)
    return {
        **identity(device),
        "threads": torch.get_num_threads(),
        "last_level_cache": last_level_cache(device),
        "vector_instructions": torch.backends.cpu.get_cpu_capability(),
        "governor": _read(_GOVERNOR) or "unknown",
        "subnormals": "kept" if float(smallest_normal / 2) else "flushed",
        "load": load(),
    }


def load() -> float:
    """Return how many processes wanted to run in the last minute, on average; not a number where nobody counts."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")


def other_work(load: float, threads: int) -> str:
    """Return a warning where fewer cores are idle than threads are timed, as times are then less sure; else nothing."""
    cores = os.cpu_count() or 1
    if math.isnan(load) or load + threads <= cores + 0.5:
        return ""
    return f"other work is running (load {load:.1f} on {cores} cores); times are less sure"


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
