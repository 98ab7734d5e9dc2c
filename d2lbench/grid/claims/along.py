"""What a statistic runs along: contexts, arms, trials or epochs, and whether it can."""

from __future__ import annotations

from typing import TYPE_CHECKING

from d2lbench.core.errors import GridError, nearest_name
from d2lbench.core.kinds import StatisticTraits
from d2lbench.grid.claims.sides import setting_at

if TYPE_CHECKING:
    from d2lbench.core.spec import Component
    from d2lbench.grid.arms import Arm, Rung
    from d2lbench.grid.claims.sides import SideText
    from d2lbench.grid.claims.statement import Along, Comparison, Side
    from d2lbench.grid.expand import Expansion


class Axis:
    """The axis ``over`` of a part, and what its statistic asks of an axis."""

    def __init__(self, over: str, statistic: Component, expansion: Expansion, key: str) -> None:
        self._over, self._statistic, self._key = over, statistic, key
        self.entry = expansion.resolver.registry.get(StatisticTraits, statistic.name)
        axes = expansion.axes
        self._paths = {
            kind: [path for axis in axes if axis.kind == kind for path in axis.paths]
            for kind in ("product", "zip", "vary", "tune")
        }

    @property
    def is_option(self) -> bool:
        """Whether ``over`` is an option of what ``vary`` names: a side then has the arms that it selects, by option."""
        kind, _, option = self._over.partition(".")
        return bool(option) and kind in self._paths["vary"] and self._over not in self._paths["vary"]

    @property
    def is_along_trials(self) -> bool:
        """Whether the statistic is one of trials."""
        return self.entry.traits.along == "trials"

    @property
    def is_numeric(self) -> bool:
        """Whether the statistic needs numbers for positions."""
        return self.entry.traits.numeric

    @property
    def judged(self) -> object:
        """The rung that the statistic judges: a number, None for the arm's own value, or "" where it judges none."""
        return dict(self._statistic.options).get("at", "") if self.is_along_trials else ""

    def along(self, first: SideText, second: SideText, *, has_statistic: bool) -> Along:
        """Return what the statistic runs along, which ``over`` and the stage decide.

        Raises
        ------
        GridError
            ``over`` is missing, no axis, or none of the kind that the statistic needs.
        """
        contexts = [*self._paths["product"], *self._paths["zip"]]
        arms = self._paths["vary"]
        over, is_trials = self._over, "trials" in (first.stage, second.stage)
        if not over and not is_trials:
            if has_statistic:
                problem = "is missing: the statistic needs an axis"
                raise GridError(problem, key=f"{self._key}.over", allowed=", ".join([*contexts, *arms, "epoch"]))
            return ""
        places: dict[Along, list[str]] = {"contexts": contexts, "arms": arms, "epochs": ["epoch"]}
        if is_trials:
            places = {"trials": [*self._paths["tune"], ""]}
        found: Along | None = next((along for along, paths in places.items() if over in paths), None)
        if found is None and self.is_option and not is_trials:
            found = "arms"
        if found is None:
            raise self._no_axis([path for paths in places.values() for path in paths if path])
        if self.entry.traits.along == "arms" and found not in ("arms", "contexts"):
            problem = f'statistic "{self._statistic.name}" ranks arms'
            raise GridError(problem, key=f"{self._key}.over", given=over, allowed=", ".join([*arms, *contexts]))
        return found

    def _no_axis(self, allowed: list[str]) -> GridError:
        hint = ' (a tuned key goes with stage = "trials")' if self._over in self._paths["tune"] else ""
        problem = f"is no axis of this grid that a statistic could run over{hint}"
        key, nearest = f"{self._key}.over", nearest_name(self._over, allowed)
        return GridError(problem, key=key, given=self._over, allowed=", ".join(allowed), nearest=nearest)

    def rungs(self, arm: Arm, side: SideText) -> tuple[Rung, ...]:
        """Return the trials of an arm in the order of the axis: of a ladder of one key, from the lowest up.

        Raises
        ------
        GridError
            The arm is not tuned, its trials lie in no line, or the rung to judge is none.
        """
        if not arm.is_tuned:
            problem = f'the arm "{arm.label}" is not tuned and has no trials'
            raise GridError(problem, key=side.key, given=side.raw, allowed="an arm that a [[tune]] entry matches")
        keys = arm.tuned_keys
        there = [rung.position(keys[0]) for rung in arm.rungs]
        numbers = [position for position in there if position is not None]
        in_line = len(keys) == 1 and not arm.rungs[0].is_drawn
        if not in_line and (self.entry.traits.edge or self.is_numeric):
            problem = f'statistic "{self._statistic.name}" needs trials in a line: a ladder of one key'
            raise GridError(problem, key=f"{self._key}.over", given=list(keys), allowed="one tuned key")
        if self.judged not in ("", None) and (not in_line or self.judged not in numbers):
            problem = "is no rung of the ladder"
            allowed = ", ".join(f"{position:g}" for position in numbers)
            raise GridError(problem, key=f"{self._key}.statistic.at", given=self.judged, allowed=allowed)
        if not in_line or len(numbers) < len(there):
            return arm.rungs
        return tuple(rung for _, rung in sorted(zip(numbers, arm.rungs, strict=True), key=lambda pair: pair[0]))

    def check_points(self, comparisons: tuple[Comparison, ...]) -> None:
        """Refuse a statistic whose axis of arms has too few points, or words where it needs numbers."""
        wanted = self.entry.traits.points
        for side in (side for each in comparisons for side in each.sides):
            labels = [point.label for point in side.points]
            if wanted is not None and len(side.points) != wanted:
                problem = f'statistic "{self._statistic.name}" needs an axis of {wanted} points'
                raise GridError(problem, key=f"{self._key}.over", given=labels, allowed=f"{wanted} points")
            if self.is_numeric and not self._are_numbers(side):
                problem = f'statistic "{self._statistic.name}" needs an axis of numbers, two at least'
                raise GridError(problem, key=f"{self._key}.over", given=labels, allowed="an axis like model.depth")

    def check_alike(self, comparisons: tuple[Comparison, ...]) -> None:
        """Refuse sides that are summed up over different values of an option."""
        for each in comparisons:
            labels = [[point.label for point in side.points] for side in each.sides]
            if labels[1:] and labels[0] != labels[1]:
                problem = "the two sides have different values of it"
                raise GridError(problem, key=f"{self._key}.over", given=labels, allowed="the same values on both sides")

    def _are_numbers(self, side: Side) -> bool:
        if self.is_option:
            numbers = [setting_at(arm, self._over).number is not None for arm in side.arms]
            return all(numbers) and len(numbers) > 1
        settings = [setting for arm in side.arms for setting in (*arm.context, arm.change) if setting is not None]
        numbers = [setting.number is not None for setting in settings if setting.path == self._over]
        return bool(numbers) and all(numbers) and len({point.position for point in side.points}) > 1
