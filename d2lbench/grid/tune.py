"""Tuning: which arms have trials, and what each trial sets: a ladder's rung, or values that the seed draws."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from d2lbench.core.errors import GridError, Mistakes
from d2lbench.core.kinds import DatasetTraits
from d2lbench.core.seeding import key_integer
from d2lbench.core.spec import Component, Config, canonical_json, spelled
from d2lbench.grid import axes, changes, selectors
from d2lbench.grid.arms import Arm, Configuration, Rung, Setting
from d2lbench.grid.file.shape import with_article
from d2lbench.grid.file.table import Table, read
from d2lbench.grid.resolve import SCALARS

if TYPE_CHECKING:
    from d2lbench.grid.file.shape import GridFile, TuneEntry
    from d2lbench.grid.resolve import Draft, Resolver
    from d2lbench.grid.selectors import Selector


class Interval(Table):
    """Numbers from ``low`` to ``high`` to draw from, evenly, or evenly in their logarithm."""

    low: float
    high: float
    log: bool = False

    def at(self, share: float, beyond: int = 0) -> float:
        """Return the number at a share (0…1) of the way to ``high`` or so much beyond it.

        To six digits, so that no library's last bit shows.
        """
        low, high = self.low, self.high + beyond
        if self.log:
            return float(f"{math.exp(math.log(low) + share * (math.log(high) - math.log(low))):.6g}")
        return float(f"{low + share * (high - low):.6g}")


@dataclass(frozen=True)
class Entry:
    """One ``[[tune]]`` with its space: intervals or lists by path."""

    selector: Selector | None
    ladders: tuple[axes.Axis, ...]
    intervals: tuple[tuple[str, Interval, str], ...]
    budget: int | None
    key: str

    def count(self) -> int:
        """Return how many trials it has."""
        return self.budget or math.prod(axis.count() for axis in self.ladders)


class Tuning:
    """The ``[[tune]]`` entries of a grid."""

    def __init__(self, entries: Sequence[Entry], resolver: Resolver, seeds: Sequence[int]) -> None:
        self._resolver, self._seeds = resolver, tuple(seeds)
        self._entries = entries

    def rungs(self, arm: Arm, draft: Draft) -> tuple[Rung, ...]:
        """Return the trials of an arm: those of the one entry that matches it, or none.

        Raises
        ------
        GridError
            Several entries match, a tuned key is also what the arm is about, or there is no validation data.
        """
        seen = selectors.view(arm.config)
        matching = [each for each in self._entries if each.selector is None or each.selector.matches(seen)]
        if not matching:
            return ()
        if len(matching) > 1:
            problem = f'several entries match the arm "{arm.label}"'
            given = ", ".join(each.key for each in matching)
            raise GridError(problem, key="tune", given=given, allowed="one entry for an arm")
        chosen = matching[0]
        self._refuse(arm, chosen)
        return self._drawn(arm, draft, chosen) if chosen.intervals else self._ladder(arm, draft, chosen)

    def _refuse(self, arm: Arm, chosen: Entry) -> None:
        tuned = [axis.path for axis in chosen.ladders] + [path for path, _, _ in chosen.intervals]
        for setting in (*arm.context, *((arm.change,) if arm.change else ())):
            for path in tuned:
                if setting.path == path or setting.path.startswith(f"{path}."):
                    problem = f'tunes what tells the arm "{arm.label}" from others'
                    raise GridError(problem, key=f"{chosen.key}.space.{path}", allowed="keys that are not an axis")
        if not isinstance(arm.config, Config):
            measured = with_article(arm.config.experiment.kind)
            problem = f"{measured} has nothing to tune"
            raise GridError(problem, key=chosen.key, allowed=f"no [[tune]] beside {measured}")
        declared = self._resolver.registry.get(DatasetTraits, arm.config.dataset.name).traits
        if not declared.validates(dict(arm.config.dataset.options)):
            problem = f'the arm "{arm.label}" has no validation data to pick its trials on'
            given = arm.config.dataset.label()
            raise GridError(problem, key=chosen.key, given=given, allowed="a dataset with validation > 0, or folds")

    def _ladder(self, arm: Arm, draft: Draft, chosen: Entry) -> tuple[Rung, ...]:
        found = []
        for point in itertools.product(*chosen.ladders):
            steps = [(axis.path, *pair) for axis, pair in zip(chosen.ladders, point, strict=True)]
            settings, config = self._trial(arm, draft, steps)
            found.append(Rung(settings, (config,), (), ", ".join(setting.label for setting in settings)))
        if len({canonical_json(each.configs[0].identity) for each in found}) < len(found):
            problem = f'two trials of the arm "{arm.label}" are the same'
            raise GridError(problem, key=f"{chosen.key}.space", allowed="different values on a ladder")
        return tuple(found)

    def _drawn(self, arm: Arm, draft: Draft, chosen: Entry) -> tuple[Rung, ...]:
        found = []
        for k in range(chosen.count()):
            trials = [self._trial(arm, draft, self._draw(draft, chosen, seed, k)) for seed in self._seeds]
            settings = tuple(Setting(each.path, None, each.path.rpartition(".")[2]) for each in trials[0][0])
            configs = tuple(config for _, config in trials)
            found.append(Rung(settings, configs, self._seeds, f"draw {k + 1} of {chosen.count()}"))
        return tuple(found)

    def _draw(self, draft: Draft, chosen: Entry, seed: int, k: int) -> list[changes.Change]:
        """Return the changes of trial ``k``: keyed by seed, path and k alone, so the same for every arm."""
        steps: list[changes.Change] = []
        for axis in chosen.ladders:
            index = min(int(_share(seed, axis.path, k) * axis.count()), axis.count() - 1)
            steps.append((axis.path, *list(axis)[index]))
        for path, interval, origin in chosen.intervals:
            share = _share(seed, path, k)
            if self._is_float(draft, path):
                steps.append((path, interval.at(share), origin))
            else:
                steps.append((path, min(int(interval.at(share, beyond=1)), int(interval.high)), origin))
        return steps

    def _is_float(self, draft: Draft, path: str) -> bool:
        kind, _, option = path.partition(".")
        if not option:
            return SCALARS[kind].is_float
        options = self._resolver.registry.get(kind, draft[kind].value["name"]).options
        return option not in options or options[option].is_float

    def _trial(self, arm: Arm, draft: Draft, steps: list[changes.Change]) -> tuple[tuple[Setting, ...], Configuration]:
        for path, raw, origin in changes.components_first(steps):
            draft = changes.changed(draft, path, raw, origin, self._resolver)
        view = self._resolver.lenient(draft)
        settings = tuple(_setting(path, selectors.value_at(view, path)) for path, _, _ in steps)
        return settings, self._resolver.checked(draft, arm.label)

    def ladders(self, arms: tuple[Arm, ...]) -> dict[str, list[Setting]]:
        """Return the values of each tuned key over all arms, by path."""
        found: dict[str, list[Setting]] = {}
        for arm in arms:
            for rung in arm.rungs:
                for setting in rung.settings:
                    values = found.setdefault(setting.path, [])
                    if setting not in values:
                        values.append(setting)
        return found


def _share(seed: int, path: str, k: int) -> float:
    return key_integer(seed, "tune", path, k) / 2**63


def _setting(path: str, value: Any) -> Setting:
    label = value.label() if isinstance(value, Component) else f"{path.rpartition('.')[2]}={spelled(value)}"
    return Setting(path, value, label)


def entries(file: GridFile, names: Mapping[str, str], resolver: Resolver, mistakes: Mistakes) -> list[Entry]:
    """Return the ``[[tune]]`` entries with their selectors and spaces read; what is wrong with one is noted."""
    found = []
    for index, text in file.numbered("tune"):
        with mistakes:
            found.append(_entry(text, f"{file.origin('tune')}[{index}]", names, resolver))
    with mistakes:
        counts = {each.key: each.count() for each in found}
        if len(set(counts.values())) > 1:  # arms would be compared after unequal effort
            problem = "the entries have different numbers of trials"
            raise GridError(problem, key="tune", given=counts, allowed="one number for all entries")
    return found


def _entry(text: TuneEntry, key: str, names: Mapping[str, str], resolver: Resolver) -> Entry:
    selector = None if text.match is None else selectors.parse(text.match, f"{key}.match", resolver)
    ladders, intervals = [], []
    for path, raw, origin in changes.flat(text.space, f"{key}.space"):
        if isinstance(raw, Mapping) and raw.keys() & {"low", "high", "log"}:
            intervals.append((path, _interval(raw, origin), origin))
        else:
            ladders.append(axes.Axis(path, raw, origin, names.get(path.partition(".")[0]), resolver))
    if bool(intervals) != (text.budget is not None):
        problem = "says how many trials are drawn from { low, high, log }, and goes with that alone"
        raise GridError(problem, key=f"{key}.budget", given=text.budget, allowed="a ladder's budget is its length")
    return Entry(selector, tuple(ladders), tuple(intervals), text.budget, key)


def _interval(raw: Mapping[str, Any], key: str) -> Interval:
    found: Interval = read(Interval, raw, key)
    if not found.low < found.high or (found.log and found.low <= 0):
        problem = "is not an interval"
        raise GridError(problem, key=key, given=dict(raw), allowed="low < high, and low > 0 where log = true")
    return found
