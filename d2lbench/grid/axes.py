"""Axes: what the tables ``product``, ``zip``, ``vary`` and ``space`` expand to, and how many, before anything does."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from d2lbench.core.errors import GridError
from d2lbench.grid.changes import flat
from d2lbench.grid.file.shape import NAMED_KEYS

#: Whether an option takes a list as one value: ``(kind, name or None, option)``.
IsSequence: TypeAlias = Callable[[str, str | None, str], bool]


@dataclass(frozen=True)
class Axis:
    """One key with the changes that its list stands for, still as they are written."""

    path: str
    raw: Any
    origin: str
    name: str | None
    is_sequence: IsSequence

    @property
    def kind(self) -> str:
        """The key of base."""
        return self.path.partition(".")[0]

    @property
    def replaces(self) -> bool:
        """Whether one of its values puts another component in place of the present one."""
        if self.path not in NAMED_KEYS:
            return False
        return any(not isinstance(item, Mapping) or "name" in item for item in self._items())

    def _items(self) -> list[Any]:
        """Return the elements of the list, lists inside their tables not yet expanded."""
        option = self.path.partition(".")[2]
        if option:
            return self._values(self.raw, self.name, option, self.origin)
        items = self.raw if isinstance(self.raw, list | tuple) else [self.raw]
        if not items:
            _refuse_empty(self.raw, self.origin)
        return list(items)

    def _values(self, raw: Any, name: str | None, option: str, key: str) -> list[Any]:
        """Return what a list under an option stands for; where lists are values, a list of lists is a list of them."""
        if not isinstance(raw, list | tuple):
            return [raw]
        if not raw:
            _refuse_empty(raw, key)
        if self.is_sequence(self.kind, name, option):
            return list(raw) if any(isinstance(item, list | tuple) for item in raw) else [raw]
        return list(raw)

    def _tables(self) -> Iterator[tuple[int, Any, dict[str, list[Any]]]]:
        for index, item in enumerate(self._items()):
            options: dict[str, list[Any]] = {}
            if self.path in NAMED_KEYS and isinstance(item, Mapping):
                name = item.get("name", self.name)
                for option, raw in item.items():
                    key = f"{self.origin}[{index}].{option}"
                    options[option] = [raw] if option == "name" else self._values(raw, name, option, key)
            yield index, item, options

    def count(self) -> int:
        """Return the number of its values, without making them."""
        return sum(math.prod(len(values) for values in options.values()) for _, _, options in self._tables())

    def __iter__(self) -> Iterator[tuple[Any, str]]:
        """Iterate over (value, origin)."""
        for index, item, options in self._tables():
            origin = f"{self.origin}[{index}]" if isinstance(self.raw, list | tuple) else self.origin
            if not options:
                yield item, origin
            else:
                for values in itertools.product(*options.values()):
                    yield dict(zip(options, values, strict=True)), origin


def _refuse_empty(raw: Any, key: str) -> None:
    problem = "is an empty axis"
    raise GridError(problem, key=key, given=raw, allowed="at least one value")


def axes(table: Mapping[str, Any], origin: str, names: Mapping[str, str], is_sequence: IsSequence) -> list[Axis]:
    """Return the axes of a table in its order; ``names`` are those of the baseline."""
    return [
        Axis(path, raw, place, names.get(path.partition(".")[0]), is_sequence)
        for path, raw, place in flat(table, origin)
    ]


def refuse_conflicts(contexts: list[Axis], varied: list[Axis]) -> None:
    """Refuse axes of which one would undo the other.

    Raises
    ------
    GridError
        A key stands both in the contexts and in ``vary``, or ``vary`` replaces a component whose option is a context.
    """
    seen: dict[str, Axis] = {}
    for axis in contexts:
        if axis.path in seen:
            _conflict(axis, seen[axis.path], "sets the same key")
        seen[axis.path] = axis
    for axis in varied:
        for other in contexts:
            if axis.path == other.path:
                _conflict(axis, other, "sets the same key")
            if axis.replaces and other.path.startswith(f"{axis.path}."):
                _conflict(axis, other, "replaces the component whose option is a context")


def _conflict(axis: Axis, other: Axis, what: str) -> None:
    problem = f"{what} as {other.origin}"
    if what.startswith("replaces"):
        problem = f"{what} in {other.origin}"
    raise GridError(problem, key=axis.origin, given=axis.raw, allowed="axes that leave each other alone")


def zipped(axes_: list[Axis]) -> int:
    """Return the common length of the axes of ``zip``; 0 where there are none.

    Raises
    ------
    GridError
        Their lengths differ.
    """
    lengths = {axis.origin: axis.count() for axis in axes_}
    if len(set(lengths.values())) > 1:
        problem = "the lists are of different lengths"
        given = {origin.partition(".")[2]: length for origin, length in lengths.items()}
        raise GridError(problem, key=axes_[0].origin.partition(".")[0], given=given, allowed="lists of one length")
    return next(iter(lengths.values()), 0)
