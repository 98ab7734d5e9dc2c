"""What rows need that not every machine has."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence

from d2lbench.core.errors import DataError


def _fashion_mnist() -> str:
    from d2lbench import catalogue

    try:
        catalogue.load().get("dataset", "fashion-mnist").traits.locate()
    except DataError as error:
        return str(error)
    return ""


def _benchopt() -> str:
    return "" if importlib.util.find_spec("benchopt") else "benchopt is not installed; it comes with d2lbench[versus]"


#: Name → a function that says why it is not there; nothing where it is.
NEEDS: Mapping[str, Callable[[], str]] = {"fashion-mnist": _fashion_mnist, "benchopt": _benchopt}


def missing(needs: Sequence[str]) -> str:
    """Say what is missing and how to get it; nothing where all is there. It names folders: no page repeats it."""
    return "; ".join(filter(None, (NEEDS[name]() for name in needs)))


def absent(needs: Sequence[str]) -> str:
    """Name what is missing, without the places where it was looked for."""
    return ", ".join(name for name in needs if NEEDS[name]())
