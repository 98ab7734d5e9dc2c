"""How an experiment declares a number that it returns."""

from __future__ import annotations

from typing import Any


def number(unit: str = "") -> dict[str, Any]:
    """Return the declaration of a plain number: its sides differ by subtraction, neither way is better.

    There is no default margin: identities and counts state their tolerance, and any other claim must say what matters.
    """
    return {"as_": "difference", "margins": {}, "better": None, "unit": unit}
