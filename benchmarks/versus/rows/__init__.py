"""Every row of the comparison, by name, in the order of the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.versus.rows import convolutions, digits, fashion, limits, synthetic

if TYPE_CHECKING:
    from benchmarks.versus.row import Row

ROWS: dict[str, Row] = {
    row.name: row for part in (fashion, synthetic, digits, convolutions, limits) for row in part.ROWS
}
