"""Many cases in several settings within one budget, shared fairly: what is done early leaves its time to the rest."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from d2lbench.timing.built import PHASES, Phase
from d2lbench.timing.measure import Harness
from d2lbench.timing.result import Measurement, Setting

if TYPE_CHECKING:
    from d2lbench.timing.roofline import Ceilings
    from d2lbench.timing.selection import Case

#: Seconds for a phase of a case where there is no budget.
SECONDS_EACH = 2.0
#: Of a budget, at most this share and this long goes to the ceilings of a setting.
CEILING_SHARE, CEILING_SECONDS = 0.1, 5.0
SPENT = "the budget was spent"


@dataclass
class Campaign:
    """The measurements of cases in settings; ``budget`` in seconds, ceilings included, None for two a phase.

    ``stopped`` is asked before each case; what is then left is ``not reached``, as is what no time is left for.
    """

    cases: Sequence[Case]
    settings: Sequence[Setting]
    phases: Sequence[str] = PHASES
    budget: float | None = None
    stopped: Callable[[], bool] = lambda: False
    now: Callable[[], float] = time.monotonic
    harness: Callable[[Setting], Harness] = Harness
    ceilings: dict[str, Ceilings] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Count what there is to measure."""
        self.total = len(self.settings) * sum(len(self._asked(case)) for case in self.cases)

    def run(self) -> Iterator[Measurement]:
        """Yield a measurement for every phase of every case in every setting, whatever became of it."""
        budget = self.budget if self.budget is not None else SECONDS_EACH * self.total
        end, left = self.now() + budget, self.total
        for setting in self.settings:
            harness = self.harness(setting)
            seconds = min(CEILING_SHARE * budget / len(self.settings), CEILING_SECONDS)
            self.ceilings[setting.dtype] = harness.measure_ceilings(seconds)
            for case in self.cases:
                phases = self._asked(case)
                remaining = end - self.now()
                if self.stopped() or remaining <= 0:
                    reason = "interrupted" if self.stopped() else SPENT
                    yield from (_not_reached(case, phase, setting, reason) for phase in phases)
                else:
                    yield from harness.measure(case, phases, remaining * len(phases) / left)
                left -= len(phases)

    def _asked(self, case: Case) -> tuple[Phase, ...]:
        return tuple(phase for phase in case.phases if phase in self.phases)


def _not_reached(case: Case, phase: Phase, setting: Setting, reason: str) -> Measurement:
    return Measurement(case.name, case.group, case.size, phase, setting, "not reached", reason)
