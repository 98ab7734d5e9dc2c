"""Heat maps: one number where two things vary."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from d2lbench.report.format import POINTS, fixed, number
from d2lbench.report.style import SOFT, TEXT, canvas, finish, label, name_figure, width_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from d2lbench.analysis.figures import HeatMap
    from d2lbench.report.style import Drawn

CELL_WIDTH, CELL_HEIGHT = 54, 30
NARROWEST, WIDEST, HIGHEST = 360, 960, 760
TOP, BOTTOM, RIGHT = 34, 48, 16
LETTERS: Final = 26


def draw_map(heat: HeatMap, name: str, caption: str = "") -> Drawn:
    """Draw one heat map with its numbers in the cells; a cell without runs stays blank and says so."""
    rows = [label(text, LETTERS) for text in heat.rows]
    columns = [label(text, LETTERS) for text in heat.columns]
    left = 34 + width_of(rows)
    slanted = width_of(columns, TEXT - 1) > CELL_WIDTH
    bottom = BOTTOM + (0.5 * width_of(columns, TEXT - 1) if slanted else 0)
    width = int(min(WIDEST, max(NARROWEST, left + RIGHT + CELL_WIDTH * len(columns))))
    height = int(min(HIGHEST, TOP + bottom + CELL_HEIGHT * max(1, len(rows))))
    figure, axes = canvas(width, height, (left, RIGHT, TOP, bottom))
    if rows and columns:
        _draw_cells(axes, heat)
        _name_cells(axes, rows, columns, slanted=slanted)
    else:
        axes.text(0.5, 0.5, "no finished runs", transform=axes.transAxes, ha="center", color=SOFT)
    axes.grid(visible=False)
    name_figure(figure, _name(heat))
    axes.set_xlabel(label(heat.column_axis, 60))
    axes.set_ylabel(label(heat.row_axis, 40))
    return finish(figure, name, _alt(heat, caption))


def cell_text(value: float, unit: str = "") -> str:
    """Return what stands in a cell: three digits, shares in percent."""
    return fixed(value * POINTS, 1) if unit == "share" else number(value)


def _draw_cells(axes: Axes, heat: HeatMap) -> None:
    import numpy as np
    import seaborn as sns

    values = np.array(heat.values, dtype=np.float64).reshape(len(heat.rows), len(heat.columns))
    colours = np.where(values > 0, np.log(np.where(values > 0, values, 1.0)), np.nan) if heat.log else values
    finite = colours[np.isfinite(colours)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    texts = np.array([[cell_text(value, heat.unit) for value in row] for row in values.tolist()])
    sns.heatmap(
        np.where(np.isfinite(colours), colours, np.nan), ax=axes, cmap="cividis", vmin=low, vmax=high, cbar=False,
        annot=texts, fmt="", annot_kws={"fontsize": TEXT - 1}, linewidths=1.5, linecolor="white",
        xticklabels=False, yticklabels=False,
    )  # fmt: skip
    for row, column in np.argwhere(~np.isfinite(colours)).tolist():
        axes.text(column + 0.5, row + 0.5, texts[row, column], ha="center", va="center", color=SOFT)


def _name_cells(axes: Axes, rows: list[str], columns: list[str], *, slanted: bool) -> None:
    turned: dict[str, Any] = {"rotation": 30, "ha": "right"} if slanted else {"rotation": 0}
    axes.set_xticks([i + 0.5 for i in range(len(columns))], columns, **turned)
    axes.set_yticks([i + 0.5 for i in range(len(rows))], rows, rotation=0, va="center")
    axes.tick_params(length=0)


def _name(heat: HeatMap) -> str:
    return ": ".join(text for text in (heat.title, heat.metric) if text)


def _alt(heat: HeatMap, caption: str) -> str:
    finite = [
        (value, row, column)
        for row, values in zip(heat.rows, heat.values, strict=True)
        for column, value in zip(heat.columns, values, strict=True)
        if math.isfinite(value)
    ]
    if not finite:
        return f"{_name(heat)}: no finished runs. {caption}".strip()
    low, high = min(finite), max(finite)
    return (
        f"{_name(heat)} by {heat.row_axis} and {heat.column_axis}, from {cell_text(low[0], heat.unit)}"
        f" at {low[1]}, {low[2]} to {cell_text(high[0], heat.unit)} at {high[1]}, {high[2]}. {caption}"
    ).strip()
