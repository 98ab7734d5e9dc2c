"""The sides of a claim: which arms they select, context by context, and in which order along an axis."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from d2lbench.core.errors import GridError, nearest_name, shown
from d2lbench.core.spec import Component, spelled
from d2lbench.grid import selectors
from d2lbench.grid.arms import Setting
from d2lbench.grid.claims.statement import Point
from d2lbench.grid.file import document

if TYPE_CHECKING:
    from d2lbench.grid.arms import Arm
    from d2lbench.grid.claims.statement import Stage
    from d2lbench.grid.expand import Context, Expansion
    from d2lbench.grid.model import Axis
    from d2lbench.grid.selectors import Selector

STAGES: Final[tuple[Stage, ...]] = ("tuned", "default", "trials")
_MOST_LISTED: Final = 12
_WORD: Final = re.compile(r"[A-Za-z0-9.-]+")


@dataclass(frozen=True)
class SideText:
    """A side as it is written: a number; the baseline (no selector); or a selector; and its stage."""

    key: str
    raw: Any
    number: float | None = None
    selector: Selector | None = None
    stage: Stage = "tuned"
    only_stage: bool = False

    def names(self, axis: Axis) -> bool:
        """Whether the side names one of the axis' paths."""
        return self.selector is not None and any(self.selector.names(path) for path in axis.paths)


def read(raw: Any, key: str, stage: Stage, expansion: Expansion) -> SideText:
    """Return a side: a number, ``"baseline"``, or a table with a selector, a stage or both."""
    if isinstance(raw, int | float) and not isinstance(raw, bool):
        return SideText(key, raw, number=float(raw), stage=stage)
    if raw == "baseline":
        return SideText(key, raw, stage=stage)
    if not isinstance(raw, Mapping):
        problem = "is not a side"
        nearest = nearest_name(raw, ["baseline"]) if isinstance(raw, str) else None
        raise GridError(problem, key=key, given=raw, allowed='a selector, "baseline" or a number', nearest=nearest)
    table = document.nested(raw, key)
    own = table.pop("stage", stage)
    if own not in STAGES:
        problem = "is not a stage"
        nearest = nearest_name(str(own), STAGES)
        raise GridError(problem, key=f"{key}.stage", given=own, allowed=", ".join(STAGES), nearest=nearest)
    if not table and "stage" in raw:
        return SideText(key, raw, stage=own, only_stage=True)
    return SideText(key, raw, selector=selectors.parse(table, key, expansion.resolver), stage=own)


def same_arms(first: SideText, second: SideText) -> tuple[SideText, SideText]:
    """Complete a side that names only a stage with the other side's arms."""
    if first.only_stage and second.number is None and not second.only_stage:
        return replace(first, selector=second.selector), second
    if second.only_stage and first.number is None and not first.only_stage:
        return first, replace(second, selector=first.selector)
    return first, second


class Finder:
    """Finds the arms of a part's two sides."""

    def __init__(self, expansion: Expansion, where: Any, key: str) -> None:
        self._expansion, self._key = expansion, key
        self._axes = tuple(axis for axis in expansion.axes if axis.kind in ("product", "zip"))
        self._contexts = self._where(where)

    def _where(self, raw: Any) -> tuple[Context, ...]:
        """Return the contexts that ``where`` leaves."""
        if raw is None:
            return self._expansion.contexts
        key = f"{self._key}.where"
        selector = selectors.parse(raw, key, self._expansion.resolver)
        paths = [path for axis in self._axes for path in axis.paths]
        for named in selector.paths:
            if not any(named == path or named.startswith(f"{path}.") or path.startswith(f"{named}.") for path in paths):
                problem = "restricts contexts, and this is no key of product or zip"
                allowed = ", ".join(paths) or "no where: there is one context"
                raise GridError(problem, key=f"{key}.{named}", allowed=allowed, nearest=nearest_name(named, paths))
        left = tuple(context for context in self._expansion.contexts if selector.matches(context.view))
        if not left:
            problem = "leaves no context"
            labels = [", ".join(each.label for each in context.settings) for context in self._expansion.contexts]
            raise GridError(problem, key=key, given=raw, allowed=_listed(labels))
        return left

    def groups(self, sides: tuple[SideText, ...], over: str) -> dict[tuple[Setting, ...], list[Context]]:
        """Return the contexts in groups, one for each comparison: equal but for ``over`` and what sides pick."""
        kept = [axis for axis in self._axes if over not in axis.paths and not any(side.names(axis) for side in sides)]
        groups: dict[tuple[Setting, ...], list[Context]] = {}
        for context in self._contexts:
            shared = tuple(setting for setting in context.settings if any(setting.path in axis.paths for axis in kept))
            groups.setdefault(shared, []).append(context)
        return groups

    def points(self, side: SideText, other: SideText, group: list[Context], over: str) -> tuple[Point, ...]:
        """Return the arms of one side within one group, in the order of the axis ``over``."""
        axis = next((axis for axis in self._axes if over in axis.paths), None)
        at_base = [own for own in self._axes if other.names(own) and not side.names(own)]
        pinned = [context for context in group if all(self._is_base(context, own) for own in at_base)]
        if axis is None and not over:
            return (Point(0.0, "", self._one(side, pinned, group)),)
        if axis is None:
            varied = [path for own in self._expansion.axes if own.kind == "vary" for path in own.paths]
            return (self._along_arms if over in varied else self._along_option)(side, pinned, over)
        if side.names(axis):
            problem = f'names "{over}", over which the statistic runs'
            raise GridError(problem, key=side.key, given=side.raw, allowed="keys other than over")
        rows: dict[Setting, list[Context]] = {}
        for context in pinned or group:
            rows.setdefault(next(each for each in context.settings if each.path == over), []).append(context)
        return tuple(
            _point(index, setting, self._one(side, contexts, group))
            for index, (setting, contexts) in enumerate(rows.items())
        )

    def _is_base(self, context: Context, axis: Axis) -> bool:
        base = self._expansion.base_view
        return all(selectors.value_at(context.view, path) == selectors.value_at(base, path) for path in axis.paths)

    def _along_arms(self, side: SideText, contexts: list[Context], over: str) -> tuple[Point, ...]:
        """Return the baseline and every value of a key of ``vary``."""
        context_paths = [path for axis in self._axes for path in axis.paths]
        if side.selector and not all(
            any(side.selector.names(path) and named.startswith(path) for path in context_paths)
            for named in side.selector.paths
        ):
            problem = f'selects arms, but a side over "{over}" has all of them'
            allowed = 'keys of product or zip, "baseline", a stage'
            raise GridError(problem, key=side.key, given=side.raw, allowed=allowed)
        matching = [context for context in contexts if side.selector is None or side.selector.matches(context.view)]
        if len(matching) != 1:
            self._refuse(side, [context.arms[0] for context in matching], contexts)
        arms = [arm for arm in matching[0].arms if arm.change is None or arm.change.path == over]
        return tuple(
            _point(index, setting_at(arm, over), arm, arm.change.label if arm.change else "baseline")
            for index, arm in enumerate(arms)
        )

    def _along_option(self, side: SideText, contexts: list[Context], over: str) -> tuple[Point, ...]:
        """Return the arms that a side selects, told apart by an option of what they are, in the order of the file.

        The side may name values of the option, and then it has those alone.
        """
        arms = [arm for context in contexts for arm in context.arms if selects(side, arm)]
        settings = [setting_at(arm, over) for arm in arms]
        values = [setting.label for setting in settings]
        if len(arms) < 2:  # noqa: PLR2004  (an axis has two points at least)
            if not arms:
                self._refuse(side, [], contexts)
            problem = f'selects one arm, and the statistic runs over "{over}"'
            raise GridError(problem, key=side.key, given=side.raw, allowed="arms that differ in it")
        if len(set(values)) < len(values):
            problem = f'selects arms that are alike in "{over}": {_listed([arm.label for arm in arms])}'
            raise GridError(problem, key=side.key, given=side.raw, allowed="one arm for each value of over")
        return tuple(
            _point(index, setting, arm) for index, (setting, arm) in enumerate(zip(settings, arms, strict=True))
        )

    def _one(self, side: SideText, contexts: list[Context], group: list[Context]) -> Arm:
        """Return the one arm that a side selects, or list those that it does."""
        found = [arm for context in contexts for arm in context.arms if selects(side, arm)]
        if len(found) != 1:
            self._refuse(side, found, contexts or group)
        return found[0]

    def _refuse(self, side: SideText, found: list[Arm], contexts: list[Context]) -> None:
        if found:
            problem = f"selects {len(found)} arms where it must be one: {_listed([arm.label for arm in found])}"
            allowed = "a selector that names what tells them apart"
            raise GridError(problem, key=side.key, given=side.raw, allowed=allowed)
        problem = "selects no arm"
        labels = [arm.label for context in contexts for arm in context.arms]
        nearest = _nearest(shown(side.raw), labels)
        raise GridError(problem, key=side.key, given=side.raw, allowed=_listed(labels), nearest=nearest)


def setting_at(arm: Arm, path: str) -> Setting:
    """Return the value that an arm has at a path: the one that its change gives, else that of its configuration."""
    changed = arm.change is not None and arm.change.path == path
    value = arm.change.value if arm.change and changed else selectors.value_at(selectors.view(arm.config), path)
    return Setting(path, value, spelled(value) if not isinstance(value, Component) else value.label())


def selects(side: SideText, arm: Arm) -> bool:
    """Whether a side means this arm: what it names matches, and what it does not name is the baseline's."""
    if side.selector is None:
        return arm.is_baseline
    if arm.change is not None and not side.selector.names(arm.change.path):
        return False
    return side.selector.matches(selectors.view(arm.config))


def _point(index: int, setting: Setting, arm: Arm, label: str = "") -> Point:
    return Point(float(index) if setting.number is None else setting.number, label or setting.label, arm)


def _listed(labels: list[str]) -> str:
    more = ", …" if len(labels) > _MOST_LISTED else ""
    return "; ".join(labels[:_MOST_LISTED]) + more


def _nearest(wanted: str, labels: list[str]) -> str | None:
    """Return the label that looks most like what was wanted, or shares most words with it."""
    shared = [sum(1 for word in _WORD.findall(label) if word in wanted) for label in labels]
    best = max(shared, default=0)
    return nearest_name(wanted, labels) or (labels[shared.index(best)] if best else None)
