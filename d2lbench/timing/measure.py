"""Measuring cases: build, check, count, then time phase by phase within a share of the time that is left."""

from __future__ import annotations

import importlib
import math
import time
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import torch

from d2lbench.core.errors import CannotError, TimingError, reason_of
from d2lbench.engine.process import prepare_process
from d2lbench.store.timings import PHASES, Phase, Setting
from d2lbench.timing.clock import Budget, Clock, clock_of, wall_clock_of
from d2lbench.timing.correctness import check
from d2lbench.timing.counting import footprint, peak_memory, phase_memory, work
from d2lbench.timing.machine import last_level_cache
from d2lbench.timing.phases import Prepared, compiled, prepare
from d2lbench.timing.result import Measurement, Status
from d2lbench.timing.roofline import Ceilings, measure_ceilings, place
from d2lbench.timing.windows import RULES, Rule, Samples, collect, undisturbed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from d2lbench.timing.kernels import Built, Case

#: A cold case is called on so many sets of tensors in turn that together they fill the last cache this often …
CACHES_FILLED = 2
#: … but not on more sets than this: what needs more is smaller than a page or two and is never cold.
MOST_SETS = 2048
#: On a GPU this share of a phase's time goes to the wall clock, which needs fewer windows and is less precise.
WALL_SHARE, WALL_RULE = 0.2, Rule(0.05, least=10)
#: Phases whose peak of memory is told: a prediction's, and that of training.
REMEMBERED: tuple[Phase, ...] = ("forward", "whole")
#: Seconds for a phase of a case where there is no budget.
SECONDS_EACH = 2.0
#: Of a budget, at most this share and this long goes to the ceilings of a setting.
CEILING_SHARE, CEILING_SECONDS = 0.1, 5.0


def _load_compiler() -> None:
    """Load what counting loads at its first use: it takes seconds, which are nobody's budget."""
    importlib.import_module("torch._dynamo")


@dataclass
class Harness:
    """Measures cases in one setting; ``clock``, ``now`` and ``cache`` (bytes) are the machine's unless they are given.

    ``ceilings`` are given, or measured by :meth:`measure_ceilings`; without them times have no place below a ceiling.
    """

    setting: Setting
    ceilings: Ceilings | None = None
    clock: Clock | None = None
    now: Callable[[], float] = time.monotonic
    cache: int = 0

    def __post_init__(self) -> None:
        """Set threads, subnormals and precision of this process, equally for all that is measured in it."""
        prepare_process(self.setting.threads)
        _load_compiler()
        self.cache = self.cache or last_level_cache(self.setting.device)
        self._clock: Clock = self.clock or clock_of(self.setting.device)
        self._wall = wall_clock_of("cuda") if self.setting.device == "cuda" else None
        self.dtype: torch.dtype = getattr(torch, self.setting.dtype)

    def measure_ceilings(self, seconds: float) -> Ceilings:
        """Measure the ceilings of this setting within about ``seconds``, and keep them."""
        device, clock = self.setting.device, self._clock
        peak_memory(lambda: None, device)  # what records it loads at its first use, for a second: nobody's budget
        self.ceilings = measure_ceilings(device, self.dtype, clock, cache=self.cache, seconds=seconds)
        return self.ceilings

    def measure(self, case: Case, phases: Sequence[str], budget: float) -> Iterator[Measurement]:
        """Yield a measurement per phase; all of them together take about ``budget`` seconds, building included.

        What is wrong or broken is a measurement with its reason: one case never ends the others.
        """
        asked = tuple(phase for phase in case.phases if phase in phases)
        time_left = Budget(budget, len(asked), self.now)
        with ExitStack() as closing:
            try:
                instances, call, proved = self._checked(case, asked, closing)
            except Exception as error:  # noqa: BLE001  (whatever a case raises is what became of it)
                yield from (_without(case, phase, self.setting, error) for phase in asked)
                return
            for phase in asked:
                deadline = self.now() + time_left.share()
                try:
                    yield replace(self._timed(case, phase, instances, call, deadline), checked=phase in proved)
                except Exception as error:  # noqa: BLE001  (the same)
                    yield _without(case, phase, self.setting, error)

    def _checked(
        self, case: Case, asked: Sequence[Phase], closing: ExitStack
    ) -> tuple[list[Built], Callable[..., torch.Tensor] | None, tuple[Phase, ...]]:
        """Return the case built as often as the kind of cache asks for, its compiled call, and the proved phases."""
        if self.setting.dtype not in case.dtypes:
            problem = f"it exists in {', '.join(case.dtypes)} only"
            raise CannotError(problem)
        first = self._built(case, closing)
        call = compiled(first.call) if self.setting.compiled else None
        proved = check(first, first.call if call is None else call, asked, case.phases, needed=case.reference_needed)
        sets = self._sets(first) if self.setting.cold else 1
        return [first, *(self._built(case, closing) for _ in range(sets - 1))], call, proved

    def _built(self, case: Case, closing: ExitStack) -> Built:
        built = case.build(self.setting.device, self.dtype)
        if built.close is not None:
            closing.callback(built.close)
        return built

    def _sets(self, built: Built) -> int:
        """Return how many sets of tensors together are larger than the last cache."""
        each = footprint(built)
        sets = math.ceil(CACHES_FILLED * self.cache / each) if each else MOST_SETS + 1
        if sets > MOST_SETS:
            problem = f"it cannot be cold: its tensors have {each:,} bytes, and the last cache holds {self.cache:,}"
            raise CannotError(problem)
        return max(sets, 2)

    def _timed(
        self,
        case: Case,
        phase: Phase,
        instances: Sequence[Built],
        call: Callable[..., torch.Tensor] | None,
        deadline: float,
    ) -> Measurement:
        if self.setting.compiled and phase == "step":
            problem = "a step is not compiled"
            raise CannotError(problem)
        done = work(instances[0], phase)
        if self.setting.compiled:  # at best the compiler makes one kernel of it
            done = replace(done, launches=1)
        prepared = prepare(instances, phase, call)
        wall = None
        if self._wall is not None:
            until = self.now() + WALL_SHARE * max(0.0, deadline - self.now())
            wall = self._collected(prepared, self._wall, WALL_RULE, until)
        samples = self._collected(prepared, self._clock, RULES[self.setting.device], deadline)
        median, cold = samples.summary.median, self.setting.cold
        return Measurement(
            case.key(phase, self.setting),
            case.group,
            samples.status,
            samples=samples,
            wall=wall,
            work=done,
            place=place(done, median, self.ceilings, cold=cold) if self.ceilings else None,
            peak_memory=phase_memory(prepared, self.setting.device) if phase in REMEMBERED else None,
        )

    def _collected(self, prepared: Prepared, clock: Clock, rule: Rule, deadline: float) -> Samples:
        with torch.set_grad_enabled(prepared.records), undisturbed():
            return collect(prepared.call, clock, rule, deadline, self.now)


def _without(case: Case, phase: Phase, setting: Setting, error: Exception) -> Measurement:
    """Return the measurement of what has no number, with the reason."""
    status: Status = "failed"
    if isinstance(error, TimingError):
        status = "skipped" if isinstance(error, CannotError) else "refused"
    return Measurement(case.key(phase, setting), case.group, status, reason_of(error))


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
        _load_compiler()
        budget = self.budget if self.budget is not None else SECONDS_EACH * self.total
        time_left = Budget(budget, self.total, self.now)
        for setting in self.settings:
            harness = self.harness(setting)
            seconds = min(CEILING_SHARE * budget / len(self.settings), CEILING_SECONDS)
            self.ceilings[setting.dtype] = harness.measure_ceilings(seconds)
            for case in self.cases:
                phases = self._asked(case)
                share = time_left.share(len(phases))
                stopped = self.stopped()
                if stopped or not share:
                    why = "interrupted" if stopped else "the budget was spent"
                    keys = (case.key(phase, setting) for phase in phases)
                    yield from (Measurement(key, case.group, "not reached", why) for key in keys)
                else:
                    yield from harness.measure(case, phases, share)

    def _asked(self, case: Case) -> tuple[Phase, ...]:
        return tuple(phase for phase in case.phases if phase in self.phases)
