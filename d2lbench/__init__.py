"""Put what *Dive into Deep Learning* teaches about training to the test.

What is handed on from here is loaded at its first use (PEP 562): ``import d2lbench`` loads none of
torch, pandas and matplotlib.
"""

from __future__ import annotations

import importlib
from typing import Any, Final

from d2lbench.core.version import __version__

#: Each name with the module that it comes from.
_FROM: Final = {
    "Request": "d2lbench.api.session",
    "Session": "d2lbench.api.session",
    "register": "d2lbench.core.registry",
}

__all__ = ["Request", "Session", "__version__", "register"]


def __getattr__(name: str) -> Any:
    """Load what is asked for by name.

    Raises
    ------
    AttributeError
        There is no such name.
    """
    if name in _FROM:
        return getattr(importlib.import_module(_FROM[name]), name)
    problem = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(problem)


def __dir__() -> list[str]:
    return sorted(__all__)
