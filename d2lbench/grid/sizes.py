"""The size of a grid as a product, from the lengths of its lists alone."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from d2lbench.grid import axes, changes
from d2lbench.grid.file.shape import MEASURED_KEYS, NAMED_KEYS, axes_table
from d2lbench.grid.model import Factor, Size
from d2lbench.grid.tune import entry, refuse_unequal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from d2lbench.grid.arms import Arm
    from d2lbench.grid.file.shape import GridFile
    from d2lbench.grid.resolve import Resolver


def size(file: GridFile, resolver: Resolver, seeds: int) -> Size:
    """Return the size of a grid at so many seeds, before anything is expanded.

    Raises
    ------
    GridError
        An axis is empty, or lists that go together are of different lengths.
    """
    draft = changes.base_draft(file.base, file.changes, resolver) if file.base or file.changes else {}
    names = {key: written.value["name"] for key, written in draft.items() if key in NAMED_KEYS}
    entries = [entry(text, names, resolver) for text in file.tune]
    refuse_unequal(entries)
    factors = []
    if entries:
        tuned = dict.fromkeys(path for text in file.tune for path in _paths(text.space))
        factors.append(Factor(entries[0].count(), " & ".join(tuned)))
    product, zipped, varied = (
        axes.axes(getattr(file, kind), file.origin(kind), names, resolver.is_sequence)
        for kind in ("product", "zip", "vary")
    )
    factors += [Factor(axis.count(), axis.path) for axis in product]
    if zipped:
        factors.append(Factor(axes.zipped(zipped), " & ".join(axis.path for axis in zipped)))
    factors += [Factor(axis.count(), axis.path, plus_one=True) for axis in varied]
    factors.append(Factor(seeds, "round" if "kernel" in draft else "seed"))
    exact = not file.exclude and not any(text.match is not None for text in file.tune)
    trains = bool(draft) and not any(key in draft for key in MEASURED_KEYS)
    kinds = (3 if entries else 2) if trains and file.checks else 0
    return Size(tuple(factors), kinds * seeds, exact)


def counted(size: Size, arms: tuple[Arm, ...], checked: int, seeds: int) -> Size:
    """Return the size with what exclusions and matches have left of the product."""
    cells = sum(len(arm.rungs) or 1 for arm in arms) * seeds
    return replace(size, checks=checked * seeds, counted=cells)


def _paths(space: Mapping[str, Any]) -> Iterator[str]:
    for path, _, _ in changes.flat(axes_table(space, ""), ""):
        yield path
