"""What the arms of grids cost to train: each distinct program is timed once on a machine, within one small budget."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from d2lbench.catalogue.datasets.files import missing_data
from d2lbench.catalogue.models import model_of, shape_of, training_examples
from d2lbench.catalogue.shapes import multiplications
from d2lbench.core.environment import environment
from d2lbench.core.errors import TimingError
from d2lbench.core.interrupts import Stop
from d2lbench.core.progress import Progress
from d2lbench.core.spec import ENGINE_VERSION, Cell, Config
from d2lbench.core.version import __version__
from d2lbench.engine.plan import family_of, structure
from d2lbench.store import Timing, machine_key
from d2lbench.timing.clock import Budget
from d2lbench.timing.machine import identity
from d2lbench.timing.process import Tally

if TYPE_CHECKING:
    from collections.abc import Iterable
    from contextlib import AbstractContextManager

    from d2lbench.grid.model import Grid
    from d2lbench.store import Store
    from d2lbench.timing.process import Measurer

#: For everything that one run measures, in seconds, from when its process is ready: with its start, about 20.
BUDGET: Final = 17.0
#: No program gets more than this, in seconds, and none more than this share of what is left to each: some take longer
#: than they should, and without a reserve the last ones, which are the largest, would pay for it.
MOST_EACH, FAIR_SHARE = 1.0, 0.8


def cost_key(config: Config) -> str:
    """Return what two configurations share whose steps are one program on equally many examples.

    Numbers are data: rates, strengths, initial values, schedules, epochs and seeds make no other cost. So are the
    examples of a dataset, as long as they fill the batch.
    """
    dataset = config.dataset
    batch = min(config.batch_size, training_examples(dataset) or config.batch_size)
    program = [part for part in structure(config) if part != (dataset.name, dataset.options)]
    told = (__version__, ENGINE_VERSION, dataset.name, shape_of(dataset), batch, program, family_of(config.optimizer))
    return hashlib.sha256(repr(told).encode()).hexdigest()


def programs(grids: Iterable[Grid]) -> dict[str, Cell]:
    """Return a cell for every distinct program that the arms of some grids train, rungs included, the cheapest first.

    So what the small ones leave of their shares goes to the large ones.
    """
    found: dict[str, Cell] = {}
    for grid in grids:
        for arm in grid.chosen():
            for config in (arm.config, *(config for rung in arm.rungs for config in rung.configs)):
                if isinstance(config, Config):
                    found.setdefault(cost_key(config), Cell(config, grid.seeds[0]))
    return dict(sorted(found.items(), key=lambda item: _operations(item[1].config)))


def _operations(config: Any) -> int:
    return multiplications(model_of(config), shape_of(config.dataset)) * int(config.batch_size)


@dataclass
class Costed(Tally):
    """What became of the programs: known before, measured now, without time, or without a cost for a reason."""

    def lines(self) -> list[str]:
        """Return it in words; nothing where there was nothing to measure."""
        if not (self.measured or self.not_reached or self.failed):
            return []
        words = f"costs of distinct programs: {self.known:,} in the store already; timed now: {self.measured:,}"
        words += f"; not reached: {self.not_reached:,}, run again to go on" if self.not_reached else ""
        return [words, *self.reasons("not timed")]


@dataclass
class Costing:
    """Measures what the store lacks, each program for a fair share of ``budget`` seconds; never while training runs."""

    store: Store
    device: str = "cpu"
    budget: float = BUDGET
    quiet: bool = False
    now: Callable[[], float] = time.monotonic

    def run(self, grids: Sequence[Grid], measurer: Callable[[], AbstractContextManager[Measurer]]) -> Costed:
        """Measure every program of the grids that the store lacks for this machine, and store it.

        Raises
        ------
        KeyboardInterrupt
            Ctrl-C or SIGTERM: what was measured is stored.
        """
        place = (machine_key(identity(self.device)), environment(self.device).key)
        known = {each.key for each in self.store.timings("cost") if (each.machine, each.environment) == place}
        wanted = programs(grids)
        costed = Costed(known=len(known & wanted.keys()))
        missing = _with_data({name: cell for name, cell in wanted.items() if name not in known}, costed)
        if missing:
            rows: list[Timing] = []
            try:
                shown = Progress(len(missing), quiet=self.quiet, unit="costs")
                with shown as progress, Stop() as stop, measurer() as opened:
                    rows.append(Timing("machine", "", *place, opened.machine()))
                    for name, record in self._measure(opened, missing, costed, stop):
                        rows.append(Timing("cost", name, *place, record))
                        progress.advance(1, missing[name].config.model.name)  # type: ignore[union-attr]
            except TimingError as error:  # no process could be had at all
                costed.failed[str(error)] = len(missing)
            finally:
                if rows:
                    self.store.save_timings(rows)
        return costed

    def _measure(
        self, measurer: Measurer, missing: Mapping[str, Cell], costed: Costed, stop: Stop
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the cost of each program that time is left for."""
        time_left = Budget(self.budget, len(missing), self.now)
        for name, cell in missing.items():
            if stop.asked:
                raise KeyboardInterrupt
            if not time_left.left:
                costed.not_reached = time_left.things
                return
            try:
                record = measurer.measure(cell, min(MOST_EACH, FAIR_SHARE * time_left.share()))
            except TimingError as error:
                costed.fail(str(error))
            else:
                costed.measured += 1
                yield name, record


def _with_data(missing: Mapping[str, Cell], costed: Costed) -> dict[str, Cell]:
    """Return the cells whose data are there, and count the others with the reason."""
    absent = missing_data(missing.values())
    kept = {}
    for name, cell in missing.items():
        reason = absent.get(cell.config.dataset.name)  # type: ignore[union-attr]
        if reason is None:
            kept[name] = cell
        else:
            costed.fail(reason)
    return kept
