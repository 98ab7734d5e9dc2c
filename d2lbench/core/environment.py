"""What machine, libraries and revision a run was made with; read without importing torch."""

from __future__ import annotations

import functools
import os
import platform
import subprocess
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

_LIBRARIES = ("torch", "torchvision", "numpy", "scipy", "pandas", "scikit-learn")


@dataclass(frozen=True)
class Environment:
    """What a run's numbers may depend on beyond its cell: with the cell's identity, the key of the store."""

    device: str
    torch: str
    mode: str = "ieee"

    @property
    def key(self) -> str:
        """``cpu/torch-2.15/ieee``: device kind, torch's minor version, arithmetic mode (no TF32, denormals flushed)."""
        return f"{self.device}/torch-{self.torch}/{self.mode}"


def version(package: str) -> str:
    """Return an installed package's version without importing it, or ``absent``."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "absent"


def environment(device: str) -> Environment:
    """Return the environment of runs on ``device`` (``cpu`` or ``cuda``)."""
    return Environment(device, ".".join(version("torch").split("+")[0].split(".")[:2]))


@functools.cache
def cpu_model() -> str:
    """Return the processor's name as the kernel tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


@functools.cache
def commit() -> str:
    """Return the revision of the checkout that this package lies in, ``+`` appended if changed; else ``release``."""
    folder = Path(__file__).parents[2]
    if not (folder / ".git").exists():
        return "release"
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty=+", "--abbrev=12", "--exclude=*"],  # noqa: S607
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return described.stdout.strip()


def provenance() -> dict[str, str]:
    """Return what a reader needs to judge or repeat a run; none of it is part of a run's identity."""
    return {
        "machine": platform.machine(),
        "system": f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}",
        "processor": cpu_model(),
        "cores": str(os.cpu_count()),
        "python": platform.python_version(),
        "commit": commit(),
        **{package: version(package) for package in _LIBRARIES},
    }
