"""Kernel cases: which there are, which of them a name asks for, and what one is when it is built; without torch.

A case is registered under the kind ``kernel``; :mod:`d2lbench.timing.cases` says with what traits. Where one thing has
several implementations, ``implementations`` holds their options by name.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from d2lbench.core.errors import UsageError, nearest_name
from d2lbench.core.kinds import KernelTraits
from d2lbench.core.registry import REGISTRY, Entry, Registry
from d2lbench.grid.kernels import phases_of
from d2lbench.store.timings import PHASES, KernelKey, Phase, Setting

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Built:
    """One kernel case on a device in a dtype, ready to be called: what cases hand to the measurement.

    ``call`` takes ``inputs`` and returns one tensor, a scalar or not; of ``inputs`` and ``parameters`` those that
    require gradients are differentiated. ``reference`` is the same function by another route, from float64 copies of
    the inputs; ``tolerance`` bounds the largest error relative to the largest reference value. Where the
    reference follows the branches that ``call`` takes at kinks, ``unfollowed`` bounds the gradients of ``call`` in
    another form, compiled, whose branches nobody sees; at 0 nothing bounds them and they stay unproved. ``stepped``
    returns what a step like ``step`` leads to and what it should lead to, where other phases have the reference. All
    of them start from the same random state, so that a reference can draw what the call draws; ``random`` says that it
    does, and that a compiled call, which draws in its own way, cannot be compared. ``flops`` and
    ``bytes`` count, by phase, the operations done and the memory moved at least; a phase missing from ``flops`` is
    counted by torch where torch can, and refused where it cannot.
    """

    call: Callable[..., torch.Tensor]
    inputs: tuple[torch.Tensor, ...] = ()
    parameters: tuple[torch.Tensor, ...] = ()
    reference: Callable[..., torch.Tensor] | None = None
    tolerance: float = 1e-4
    unfollowed: float | None = None
    random: bool = False
    step: Callable[[], None] | None = None
    stepped: Callable[[], tuple[torch.Tensor, torch.Tensor]] | None = None
    flops: Mapping[str, float] = field(default_factory=dict)
    bytes: Mapping[str, float] = field(default_factory=dict)
    close: Callable[[], None] | None = None


@dataclass(frozen=True)
class Case:
    """One thing that is timed: a registered case at one size, in one implementation where it has several."""

    entry: Entry[KernelTraits]
    size: str
    options: Mapping[str, Any]
    implementation: str = ""

    def key(self, phase: Phase = "forward", setting: Setting | None = None) -> KernelKey:
        """Return what identifies the time of one of its phases in a setting."""
        return KernelKey(self.entry.name, self.implementation, self.size, phase, setting or Setting())

    @property
    def name(self) -> str:
        """``adam[fused]``: what is timed, whatever its size."""
        return self.key().case

    @property
    def identity(self) -> str:
        """``adam[fused]/small``: what `-k` is matched against and what the table shows."""
        return str(self.key())

    @property
    def group(self) -> str:
        """Under which heading it stands."""
        return self.entry.traits.group

    @property
    def reference_needed(self) -> bool:
        """Whether it is refused without a float64 reference."""
        return self.entry.traits.reference_needed

    @property
    def dtypes(self) -> tuple[str, ...]:
        """The dtypes that it exists in."""
        return self.entry.traits.dtypes

    @property
    def phases(self) -> tuple[Phase, ...]:
        """What is timed of it, in the order of work; ``whole`` goes with every ``backward``."""
        return tuple(phase for phase in PHASES if phase in phases_of(self.entry.traits))

    def build(self, device: str, dtype: torch.dtype) -> Built:
        """Return the case on a device in a dtype."""
        built = self.entry.factory(device, dtype, **self.entry.resolve(self.options))
        assert isinstance(built, Built)
        return built


def cases(registry: Registry = REGISTRY) -> tuple[Case, ...]:
    """Return every kernel case that is registered, in order of registration, size by size."""
    return tuple(
        Case(entry, size, {**options, **extra}, implementation)
        for entry in registry.entries(KernelTraits)
        for implementation, extra in (entry.traits.implementations or {"": {}}).items()
        for size, options in (entry.traits.sizes or {"default": {}}).items()
    )


def select(
    known: Iterable[Case], patterns: Iterable[str] = (), sizes: Iterable[str] = (), phases: Iterable[str] = ()
) -> tuple[Case, ...]:
    """Return the cases that some pattern (part of an identity or a group, or a glob), size and phase ask for.

    Nothing asked for means everything.

    Raises
    ------
    UsageError
        A pattern, a size or the phases match nothing; names what there is and the nearest name.
    """
    chosen = tuple(known)
    names = dict.fromkeys(name for case in chosen for name in (case.entry.name, case.group) if name)
    patterns, sizes, phases = tuple(patterns), tuple(sizes), tuple(phases)
    for pattern in patterns:
        if not any(_matches(case, pattern) for case in chosen):
            raise _unknown(pattern, names, flag="-k")
    for size in sizes:
        if size not in (there := dict.fromkeys(case.size for case in chosen)):
            raise _unknown(size, there, flag="--size")
    found = tuple(
        case
        for case in chosen
        if (not patterns or any(_matches(case, pattern) for pattern in patterns))
        and (not sizes or case.size in sizes)
        and (not phases or set(phases) & set(case.phases))
    )
    if not found:
        problem = "no kernel case has all that is asked for; `d2lbench time --list` shows sizes and phases of each"
        raise UsageError(problem)
    return found


def _matches(case: Case, pattern: str) -> bool:
    if any(sign in pattern for sign in "*?"):
        return any(fnmatch.fnmatchcase(name, pattern) for name in (case.identity, case.name, case.group))
    return pattern in case.identity or pattern in case.group


def _unknown(given: str, allowed: Iterable[str], *, flag: str) -> UsageError:
    near = nearest_name(given, allowed)
    hint = f'; did you mean "{near}"?' if near else ""
    return UsageError(f'{flag} "{given}": no kernel case matches; there are: {", ".join(allowed)}{hint}')
