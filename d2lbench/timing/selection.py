"""Which kernel cases there are, and which of them a name asks for; read without importing torch.

A case is registered under the kind ``kernel``; :mod:`d2lbench.timing.cases` says with what traits. Where one thing has
several implementations, ``implementations`` holds their options by name.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from d2lbench.core.errors import UsageError, nearest_name
from d2lbench.core.kinds import KernelTraits
from d2lbench.core.registry import REGISTRY, Entry, Registry
from d2lbench.timing.built import PHASES, Phase


@dataclass(frozen=True)
class Case:
    """One thing that is timed: a registered case at one size, in one implementation where it has several."""

    entry: Entry[KernelTraits]
    size: str
    options: Mapping[str, Any]
    implementation: str = ""

    @property
    def name(self) -> str:
        """``adam[fused]``: what is timed, whatever its size."""
        return f"{self.entry.name}[{self.implementation}]" if self.implementation else self.entry.name

    @property
    def identity(self) -> str:
        """``adam[fused]/small``: what `-k` is matched against and what the table shows."""
        return f"{self.name}/{self.size}"

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
        declared = set(self.entry.traits.phases)
        declared |= {"whole"} if "backward" in declared else set()
        return tuple(phase for phase in PHASES if phase in declared)


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
