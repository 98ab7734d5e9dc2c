"""A part of a claim against the arms of a grid: its measure, and its two sides compared in every context."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from d2lbench.core.errors import GridError, nearest_name
from d2lbench.core.spec import Component
from d2lbench.grid.claims import measures, sides
from d2lbench.grid.claims.statement import Measure, Part, Side

if TYPE_CHECKING:
    from d2lbench.grid.arms import Arm, Rung
    from d2lbench.grid.claims.sides import SideText
    from d2lbench.grid.claims.statement import Along, Metric, Relation, Statistic
    from d2lbench.grid.expand import Context, Expansion
    from d2lbench.grid.file.claims import PartText

_RELATIONS: dict[str, Relation] = {"no_worse": "no_worse", "same": "same"}


class PartReader:
    """Reads one part of a claim."""

    def __init__(self, text: PartText, expansion: Expansion, kind: str, scale: str) -> None:
        self.text, self.expansion, self.kind, self.scale = text, expansion, kind, scale
        self.key = text.key
        raw = "mean" if text.statistic is None else text.statistic
        self.statistic = measures.statistic(raw, f"{self.key}.statistic", expansion.resolver)
        self.axis = Axis(text.over, self.statistic, expansion, self.key)
        self.measures = measures.Measures(expansion.resolver, self._measured())
        self.metric = self._metric()

    def _measured(self) -> tuple[Component, ...]:
        """Return the experiments or kernels whose metrics the part reads: those of its sides; none in one that trains.

        Where they select no arm it is those that they name: that mistake is told later, with the arms that there are.
        """
        arms = self.expansion.arms
        first = measures.measured_of(arms[:1])
        if not first:
            return ()
        written = [side for side in self._written_sides() if side.number is None]
        chosen = measures.measured_of(arm for arm in arms if any(sides.selects(side, arm) for side in written))
        wanted = [each for side in written if side.selector for each in side.selector.wanted.get("experiment", ())]
        named = tuple(Component("experiment", name) for name in dict.fromkeys(each.name for each in wanted) if name)
        return chosen or named or first

    def _metric(self) -> Metric:
        """Return the metric; over epochs it is read at each of them."""
        key, raw = f"{self.key}.metric", measures.quick(self.text, self.scale).metric
        if raw is None:  # a claim about timing need not say that it is about time
            raw = "time" if self.text.metric is None and self.kind == "timing" else self.text.metric
        metric = self.measures.metric(raw, key)
        is_curve = metric.get("at") == "each"
        if self.text.over != "epoch":
            if is_curve:
                problem = "is a curve, and nothing reduces it to a number"
                raise GridError(problem, key=f"{key}.at", given="each", allowed='over = "epoch" with a statistic')
            return metric
        if is_curve:
            return metric
        named = {"name": raw} if isinstance(raw, str) else dict(raw)
        if "at" in named:
            problem = "is one number, but the statistic runs over epochs"
            raise GridError(problem, key=f"{key}.at", given=named["at"], allowed='"each"')
        try:
            return self.measures.metric({**named, "at": "each"}, key)
        except GridError:
            problem = "has no value at each epoch"
            raise GridError(problem, key=key, given=metric.name, allowed="a metric that is a curve") from None

    def parts(self) -> tuple[Part, ...]:
        """Return the part in each of its contexts, with everything found."""
        first, second = self._sides()
        along = self.axis.along(first, second, has_statistic=self.text.statistic is not None)
        compared = self._compared(first, second, along)
        found = [side for _, pair in compared for side in pair if isinstance(side, Side)]
        if along in ("contexts", "arms"):
            self.axis.check_points(found)
        for _, pair in compared if self.axis.is_option else ():
            self.axis.check_alike(*pair)
        for _, pair in compared:
            self._check_fairness(pair)
        measure = self._measure(first, second, found, along)
        relation = _RELATIONS.get(self.text.direction, "greater")
        sign: Literal[1, -1] = -1 if "lower" in (self.text.direction, self.text.better) else 1
        return tuple(Part(self._label(context), measure, relation, sign, *pair) for context, pair in compared)

    def _label(self, context: str) -> str:
        """Return the name of the part in a context: what the file calls it and the context, each where there is one."""
        named = self.text.label
        return context or named if named in context or not context else f"{named}: {context}"

    def _measure(self, first: SideText, second: SideText, found: list[Side], along: Along) -> Measure:
        margin, as_ = measures.margin(
            self.text, self.metric, self.statistic, self.kind, self.scale, against_number=second.number is not None
        )
        if as_ == "ratio" and second.number is not None and second.number <= 0:
            problem = "a ratio has no logarithm beside this number"
            raise GridError(problem, key=second.key, given=second.number, allowed="number > 0")
        tuned_keys = {key for side in found for arm in side.arms for key in arm.tuned_keys}
        only_key = tuned_keys.copy().pop() if along == "trials" and len(tuned_keys) == 1 else ""
        picks = along == "trials" or "tuned" in (first.stage, second.stage)
        return Measure(
            metric=self.metric,
            statistic=self.statistic,
            over=self.text.over or only_key,
            along=along,
            select=self.measures.select(self.text, self.metric, needed=bool(tuned_keys) and picks),
            margin=margin,
            as_=as_,
            reason=self.text.reason,
        )

    def _written_sides(self) -> tuple[SideText, SideText]:
        """Return the two sides in the order in which they are written."""
        stage = self.text.stage or ("trials" if self.axis.is_along_trials else "tuned")
        direction = self.text.direction
        same = direction == "same"
        written = self.text.same if same else (getattr(self.text, direction), self.text.than)
        keys = ("same[0]", "same[1]") if same else (direction, "than")
        first, second = (
            sides.read(raw, f"{self.key}.{name}", stage, self.expansion)
            for raw, name in zip(written, keys, strict=True)
        )
        return first, second

    def _sides(self) -> tuple[SideText, SideText]:
        """Return the two sides, a number second, each with its arms and at a stage that suits."""
        first, second = self._written_sides()
        if self.text.direction == "same" and first.number is not None:
            first, second = second, first
        first, second = sides.same_arms(first, second)
        if first.number is not None:
            problem = "is a number, and so there is nothing to test"
            raise GridError(problem, key=first.key, given=first.raw, allowed='a selector or "baseline"')
        for side in (first, second):
            if side.number is None:
                self._check_stage(side)
        if second.number is None and (first.stage == "trials") != (second.stage == "trials"):
            problem = "reads trials on one side only"
            raise GridError(problem, key=self.key, given=[first.stage, second.stage], allowed="one stage for both")
        return first, second

    def _check_stage(self, side: SideText) -> None:
        if self.axis.is_along_trials and side.stage != "trials":
            problem = f'statistic "{self.statistic.name}" runs along trials'
            raise GridError(problem, key=f"{self.key}.stage", given=side.stage, allowed='"trials"')
        picked = self.statistic.traits.picks  # it reads two rungs, neither of them chosen by what it reads
        if side.stage == "trials" and not picked and not measures.reads_validation(self.metric):
            problem = "is not of validation data, and trials are judged on nothing else"
            raise GridError(problem, key=f"{self.key}.metric", given=self.metric.name, allowed="validation_accuracy, …")

    def _compared(self, first: SideText, second: SideText, along: Along) -> list[tuple[str, tuple[Side, Side | float]]]:
        """Return each context in words with the two sides in it."""
        finder = sides.Finder(self.expansion, self.text.where, self.key)
        found: list[tuple[str, tuple[Side, Side | float]]] = []
        for settings, group in finder.groups((first, second), self._over(along)).items():
            one = self._side(finder, first, second, group, along)
            other: Side | float = second.number or 0.0
            if second.number is None:
                other = self._side(finder, second, first, group, along)
                if (one.stage, one.points) == (other.stage, other.points):
                    problem = "both sides are the same"
                    raise GridError(problem, key=self.key, given=one.label, allowed="two different sides")
            found.append((", ".join(setting.label for setting in settings), (one, other)))
        return found

    def _over(self, along: Along) -> str:
        return self.text.over if along in ("contexts", "arms") else ""

    def _side(self, finder: sides.Finder, side: SideText, other: SideText, group: list[Context], along: Along) -> Side:
        points = finder.points(side, other, group, self._over(along))
        if self.axis.is_numeric:
            points = tuple(sorted(points, key=lambda point: point.position))
        reference = self.statistic.get("reference")
        refers = isinstance(reference, dict) and reference["stage"] == "default"
        reads_own = side.stage == "default" or self.axis.judged is None or refers
        rungs = self.axis.rungs(points[0].arm, side) if along == "trials" else ()
        return Side(side.stage, points, rungs, reads_own)

    def _check_fairness(self, pair: tuple[Side, Side | float]) -> None:
        """Refuse to compare an arm that was tuned with one that was not."""
        tuned = [side for side in pair if isinstance(side, Side) and side.stage == "tuned"]
        arms = [arm for side in tuned for arm in side.arms]
        if len({arm.is_tuned for arm in arms}) > 1:
            problem = "compares tuned arms with arms that are not"
            given = [arm.label for arm in arms if not arm.is_tuned]
            raise GridError(problem, key=self.key, given=given, allowed='a [[tune]] for all, or stage = "default"')


class Axis:
    """The axis ``over`` of a part, and what its statistic asks of an axis."""

    def __init__(self, over: str, statistic: Statistic, expansion: Expansion, key: str) -> None:
        self._over, self._statistic, self._key = over, statistic, key
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
        return self._statistic.traits.along == "trials"

    @property
    def is_numeric(self) -> bool:
        """Whether the statistic needs numbers for positions."""
        return self._statistic.traits.numeric

    @property
    def judged(self) -> object:
        """The rung that the statistic judges: a number, None for the arm's own value, or "" where it judges none."""
        return self._statistic.get("at", "") if self.is_along_trials else ""

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
        if self._statistic.traits.along == "arms" and found not in ("arms", "contexts"):
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
        if not in_line and (self._statistic.traits.edge or self.is_numeric):
            problem = f'statistic "{self._statistic.name}" needs trials in a line: a ladder of one key'
            raise GridError(problem, key=f"{self._key}.over", given=list(keys), allowed="one tuned key")
        if self.judged not in ("", None) and (not in_line or self.judged not in numbers):
            problem = "is no rung of the ladder"
            allowed = ", ".join(f"{position:g}" for position in numbers)
            raise GridError(problem, key=f"{self._key}.statistic.at", given=self.judged, allowed=allowed)
        if not in_line or len(numbers) < len(there):
            return arm.rungs
        return tuple(rung for _, rung in sorted(zip(numbers, arm.rungs, strict=True), key=lambda pair: pair[0]))

    def check_points(self, found: list[Side]) -> None:
        """Refuse a statistic whose axis of arms has too few points, or words where it needs numbers."""
        wanted = self._statistic.traits.points
        for side in found:
            labels = [point.label for point in side.points]
            if wanted is not None and len(side.points) != wanted:
                problem = f'statistic "{self._statistic.name}" needs an axis of {wanted} points'
                raise GridError(problem, key=f"{self._key}.over", given=labels, allowed=f"{wanted} points")
            if self.is_numeric and not self._are_numbers(side):
                problem = f'statistic "{self._statistic.name}" needs an axis of numbers, two at least'
                raise GridError(problem, key=f"{self._key}.over", given=labels, allowed="an axis like model.depth")

    def check_alike(self, first: Side, second: Side | float) -> None:
        """Refuse sides that are summed up over different values of an option."""
        labels = [[point.label for point in side.points] for side in (first, second) if isinstance(side, Side)]
        if labels[1:] and labels[0] != labels[1]:
            problem = "the two sides have different values of it"
            raise GridError(problem, key=f"{self._key}.over", given=labels, allowed="the same values on both sides")

    def _are_numbers(self, side: Side) -> bool:
        if self.is_option:
            numbers = [sides.setting_at(arm, self._over).number is not None for arm in side.arms]
            return all(numbers) and len(numbers) > 1
        settings = [setting for arm in side.arms for setting in (*arm.context, arm.change) if setting is not None]
        numbers = [setting.number is not None for setting in settings if setting.path == self._over]
        return bool(numbers) and all(numbers) and len({point.position for point in side.points}) > 1
