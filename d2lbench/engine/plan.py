"""Which cells train together: those of one structure, chunked into stacks. A pure function; never imports torch.

Structure is what decides the program: shapes, layers, loss, which penalties exist, batch size, dtype. Everything
else is a number in a row of that program: rates, strengths, initial values, schedules, epochs, even the optimizer.
"""

from __future__ import annotations

import functools
import itertools
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from d2lbench.catalogue import load
from d2lbench.catalogue.layers import Conv, walk
from d2lbench.catalogue.models import model_of
from d2lbench.catalogue.optimizers import Unstacked
from d2lbench.catalogue.shapes import parameter_count
from d2lbench.core.kinds import ModelTraits, OptimizerTraits
from d2lbench.core.spec import Cell, Component, Config, Measurement, digest
from d2lbench.engine.calibration import Calibration, uncalibrated

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence

#: Named among a stack's optional series, it keeps the cells' final weights.
WEIGHTS: Final = "weights"
#: Experiments cost no shared program; a few share a stack so that the store is not written to for each alone.
MEASUREMENTS: Final = 8
#: A model of so few parameters costs next to nothing but its launches: many of them share a step on a CPU.
TINY: Final = 2048
#: Stacks that take less than this many seconds are never cut to end sooner; cutting has to save this share of the time.
LONG, GAIN = 0.25, 0.95

#: What two cells must share to be rows of one program.
Structure: TypeAlias = "tuple[Hashable, ...]"
Groups: TypeAlias = "dict[Structure, list[Cell]]"


@dataclass(frozen=True)
class Stack:
    """Cells of one structure, in the order of the rows of the tensor program that trains them."""

    cells: tuple[Cell, ...]
    series: frozenset[str] = field(default_factory=frozenset)

    @property
    def key(self) -> str:
        """The stack's identity: a digest over the identities of its cells, in order."""
        return digest({"cells": [cell.id for cell in self.cells]})

    def __len__(self) -> int:
        """Return the width M."""
        return len(self.cells)


def regularization_of(config: Config) -> dict[str, Any]:
    """Return which of the engine's numbers the regularizer sets: ``l1``, ``l2``, ``decay``, ``bias``, ``dropout``."""
    entry = load().get("regularizer", config.regularizer.name)
    numbers: dict[str, Any] = entry.factory(**dict(config.regularizer.options))
    return numbers


def family_of(optimizer: Component) -> tuple[Hashable, ...]:
    """Return what decides an optimizer's arithmetic: its name and the options that are not real numbers."""
    entry = load().get(OptimizerTraits, optimizer.name)
    options = dict(optimizer.options)
    if entry.traits.family is not None:
        return (optimizer.name, *entry.traits.family(options))
    real = {name for name, value in options.items() if isinstance(value, float | tuple) or entry.options[name].is_float}
    return (optimizer.name, *(value for name, value in options.items() if name not in real))


@functools.lru_cache(maxsize=4096)
def structure(config: Config | Measurement) -> Structure:
    """Return what two cells must share to be rows of one program."""
    if isinstance(config, Measurement):
        return ("experiment", config.experiment.name)
    numbers = regularization_of(config)
    return (
        "training",
        (config.dataset.name, config.dataset.options),
        model_of(config),
        (config.loss.name, config.loss.options),
        config.dtype,
        config.batch_size,
        tuple(sorted(name for name in numbers if name != "bias")),
        bool(numbers.get("bias", False)),
        config.clip_norm is not None,
        family_of(config.optimizer) if is_unstacked(config) else (),
    )


@functools.cache
def _borrows(optimizer: str) -> bool:
    """Whether an optimizer is torch's own object, which knows no stacks."""
    return isinstance(load().get("optimizer", optimizer).factory(), Unstacked)


def is_unstacked(config: Config) -> bool:
    """Whether a cell has to train alone: its optimizer or its model knows no stacks."""
    stackable = load().get(ModelTraits, config.model.name).traits.stackable
    return not stackable or _borrows(config.optimizer.name)


def default_width(config: Config | Measurement, device: str = "cpu") -> int:
    """Return how many rows of a structure train fastest together.

    A small model's step is mostly the fixed cost of its operations, which a stack shares; a large model's is
    arithmetic, and a wide stack of it only leaves the cache. Measured on one core, a step of one cell takes, with
    two hidden layers of 64 and a batch of 32: 134 µs alone, 36 at 12, 25 at 24, 21 from 50 on; of 128: 76 at 10, 70 at
    20, 79 at 60; with 256 hidden units on 784 inputs and a batch of 256: 1.36 ms alone, 1.27 at 2, 1.43 at 4.
    """
    if isinstance(config, Measurement):
        return MEASUREMENTS
    if is_unstacked(config):
        return 1
    model = model_of(config)
    parameters = parameter_count(model)
    if device == "cpu" and any(isinstance(layer, Conv) for layer in walk(model)):
        return 1  # on a CPU a grouped convolution is slower than one cell after the other
    if device != "cpu":
        return max(1, min(512, 2**26 // parameters))
    return max(1, min(50 if parameters > TINY else 256, 2**19 // parameters))


def plan(
    cells: Iterable[Cell],
    *,
    series: frozenset[str] = frozenset(),
    width: int | None = None,
    device: str = "cpu",
    calibration: Calibration | None = None,
) -> tuple[Stack, ...]:
    """Group cells into stacks: each cell once, one structure to a stack, sizes of a structure at most one apart.

    Structures come in order of first appearance. ``width`` replaces the width of every structure that trains; else it
    is the calibrated one, or the default where a structure has not been measured, and narrower where one long stack
    would keep a process busy after all others are done. The number of worker processes asked for never counts.
    """
    groups = grouped(cells)
    if width is None:
        counts = _shared_out(groups, calibration or uncalibrated(device), device)
    else:
        counts = {key: math.ceil(len(group) / _asked_width(group[0].config, width)) for key, group in groups.items()}
    stacks: list[Stack] = []
    for key, group in groups.items():
        cuts = [chunk * len(group) // counts[key] for chunk in range(counts[key] + 1)]  # chunks at most one apart
        stacks += [Stack(tuple(group[first:end]), series) for first, end in itertools.pairwise(cuts)]
    return tuple(stacks)


def grouped(cells: Iterable[Cell]) -> Groups:
    """Return the distinct cells by structure, in the order of the rows."""
    unique = {cell.id: cell for cell in cells}
    groups: Groups = {}
    for cell in unique.values():
        groups.setdefault(structure(cell.config), []).append(cell)
    return {key: sorted(group, key=_row_order) for key, group in groups.items()}


def _asked_width(config: Config | Measurement, width: int) -> int:
    alone = isinstance(config, Measurement) or is_unstacked(config)
    return default_width(config) if alone else width


def _default_count(key: Structure, group: Sequence[Cell], known: Calibration, device: str) -> int:
    """Return in how many stacks a structure trains in the least time: several are as many for every process."""
    gauge = None if isinstance(group[0].config, Measurement) else known.gauge_of(key)
    count = math.ceil(len(group) / (gauge.width if gauge else default_width(group[0].config, device)))
    return count if count == 1 else min(len(group), math.ceil(count / known.processes) * known.processes)


def _shared_out(groups: Groups, known: Calibration, device: str) -> dict[Structure, int]:
    """Return in how many stacks each structure is cut so that the whole plan ends soonest on all processes together.

    A plan takes at least its longest stack, and at least all of its work shared out evenly: so the longest stacks are
    cut further as long as that ends it sooner.
    """

    def length(key: Structure, count: int) -> float:
        """Return the seconds of the longest of ``count`` stacks."""
        return known.seconds(groups[key][: math.ceil(len(groups[key]) / count)], key)

    counts = {key: _default_count(key, group, known, device) for key, group in groups.items()}
    lengths = {key: length(key, counts[key]) for key in groups}
    while lengths:
        work = sum(counts[key] * lengths[key] for key in groups) / known.processes
        longest = max(lengths, key=lambda key: lengths[key])
        if lengths[longest] <= max(work, LONG) or counts[longest] == len(groups[longest]):
            break
        more = counts[longest] + 1
        shorter = length(longest, more)
        whole = work + (more * shorter - counts[longest] * lengths[longest]) / known.processes
        if max(whole, shorter) > GAIN * lengths[longest]:
            break
        counts[longest], lengths[longest] = more, shorter
    return counts


def _row_order(cell: Cell) -> tuple[Any, ...]:
    """Return the sort key of the rows: families contiguous, equal ends together, one seed's cells neighbours."""
    config = cell.config
    if isinstance(config, Measurement):
        return (config.experiment.name, cell.seed, config.replica, cell.id)
    family = tuple(map(str, family_of(config.optimizer)))
    return (family, config.epochs, config.eval_every, config.eval_train_every or 0, cell.seed, config.replica, cell.id)
