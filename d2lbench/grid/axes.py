"""Axes: what the tables ``product``, ``zip``, ``vary`` and ``space`` expand to, and how many, before anything does."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from d2lbench.core.errors import GridError, Mistakes, shown
from d2lbench.grid import changes
from d2lbench.grid.file.shape import NAMED_KEYS

if TYPE_CHECKING:
    from d2lbench.core.registry import Option
    from d2lbench.grid.file.shape import GridFile
    from d2lbench.grid.resolve import Draft, Resolver


@dataclass(frozen=True)
class Axis:
    """One key with the changes that its list stands for, still as they are written."""

    path: str
    raw: Any
    origin: str
    name: str | None
    resolver: Resolver = field(repr=False, compare=False)

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
        if option and isinstance(self.raw, Mapping):
            problem = "is a table, and an axis is a list of values"
            allowed = "[0.01, 0.1]; from a range { low, high, log } a [[tune]] with a budget draws"
            raise GridError(problem, key=self.origin, given=self.raw, allowed=allowed)
        if option:
            return self._values(self.raw, self.name, option, self.origin, is_axis=True)
        items = self.raw if isinstance(self.raw, list | tuple) else [self.raw]
        if not items:
            _refuse_empty(self.raw, self.origin)
        return list(items)

    def _values(self, raw: Any, name: object, option: str, key: str, *, is_axis: bool = False) -> list[Any]:
        """Return what a list under an option stands for; where lists are values, a list of lists is a list of them."""
        if not isinstance(raw, list | tuple):
            return [raw]
        if not raw:
            _refuse_empty(raw, key)
        known = self.resolver.option(self.kind, name, option)
        if known is None or not known.is_sequence or any(isinstance(item, list | tuple) for item in raw):
            return list(raw)
        if is_axis and len(raw) > 1:
            _refuse_ambiguous(raw, known, key)
        return [raw]

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

    def survey(self, draft: Draft, mistakes: Mistakes) -> None:
        """Note what is wrong with its values, each on its own and not each combination, as far as ``draft`` tells."""
        with mistakes:
            for index, item, options in self._tables():
                origin = f"{self.origin}[{index}]" if isinstance(self.raw, list | tuple) else self.origin
                name = item.get("name", self.name) if options else None
                for single in ({"name": name, key: each} for key in options for each in options[key]):
                    if single["name"] is not None:
                        with mistakes:
                            self.resolver.cast_options(self.kind, single, origin)
                if not options:
                    with mistakes:
                        changes.tried(draft, self.path, item, origin, self.resolver)


def _refuse_ambiguous(raw: Any, option: Option, key: str) -> None:
    """Refuse a plain list as the axis of an option that takes lists, where each item alone would be a value, too.

    ``model.hidden = [64, 256]`` is one network of two layers by the rule, and two networks to who wrote it for two
    arms. Both have a spelling of their own, and an arm that is silently missing costs more than two brackets.
    """
    mistakes = Mistakes()
    for item in raw:
        with mistakes:
            option.cast(item)
    if not mistakes:
        problem = f"is one arm of {len(raw)} layers, not {len(raw)} arms: say which with a list of lists"
        one, several = shown([raw]), shown([[item] for item in raw])
        raise GridError(problem, key=key, given=raw, allowed=f"{one} for one arm, {several} for {len(raw)}")


def _refuse_empty(raw: Any, key: str) -> None:
    problem = "is an empty axis"
    raise GridError(problem, key=key, given=raw, allowed="at least one value")


def axes(file: GridFile, kind: str, names: Mapping[str, str], resolver: Resolver) -> list[Axis]:
    """Return the axes of ``product``, ``zip`` or ``vary`` in the file's order; ``names`` are those of the baseline."""
    return [
        Axis(path, raw, place, names.get(path.partition(".")[0]), resolver)
        for path, raw, place in changes.flat(getattr(file, kind), file.origin(kind))
    ]


def refuse_conflicts(contexts: list[Axis], varied: list[Axis]) -> None:
    """Refuse axes of which one would undo the other.

    Raises
    ------
    GridError
        A key stands both in the contexts and in ``vary``, or ``vary`` replaces a component whose option is a context.
    """
    pairs = [*((axis, other) for axis in varied for other in contexts)]
    pairs += [(axis, other) for index, axis in enumerate(contexts) for other in contexts[:index]]
    for axis, other in pairs:
        problem = ""
        if axis.path == other.path:
            problem = f"sets the same key as {other.origin}"
        elif axis in varied and axis.replaces and other.path.startswith(f"{axis.path}."):
            problem = f"replaces the component whose option is a context in {other.origin}"
        if problem:
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
