"""Expansion: contexts × (the baseline + one change at a time), minus what is excluded, plus what ``when`` sets."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from d2lbench.core.errors import GridError, Mistakes
from d2lbench.core.spec import Component, digest, spelled
from d2lbench.grid import axes, changes, selectors, tune
from d2lbench.grid.arms import Arm, Setting
from d2lbench.grid.file.shape import MEASURED_KEYS, NAMED_KEYS
from d2lbench.grid.model import Axis, Factor, Size
from d2lbench.grid.resolve import as_value, frozen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from d2lbench.grid.axes import Axis as RawAxis
    from d2lbench.grid.file.shape import GridFile
    from d2lbench.grid.resolve import Draft, Resolver


@dataclass(frozen=True)
class Context:
    """One point of ``product`` and ``zip``: its settings, what the baseline is there, and its arms."""

    settings: tuple[Setting, ...]
    view: Mapping[str, Any]
    arms: tuple[Arm, ...]


class Plan:
    """A grid file's baseline and axes at one scale, before anything is expanded: in time and memory of the file."""

    def __init__(self, file: GridFile, resolver: Resolver) -> None:
        self.file, self.resolver = file, resolver
        mistakes = Mistakes()
        self.base = changes.base_draft(file.base, file.changes, resolver, mistakes)
        mistakes.refuse()
        self.names = {key: written.value["name"] for key, written in self.base.items() if key in NAMED_KEYS}
        self.product, self.zip, self.vary = (
            axes.axes(file, kind, self.names, resolver) for kind in ("product", "zip", "vary")
        )
        self.tuned = tune.entries(file, self.names, resolver, mistakes)
        mistakes.refuse()
        axes.refuse_conflicts([*self.product, *self.zip], self.vary)
        self._zipped = axes.zipped(self.zip)

    def size(self, seeds: int) -> Size:
        """Return the size of the grid at so many seeds, from the lengths of its lists alone.

        Raises
        ------
        GridError
            An axis is empty, or lists that go together are of different lengths.
        """
        factors = []
        if self.tuned:
            paths = (path for text in self.file.tune for path, _, _ in changes.flat(text.space, ""))
            factors.append(Factor(self.tuned[0].count(), " & ".join(dict.fromkeys(paths))))
        factors += [Factor(axis.count(), axis.path) for axis in self.product]
        if self.zip:
            factors.append(Factor(self._zipped, " & ".join(axis.path for axis in self.zip)))
        factors += [Factor(axis.count(), axis.path, plus_one=True) for axis in self.vary]
        factors.append(Factor(seeds, "round" if "kernel" in self.base else "seed"))
        exact = not self.file.exclude and not any(text.match is not None for text in self.file.tune)
        trains = not any(key in self.base for key in MEASURED_KEYS)
        kinds = (3 if self.tuned else 2) if trains and self.file.checks else 0
        return Size(tuple(factors), kinds * seeds, exact)


class Expansion(Plan):
    """A grid file's axes, contexts and arms at one scale."""

    def __init__(self, file: GridFile, resolver: Resolver, seeds: Sequence[int]) -> None:
        super().__init__(file, resolver)
        self.base_view = resolver.lenient(self.base)
        self._exclude = [selectors.parse(raw, f"exclude[{index}]", resolver) for index, raw in enumerate(file.exclude)]
        self._when = [
            (
                selectors.parse(entry.match, f"when[{index}].match", resolver),
                changes.components_first(changes.flat(entry.set, f"when[{index}].set")),
            )
            for index, entry in enumerate(file.when)
        ]
        self.tuning = tune.Tuning(self.tuned, resolver, seeds)
        self._labelled_in_full = False
        self._mistakes = Mistakes()
        self.contexts = self._expanded()

    @property
    def arms(self) -> tuple[Arm, ...]:
        """All arms, context by context."""
        return tuple(arm for context in self.contexts for arm in context.arms)

    @functools.cached_property
    def axes(self) -> tuple[Axis, ...]:
        """What differs between arms, in the order of the file's tables: the values that some arm has."""
        found = [self._axis("product", [axis]) for axis in self.product]
        found += [self._axis("zip", self.zip)] if self.zip else []
        for axis in self.vary:
            varied = [arm.change for arm in self.arms if arm.change is not None and arm.change.path == axis.path]
            rows = {setting.label: (setting,) for setting in varied}
            found.append(Axis("vary", (axis.path,), tuple(rows.values())))
        for path, settings in self.tuning.ladders(self.arms).items():
            found.append(Axis("tune", (path,), tuple((setting,) for setting in settings)))
        return tuple(found)

    def _axis(self, kind: Literal["product", "zip"], members: list[RawAxis]) -> Axis:
        paths = tuple(axis.path for axis in members)
        rows: dict[tuple[str, ...], tuple[Setting, ...]] = {}
        for context in self.contexts:
            row = tuple(setting for setting in context.settings if setting.path in paths)
            rows.setdefault(tuple(setting.label for setting in row), row)
        return Axis(kind, paths, tuple(rows.values()))

    def _expanded(self) -> tuple[Context, ...]:
        contexts = tuple(context for context in self._contexts() if context.arms)
        self._mistakes.refuse()
        labels = [arm.label for context in contexts for arm in context.arms]
        if not labels:
            problem = "nothing is left of the grid"
            raise GridError(problem, key="exclude", allowed="selectors that leave at least one arm")
        if len(set(labels)) < len(labels) and not self._labelled_in_full:
            self._labelled_in_full = True
            return self._expanded()
        return contexts

    def _contexts(self) -> Iterator[Context]:
        members = [*self.product, *self.zip]
        rows: list[list[tuple[Any, ...]]] = [[(pair,) for pair in axis] for axis in self.product]
        if self.zip:
            rows.append(list(zip(*self.zip, strict=True)))
        seen: set[tuple[Any, ...]] = set()
        for point in itertools.product(*rows):
            with self._mistakes:
                pairs = [pair for row in point for pair in row]
                settings, draft = self._context_draft(members, pairs)
                values = tuple(frozen(setting.value) for setting in settings)
                if values in seen:
                    problem = "stands twice among the contexts"
                    given = ", ".join(setting.label for setting in settings)
                    raise GridError(problem, key=members[0].origin, given=given, allowed="different values on an axis")
                seen.add(values)
                arms = tuple(self._arms(settings, draft))
                _refuse_equal(arms, settings)
                yield Context(settings, self.resolver.lenient(draft), arms)

    def _context_draft(self, members: list[RawAxis], pairs: list[Any]) -> tuple[tuple[Setting, ...], Draft]:
        """Return the settings of a context in the order of the file, and the draft: whole components go first."""
        order = sorted(range(len(members)), key=lambda index: "." in members[index].path)
        draft, settings = self.base, {}
        for index in order:
            settings[index], draft = self._setting(draft, members[index].path, *pairs[index])
        return tuple(settings[index] for index in range(len(members))), draft

    def _setting(self, draft: Draft, path: str, raw: Any, origin: str) -> tuple[Setting, Draft]:
        after = changes.changed(draft, path, raw, origin, self.resolver)
        value = selectors.value_at(self.resolver.lenient(after), path)
        return Setting(path, value, self._label(path, raw, value)), after

    def _label(self, path: str, raw: Any, value: Any) -> str:
        """Return name and options as they are written, so that a default that is named shows, too."""
        if not isinstance(value, Component):
            return f"{path if self._labelled_in_full else path.rpartition('.')[2]}={spelled(value)}"
        text = value.name
        if isinstance(raw, Mapping):
            written = ", ".join(f"{name}={spelled(as_value(item))}" for name, item in raw.items() if name != "name")
            text = (f"{text}({written})" if written else text) if "name" in raw else written
        return f"{path}={text}" if self._labelled_in_full else text

    def _arms(self, context: tuple[Setting, ...], draft: Draft) -> Iterator[Arm]:
        with self._mistakes:
            yield from self._arm(context, None, draft)
        for axis in self.vary:
            for raw, origin in axis:
                with self._mistakes:
                    change, after = self._setting(draft, axis.path, raw, origin)
                    yield from self._arm(context, change, after)

    def _arm(self, context: tuple[Setting, ...], change: Setting | None, draft: Draft) -> Iterator[Arm]:
        """Iterate over the arm, or over nothing where it is excluded."""
        if self._exclude:
            lenient = self.resolver.lenient(draft)
            if any(selector.matches(lenient) for selector in self._exclude):
                return
        for selector, settings in self._when:
            if selector.matches(self.resolver.lenient(draft)):
                for path, raw, origin in settings:
                    draft = changes.changed(draft, path, raw, origin, self.resolver)
        places = ", ".join(setting.label for setting in context)
        label = " · ".join(part for part in (places, change.label if change else "baseline") if part)
        config = self.resolver.checked(draft, label)
        arm = Arm(label, context, change, config)
        yield replace(arm, rungs=self.tuning.rungs(arm, draft))


def _refuse_equal(arms: tuple[Arm, ...], context: tuple[Setting, ...]) -> None:
    """Refuse two arms of one context that are one: they would differ in nothing but their labels."""
    seen: dict[str, Arm] = {}
    for arm in arms:
        key = fingerprint(arm)
        if key in seen:
            problem = "two arms of one context are the same"
            given = f"{seen[key].label} and {arm.label}"
            where = arm.change.path if arm.change else ", ".join(setting.path for setting in context)
            raise GridError(problem, key=f"vary.{where}", given=given, allowed="changes that change something")
        seen[key] = arm


def fingerprint(arm: Arm) -> str:
    """Return what tells an arm from others: its configuration, or those of its trials."""
    configs = [config for rung in arm.rungs for config in rung.configs] or [arm.config]
    return digest({"configs": [config.identity for config in configs]})
