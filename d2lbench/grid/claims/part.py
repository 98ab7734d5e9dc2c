"""One part of a claim against the arms of a grid: its sides in every context, its metric, statistic and margin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from d2lbench.core.errors import GridError
from d2lbench.core.spec import Component
from d2lbench.grid.claims import sides
from d2lbench.grid.claims.along import Axis
from d2lbench.grid.claims.measures import Measures, looked_up, measured_of, quick
from d2lbench.grid.claims.statement import Comparison, Part, Side

if TYPE_CHECKING:
    from d2lbench.grid.claims.sides import SideText
    from d2lbench.grid.claims.statement import Along, Relation
    from d2lbench.grid.expand import Context, Expansion
    from d2lbench.grid.file.claims import PartText

_RELATIONS: dict[str, Relation] = {"no_worse": "no_worse", "same": "same"}


class PartReader:
    """Reads one part of a claim."""

    def __init__(self, text: PartText, expansion: Expansion, kind: str, scale: str) -> None:
        self.text, self.expansion, self.kind, self.scale = text, expansion, kind, scale
        self.key = text.key
        statistic = "mean" if text.statistic is None else text.statistic
        self.statistic = looked_up("statistic", statistic, f"{self.key}.statistic", expansion.resolver)
        self._check_reference()
        self.axis = Axis(text.over, self.statistic, expansion, self.key)
        raw = quick(text, scale).metric
        self.measures = Measures(expansion.resolver, self._measured())
        self.metric = self._metric(self._named_metric() if raw is None else raw)

    def _named_metric(self) -> Any:
        """Return the metric as it is written; a claim about timing need not say that it is about time."""
        return "time" if self.text.metric is None and self.kind == "timing" else self.text.metric

    def _measured(self) -> tuple[Component, ...]:
        """Return the experiments or kernels whose metrics the part reads: those of its sides; none in one that trains.

        Where they select no arm it is those that they name: that mistake is told later, with the arms that there are.
        """
        arms = self.expansion.arms
        first = measured_of(arms[:1])
        if not first:
            return ()
        written = [side for side in self._written_sides() if side.number is None]
        chosen = measured_of(arm for arm in arms if any(sides.selects(side, arm) for side in written))
        wanted = [each for side in written if side.selector for each in side.selector.wanted.get("experiment", ())]
        named = tuple(Component("experiment", name) for name in dict.fromkeys(each.name for each in wanted) if name)
        return chosen or named or first

    def _check_reference(self) -> None:
        """Check the ranking with which another is correlated: a stage, and by which seeds."""
        reference = dict(self.statistic.options).get("reference")
        if reference is None:
            return
        allowed = {"stage": ("tuned", "default"), "seeds": ("others",)}
        if not isinstance(reference, dict) or any(reference.get(name) not in allowed[name] for name in allowed):
            problem = "is not a ranking to compare with"
            words = '{ stage = "tuned" or "default", seeds = "others" }'
            raise GridError(problem, key=f"{self.key}.statistic.reference", given=reference, allowed=words)

    def _metric(self, raw: Any) -> Component:
        """Return the metric; over epochs it is read at each of them."""
        key = f"{self.key}.metric"
        metric = self.measures.metric(raw, key)
        is_curve = dict(metric.options).get("at") == "each"
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

    def part(self) -> Part:
        """Return the part with everything found."""
        first, second = self._sides()
        along = self.axis.along(first, second, has_statistic=self.text.statistic is not None)
        comparisons = self._comparisons(first, second, along)
        if along in ("contexts", "arms"):
            self.axis.check_points(comparisons)
        if self.axis.is_option:
            self.axis.check_alike(comparisons)
        self._check_fairness(comparisons)
        tuned = any(arm.is_tuned for each in comparisons for side in each.sides for arm in side.arms)
        picks = along == "trials" or "tuned" in (first.stage, second.stage)
        margin, as_ = self.measures.margin(
            self.text, self.metric, self.statistic, self.kind, self.scale, against_number=second.number is not None
        )
        if as_ == "ratio" and second.number is not None and second.number <= 0:
            problem = "a ratio has no logarithm beside this number"
            raise GridError(problem, key=second.key, given=second.number, allowed="number > 0")
        return Part(
            label=self.text.label,
            metric=self.metric,
            statistic=self.statistic,
            over=self.text.over or _only_tuned_key(comparisons, along),
            along=along,
            stage=first.stage,
            select=self.measures.select(self.text, self.metric, needed=tuned and picks),
            margin=margin,
            as_=as_,
            reason=self.text.reason,
            comparisons=comparisons,
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
            self._check_stage(side)
        if second.number is None and (first.stage == "trials") != (second.stage == "trials"):
            problem = "reads trials on one side only"
            raise GridError(problem, key=self.key, given=[first.stage, second.stage], allowed="one stage for both")
        return first, second

    def _check_stage(self, side: SideText) -> None:
        if side.number is not None:
            return
        if self.axis.is_along_trials and side.stage != "trials":
            problem = f'statistic "{self.statistic.name}" runs along trials'
            raise GridError(problem, key=f"{self.key}.stage", given=side.stage, allowed='"trials"')
        picked = self.axis.entry.traits.picks  # it reads two rungs, neither of them chosen by what it reads
        if side.stage == "trials" and not picked and not self.measures.reads_validation(self.metric):
            problem = "is not of validation data, and trials are judged on nothing else"
            raise GridError(problem, key=f"{self.key}.metric", given=self.metric.name, allowed="validation_accuracy, …")

    def _comparisons(self, first: SideText, second: SideText, along: Along) -> tuple[Comparison, ...]:
        finder = sides.Finder(self.expansion, self.text.where, self.key)
        over = self.text.over if along in ("contexts", "arms") else ""
        relation = _RELATIONS.get(self.text.direction, "greater")
        sign: Literal[1, -1] = -1 if "lower" in (self.text.direction, self.text.better) else 1
        found = []
        for settings, group in finder.groups((first, second), over).items():
            one = self._side(finder, first, second, group, along)
            other: Side | float = second.number or 0.0
            if second.number is None:
                other = self._side(finder, second, first, group, along)
                if (one.stage, one.points) == (other.stage, other.points):
                    problem = "both sides are the same"
                    raise GridError(problem, key=self.key, given=one.label, allowed="two different sides")
            label = ", ".join(setting.label for setting in settings)
            found.append(Comparison(label, relation, sign, one, other))
        return tuple(found)

    def _side(self, finder: sides.Finder, side: SideText, other: SideText, group: list[Context], along: Along) -> Side:
        points = finder.points(side, other, group, self.text.over if along in ("contexts", "arms") else "")
        if self.axis.is_numeric:
            points = tuple(sorted(points, key=lambda point: point.position))
        reference = dict(self.statistic.options).get("reference")
        refers = isinstance(reference, dict) and reference["stage"] == "default"
        reads_own = side.stage == "default" or self.axis.judged is None or refers
        rungs = self.axis.rungs(points[0].arm, side) if along == "trials" else ()
        return Side(side.stage, points, rungs, reads_own)

    def _check_fairness(self, comparisons: tuple[Comparison, ...]) -> None:
        """Refuse to compare an arm that was tuned with one that was not."""
        for each in comparisons:
            arms = [arm for side in each.sides if side.stage == "tuned" for arm in side.arms]
            if len({arm.is_tuned for arm in arms}) > 1:
                problem = "compares tuned arms with arms that are not"
                given = [arm.label for arm in arms if not arm.is_tuned]
                raise GridError(problem, key=self.key, given=given, allowed='a [[tune]] for all, or stage = "default"')


def _only_tuned_key(comparisons: tuple[Comparison, ...], along: Along) -> str:
    """Return the key that trials set, where they run along it and it is one."""
    keys = {key for each in comparisons for side in each.sides for arm in side.arms for key in arm.tuned_keys}
    return keys.pop() if along == "trials" and len(keys) == 1 else ""
