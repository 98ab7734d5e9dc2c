"""Kernels as a grid names them: the options of a case, and beside them how it is measured.

A case is registered under the kind ``kernel`` (:mod:`d2lbench.timing.cases` says with what traits). A grid may set its
own options one by one, or all that a size or an implementation stands for, and says in which phase, dtype, number of
threads and state of the caches it is timed.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from annotated_types import Ge

from d2lbench.core.errors import GridError
from d2lbench.core.kinds import KernelTraits, MetricTraits, Options
from d2lbench.core.registry import REQUIRED, Entry, Option

if TYPE_CHECKING:
    from d2lbench.core.registry import Registry
    from d2lbench.core.spec import Component, Measurement

#: What ``size`` and ``implementation`` read where options of one's own differ from what they stand for.
OWN: Final = "own"
#: What is measured of a kernel in each round. Times differ by ratio, and 5 % is what matters of them.
METRICS: Final[Mapping[str, MetricTraits]] = {
    "time": MetricTraits(as_="ratio", margins={"quick": 0.0488, "full": 0.0488}, better="lower", unit="s"),
    "deviation": MetricTraits(better="lower"),
    "flops": MetricTraits(unit="FLOPs"),
    "peak_memory": MetricTraits(unit="bytes", better="lower"),
    "saved_bytes": MetricTraits(unit="bytes", better="lower"),
}
#: The phases in which a graph is built: of the others, nothing is kept for the pass back.
_WITH_GRAPH: Final = ("forward-train", "backward", "whole")
#: The phases that are a step, and not a pass that could be compiled.
_STEPS: Final = ("step",)


def with_settings(registry: Registry) -> Registry:
    """Return a registry whose kernels take how they are measured as options, too."""
    return registry.having("kernel", (measurable(entry) for entry in registry.entries(KernelTraits)))


def measurable(entry: Entry[KernelTraits]) -> Entry[KernelTraits]:
    """Return a case with the settings of its measurement among its options.

    ``size`` and ``implementation`` stand for options of the case and are no part of its identity beside them; a case
    that has an option of its own by one of these names keeps it. ``phase`` must be named where there are several.
    """
    added = {option.name: option for option in _settings(entry) if option.name not in entry.options}
    named = {name: choices for name, choices in _named(entry).items() if name in added}
    traits = replace(
        entry.traits,
        derived=(*entry.traits.derived, *named),
        check=check,
        normalise=functools.partial(_normalised, entry, named),
    )
    return replace(entry, options={**entry.options, **added}, traits=traits)


def _named(entry: Entry[KernelTraits]) -> dict[str, Mapping[str, Options]]:
    """Return the settings that stand for options of the case, each with its choices; none that has no choice."""
    named = {"size": entry.traits.sizes, "implementation": entry.traits.implementations}
    return {name: choices for name, choices in named.items() if choices}


def phases_of(traits: KernelTraits) -> tuple[str, ...]:
    """Return what can be timed of a case; ``whole`` goes with every ``backward``."""
    declared = traits.phases
    return (*declared, "whole") if "backward" in declared and "whole" not in declared else declared


def _settings(entry: Entry[KernelTraits]) -> list[Option]:
    found = [_choice(name, tuple(choices)) for name, choices in _named(entry).items()]
    phases = phases_of(entry.traits)
    found.append(replace(_choice("phase", phases), default=phases[0] if len(phases) == 1 else REQUIRED))
    found.append(_choice("dtype", entry.traits.dtypes))
    found.append(Option("threads", Annotated[int, Ge(1)], 1))
    found += [Option(name, bool, default=False) for name in ("cold", "compiled")]
    return found


def _choice(name: str, words: tuple[str, ...]) -> Option:
    """Return an option that takes one of some words, by default the first."""
    words = words or ("none",)
    return Option(name, Literal.__getitem__(words), words[0])


def _normalised(
    entry: Entry[KernelTraits], named: Mapping[str, Mapping[str, Options]], given: Options, options: dict[str, Any]
) -> dict[str, Any]:
    """Return all options with those that the size and the implementation stand for, unless they are given themselves.

    A size is called ``own`` where one of its options is not what it stands for; so is an implementation.
    """
    meant = {
        setting: {name: entry.options[name].cast(value) for name, value in choices[options[setting]].items()}
        for setting, choices in named.items()
    }
    own = {name: value for name, value in given.items() if name in entry.options}
    settled = {**options, **{name: value for each in meant.values() for name, value in each.items()}, **own}
    told = {
        setting: options[setting] if all(settled[name] == value for name, value in each.items()) else OWN
        for setting, each in meant.items()
    }
    return {**settled, **told}


def check(config: Measurement) -> None:
    """Refuse settings that exclude each other.

    Raises
    ------
    GridError
        A step is to be compiled, or what is compiled is to be called on many sets of tensors.
    """
    kernel = config.experiment
    if not kernel.get("compiled"):
        return
    if kernel.get("phase") in _STEPS:
        problem = "a step is not compiled"
        raise GridError(problem, key="kernel.compiled", given=True, allowed="false, or another phase")
    if kernel.get("cold"):
        problem = "does not go with cold: each of many sets of tensors would be compiled anew"
        raise GridError(problem, key="kernel.compiled", given=True, allowed="one of the two")


def metrics_of(kernel: Component) -> dict[str, MetricTraits]:
    """Return what can be measured of a kernel in its phase; without a graph nothing is kept for the pass back."""
    graph = kernel.get("phase") in _WITH_GRAPH
    return {name: traits for name, traits in METRICS.items() if graph or name != "saved_bytes"}
