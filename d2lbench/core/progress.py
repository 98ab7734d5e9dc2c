"""Progress of a run: a bar on a terminal, a plain line every half minute elsewhere."""

from __future__ import annotations

import shutil
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing import Self

PLAIN_SECONDS = 30.0


class Progress:
    """Counts cells, or what ``unit`` names; shows how many are done, the rate and the time left on standard error."""

    def __init__(
        self, total: int, *, quiet: bool = False, interval: float = PLAIN_SECONDS, unit: str = "cells"
    ) -> None:
        self.total, self.done, self._unit = total, 0, unit
        self._interval = interval
        self._quiet = quiet or total == 0
        self._began = self._told = time.monotonic()
        self._bar: Any = None
        if sys.stderr.isatty() and not self._quiet:
            from tqdm import tqdm

            columns, rows = shutil.get_terminal_size()  # 80 by 24 where a terminal does not say
            size = {"ncols": columns, "nrows": rows}
            self._bar = tqdm(total=total, unit=f" {unit}", desc="starting", file=sys.stderr, **size)

    def __enter__(self) -> Self:
        """Show the bar until the block ends."""
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the bar as it stands."""
        if self._bar is not None:
            self._bar.close()

    def advance(self, cells: int, grid: str) -> None:
        """Say that cells of a grid are done."""
        self.done += cells
        if self._bar is not None:
            self._bar.set_description_str(grid, refresh=False)
            self._bar.update(cells)
        elif not self._quiet and time.monotonic() - self._told >= self._interval:
            self._told = time.monotonic()
            sys.stderr.write(self.line(grid) + "\n")
            sys.stderr.flush()

    def tell(self, note: str) -> None:
        """Write a line that a bar does not run through."""
        if self._bar is not None:
            self._bar.clear()
        sys.stderr.write(f"d2lbench: {note}\n")
        sys.stderr.flush()

    def line(self, grid: str) -> str:
        """Return where the run stands, in words."""
        spent = max(time.monotonic() - self._began, 1e-9)
        rate = self.done / spent
        left = _clock((self.total - self.done) / rate) if self.done else "unknown time"
        return f"{grid}: {self.done:,} of {self.total:,} {self._unit}, {rate:.3g} a second, {left} left"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
