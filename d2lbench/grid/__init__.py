"""What a grid file may say, and what it expands to. Handed a registry; never imports the catalogue."""

from __future__ import annotations

from d2lbench.grid.arms import Arm, Rung, Setting
from d2lbench.grid.claims.statement import Claim, Measure, Metric, Part, Point, Published, Side
from d2lbench.grid.file.shape import GridFile
from d2lbench.grid.load import count, find_grids, load, parse, scales
from d2lbench.grid.model import Axis, Factor, Grid, Size
from d2lbench.grid.schema import json_schema

__all__ = [
    "Arm",
    "Axis",
    "Claim",
    "Factor",
    "Grid",
    "GridFile",
    "Measure",
    "Metric",
    "Part",
    "Point",
    "Published",
    "Rung",
    "Setting",
    "Side",
    "Size",
    "count",
    "find_grids",
    "json_schema",
    "load",
    "parse",
    "scales",
]
