"""Facts about figures whose y axis is logarithmic."""

from __future__ import annotations

import re

import pytest

from d2lbench.analysis.figures import Curve, Panel
from d2lbench.report.curves import draw_panel
from d2lbench.report.style import colour_map, drawing


def ticks(low, high):
    """Return the numbers that stand on the axes of a falling curve, as they are written."""
    y = (high, (low * high) ** 0.5, low)
    panel = Panel("p", "epoch", "test loss", (Curve("one", (0.0, 1.0, 2.0), y, y, y),), y_log=True)
    with drawing():
        drawn = draw_panel(panel, "name", colour_map(["one"]), "A caption.")
    return set(re.findall(r"<!-- ([^ ]+) -->", drawn.inline)) | set(re.findall(r">([^<>]+)</text>", drawn.inline))


def test_losses_within_a_decade_still_have_two_ticks_to_be_read_by():
    assert {"0.5", "2"} <= ticks(0.45, 2.4)


@pytest.mark.parametrize(("low", "high"), [(1e-6, 1e2), (1e-3, 1.0)])
def test_losses_over_many_decades_are_read_by_powers_of_ten(low, high):
    found = ticks(low, high)
    assert "0.1" in found or "1" in found
    assert not found & {"0.2", "0.05", "0.002"}
