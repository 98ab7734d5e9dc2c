"""Measuring cases: build, check, count, then time phase by phase within a share of the time that is left."""

from __future__ import annotations

import importlib
import math
import time
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import torch

from d2lbench.core.errors import TimingError
from d2lbench.engine.process import prepare_process
from d2lbench.timing.built import PHASES, Built, Phase
from d2lbench.timing.ceilings import measure_ceilings
from d2lbench.timing.clock import Clock, EndToEndClock, clock_of
from d2lbench.timing.correctness import check
from d2lbench.timing.counting import footprint, work
from d2lbench.timing.machine import last_level_cache
from d2lbench.timing.memory import peak_memory
from d2lbench.timing.phases import Prepared, compiled, prepare
from d2lbench.timing.result import Measurement, Setting, Status
from d2lbench.timing.roofline import Ceilings, place
from d2lbench.timing.stopping import RULES, Rule
from d2lbench.timing.windows import Samples, collect, undisturbed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from d2lbench.timing.roofline import Ceilings
    from d2lbench.timing.selection import Case

#: A cold case is called on so many sets of tensors in turn that together they fill the last cache this often …
CACHES_FILLED = 2
#: … but not on more sets than this: what needs more is smaller than a page or two and is never cold.
MOST_SETS = 2048
#: On a GPU this share of a phase's time goes to the wall clock, which needs fewer windows and is less precise.
WALL_SHARE, WALL_RULE = 0.2, Rule(0.05, least=10)
#: Phases whose peak of memory is told: a prediction's, and that of training.
REMEMBERED: tuple[Phase, ...] = ("forward", "whole")


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
        importlib.import_module("torch._dynamo")  # counting loads it at its first use, for seconds: nobody's budget
        self.cache = self.cache or last_level_cache(self.setting.device)
        self._clock: Clock = self.clock or clock_of(self.setting.device)
        self._wall: Clock | None = None
        if self.setting.device == "cuda":
            from d2lbench.timing.cuda import CudaDevice

            self._wall = EndToEndClock(CudaDevice())

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the inputs."""
        found = getattr(torch, self.setting.dtype)
        assert isinstance(found, torch.dtype)
        return found

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
        end = self.now() + budget
        if self.setting.dtype not in case.dtypes:
            error = CannotError(f"it exists in {', '.join(case.dtypes)} only")
            yield from (_without(case, phase, self.setting, error) for phase in asked)
            return
        with ExitStack() as closing:
            try:
                instances, proved = self._checked(case, asked, closing)
            except Exception as error:  # noqa: BLE001  (whatever a case raises is what became of it)
                yield from (_without(case, phase, self.setting, error) for phase in asked)
                return
            for number, phase in enumerate(asked):
                deadline = self._after(1 / (len(asked) - number), end)
                try:
                    yield replace(self._timed(case, phase, instances, deadline), checked=phase in proved)
                except Exception as error:  # noqa: BLE001  (the same)
                    yield _without(case, phase, self.setting, error)

    def _checked(self, case: Case, asked: Sequence[Phase], closing: ExitStack) -> tuple[_Instances, tuple[Phase, ...]]:
        """Return the case built as often as the kind of cache asks for, and the phases that its reference proves."""
        first = self._built(case, closing)
        call = compiled(first.call) if self.setting.compiled else first.call
        proved = check(first, call, asked, case.phases, needed=case.reference_needed)
        sets = self._sets(first) if self.setting.cold else 1
        return _Instances([first, *(self._built(case, closing) for _ in range(sets - 1))], call), proved

    def _built(self, case: Case, closing: ExitStack) -> Built:
        built = case.entry.factory(self.setting.device, self.dtype, **case.entry.resolve(case.options))
        assert isinstance(built, Built)
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

    def _timed(self, case: Case, phase: Phase, instances: _Instances, deadline: float) -> Measurement:
        if self.setting.compiled and phase == "step":
            problem = "a step is not compiled"
            raise CannotError(problem)
        done = work(instances.built[0], phase)
        if self.setting.compiled:  # at best the compiler makes one kernel of it
            done = replace(done, launches=1)
        prepared = instances.prepared(phase, own=not self.setting.compiled)
        wall = None
        if self._wall is not None:
            wall = self._collected(prepared, self._wall, WALL_RULE, self._after(WALL_SHARE, deadline))
        samples = self._collected(prepared, self._clock, RULES[self.setting.device], deadline)
        summary = samples.summary
        where = place(done, summary.median, self.ceilings, cold=self.setting.cold) if self.ceilings else None
        return Measurement(
            *(case.name, case.group, case.size, phase, self.setting),
            status=samples.reason,
            calls=samples.calls,
            seconds=samples.seconds,
            summary=summary,
            host_bound=self.setting.device != "cpu" and samples.host_bound,
            end_to_end=wall.summary if wall else None,
            work=done,
            place=where,
            peak_memory=self._peak_memory(phase, prepared),
        )

    def _collected(self, prepared: Prepared, clock: Clock, rule: Rule, deadline: float) -> Samples:
        with torch.set_grad_enabled(prepared.records), undisturbed():
            return collect(prepared.call, clock, rule, deadline, self.now)

    def _peak_memory(self, phase: Phase, prepared: Prepared) -> int | None:
        if phase not in REMEMBERED:
            return None
        with torch.set_grad_enabled(prepared.records):
            return peak_memory(prepared.call, self.setting.device)

    def _after(self, share: float, end: float) -> float:
        """Return the moment at which ``share`` of the time until ``end`` has passed."""
        now = self.now()
        return now + share * max(0.0, end - now)


@dataclass(frozen=True)
class _Instances:
    """A case, built once or as often as makes it cold, and what is called of the first one."""

    built: list[Built]
    call: Callable[..., torch.Tensor]

    def prepared(self, phase: Phase, *, own: bool) -> Prepared:
        """Return a phase of all instances in turn; of the first in its compiled form where not its own is asked for."""
        return prepare(self.built, phase) if own else prepare(self.built[:1], phase, self.call)


class CannotError(TimingError):
    """A case cannot be measured in this setting; nothing is wrong with it."""


def _without(case: Case, phase: Phase, setting: Setting, error: Exception) -> Measurement:
    """Return the measurement of what has no number, with the reason."""
    status: Status = "failed"
    reason = f"{type(error).__name__}: {error}".partition("\n")[0]
    if isinstance(error, TimingError):
        status, reason = ("skipped" if isinstance(error, CannotError) else "refused"), str(error)
    return Measurement(case.name, case.group, case.size, phase, setting, status, reason)


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
