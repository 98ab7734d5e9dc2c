"""From claims and published numbers as they are written to what is asked: arms found, margins decided, seeds enough."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from d2lbench.core.errors import GridError, nearest_name
from d2lbench.core.spec import digest, spelled
from d2lbench.grid.claims import sides
from d2lbench.grid.claims.measures import Measures, measured_of
from d2lbench.grid.claims.part import PartReader
from d2lbench.grid.claims.statement import Claim, Published, Side
from d2lbench.grid.file.claims import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from d2lbench.core.spec import Component
    from d2lbench.grid.arms import Arm
    from d2lbench.grid.claims.statement import Metric, Part
    from d2lbench.grid.expand import Expansion
    from d2lbench.grid.file.claims import ClaimText, PublishedText

#: A family-wise error of 5 % must be within reach of the smallest p that so many seeds allow.
ALPHA = 0.05
SPARE_SEEDS = 2

#: The kinds of which a claim about kernels, and one about anything else, may not be.
_NOT_OF_KERNELS, _OF_KERNELS_ONLY = ("comparison", "equivalence"), ("timing",)


def claim(text: ClaimText, expansion: Expansion, scale: str) -> Claim:
    """Return a claim at a scale; where it is not asked there, without parts.

    Raises
    ------
    GridError
        Its kind does not suit the grid, a side, metric, statistic or margin is not allowed, or parts differ in unit.
    """
    asked = scale in text.scales
    wrong = _NOT_OF_KERNELS if expansion.arms[0].is_timed else _OF_KERNELS_ONLY
    if text.kind in wrong:
        allowed = ", ".join(kind for kind in KINDS if kind not in wrong)
        kernels = "kernels are compared in a family of their own"
        problem = kernels if wrong is _NOT_OF_KERNELS else "there is no kernel in this grid"
        raise GridError(problem, key=f"claims.{text.id}.kind", given=text.kind, allowed=allowed)
    written = [PartReader(each, expansion, text.kind, scale).parts() for each in text.parts] if asked else []
    measures = [parts[0].measure for parts in written]
    if len({(measure.as_, measure.metric.traits.unit) for measure in measures}) > 1:
        # It would have no one effect and no one margin to show.
        problem = "has parts in different units: make them claims of their own"
        given = [measure.metric.name for measure in measures]
        raise GridError(problem, key=f"claims.{text.id}", given=given, allowed="parts in one unit")
    return Claim(
        id=text.id,
        kind=text.kind,
        origin=text.origin,
        says=text.says,
        source=text.source,
        scales=text.scales,
        asked=asked,
        parts=tuple(part for parts in written for part in parts),
        raw=text.raw,
        digest=digest({"kind": text.kind, "parts": [_tested(parts) for parts in written] or dict(text.raw)}),
    )


def _tested(parts: tuple[Part, ...]) -> dict[str, Any]:
    """Return what a part puts to the test, without the words around it: a claim told better is the same claim."""
    measure = parts[0].measure
    return {
        "metric": _spelled(measure.metric),
        "statistic": [_spelled(measure.statistic), measure.over, measure.along],
        "select": _spelled(measure.select) if measure.select else "",
        "margin": [measure.margin, measure.as_],
        "comparisons": [
            [
                part.relation,
                part.sign,
                part.first.label,
                part.second.label if isinstance(part.second, Side) else repr(part.second),
            ]
            for part in parts
        ],
    }


def _spelled(component: Component) -> list[Any]:
    """Return a metric or statistic without its defaults: an option that is added later changes no claim."""
    return [component.name, [[name, spelled(value)] for name, value in component.canonical]]


def family_seeds(m: int) -> int:
    """Return how many seeds a family of ``m`` claims needs: ⌈log2(2m/0.05)⌉ + 2, and none where there is no claim.

    With n pairs the smallest two-sided sign-flip p is 2/2^n: with fewer than ⌈log2(2m/0.05)⌉ not even a perfect result
    would pass the first step of Holm. Two more leave room for a seed that disagrees.
    """
    return math.ceil(math.log2(2 * m / ALPHA)) + SPARE_SEEDS if m else 0


def seeds_required(claims: Iterable[Claim]) -> int:
    """Return how many seeds the comparisons and equivalences that are asked need, or rounds the timings."""
    return family_seeds(sum(1 for each in claims if each.in_family))


def metrics(claims: Iterable[Claim]) -> tuple[Metric, ...]:
    """Return the metrics that claims read, those that pick trials included."""
    measures = [part.measure for each in claims for part in each.parts]
    found = [metric for measure in measures for metric in (measure.metric, measure.select) if metric]
    return tuple(dict.fromkeys(found))


def own_values(claims: Iterable[Claim]) -> frozenset[str]:
    """Return the labels of the tuned arms whose own values a claim reads, too."""
    read = (side for each in claims for part in each.parts for side in part.sides if side.reads_own)
    return frozenset(arm.label for side in read for arm in side.arms if arm.is_tuned)


def published(text: PublishedText, expansion: Expansion) -> Published:
    """Return a published number with its arm and its metric found.

    Raises
    ------
    GridError
        The metric is unknown or a curve; no arm or several are selected, or one whose setting the seeds pick.
    """
    arm = _arm_beside(text, expansion)
    metric = Measures(expansion.resolver, measured_of((arm,))).metric(text.metric, f"{text.key}.metric")
    if metric.get("at") == "each":
        problem = "is a curve, and one number was published"
        raise GridError(problem, key=f"{text.key}.metric.at", given="each", allowed='"start", "best" or "last"')
    return Published(
        id=text.id,
        says=text.says,
        source=text.source,
        metric=metric,
        arm=arm,
        values=text.value,
        approximate=text.approximate,
        differs=text.differs,
    )


def _arm_beside(text: PublishedText, expansion: Expansion) -> Arm:
    key = f"{text.key}.arm"
    if text.arm != "baseline" and (not isinstance(text.arm, Mapping) or "stage" in text.arm):
        problem = "is not an arm"
        nearest = nearest_name(text.arm, ["baseline"]) if isinstance(text.arm, str) else None
        raise GridError(problem, key=key, given=text.arm, allowed='a selector or "baseline"', nearest=nearest)
    side = sides.read(text.arm, key, "default", expansion)
    finder = sides.Finder(expansion, None, text.key)
    found = [finder.points(side, side, group, "")[0].arm for group in finder.groups((side,), "").values()]
    if len(found) > 1:
        problem = f"selects {len(found)} arms where it must be one: {'; '.join(arm.label for arm in found)}"
        raise GridError(problem, key=key, given=text.arm, allowed="a selector that names the context, too")
    if found[0].is_tuned:
        problem = f'the arm "{found[0].label}" is tuned, and what was published has one setting'
        raise GridError(problem, key=key, given=text.arm, allowed="an arm that no [[tune]] matches")
    return found[0]
