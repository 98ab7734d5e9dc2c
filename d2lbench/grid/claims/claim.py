"""From claims as they are written to claims as they are asked: arms found, margins decided, seeds enough."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from d2lbench.core.errors import GridError
from d2lbench.core.spec import digest, spelled
from d2lbench.grid.claims.measures import metric_entry
from d2lbench.grid.claims.part import PartReader
from d2lbench.grid.claims.statement import Claim, Side
from d2lbench.grid.file.claims import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from d2lbench.core.spec import Component
    from d2lbench.grid.claims.statement import Comparison, Part
    from d2lbench.grid.expand import Expansion
    from d2lbench.grid.file.claims import ClaimText

#: A family-wise error of 5 % must be within reach of the smallest p that so many seeds allow.
ALPHA = 0.05
SPARE_SEEDS = 2


#: The kinds of which a claim about kernels, and one about anything else, may not be.
_NOT_OF_KERNELS, _OF_KERNELS_ONLY = ("comparison", "equivalence"), ("timing",)


def claim(text: ClaimText, expansion: Expansion, scale: str) -> Claim:
    """Return a claim at a scale; where it is not asked there, without parts."""
    head = text.head
    asked = scale in head.scales
    _refuse_kind(text, expansion)
    parts: tuple[Part, ...] = ()
    if asked:
        parts = tuple(PartReader(each, expansion, head.kind, scale).part() for each in text.parts)
    _refuse_mixed_units(parts, text, expansion)
    return Claim(
        id=head.id,
        kind=head.kind,
        origin=head.origin,
        says=head.says,
        source=head.source,
        scales=head.scales,
        asked=asked,
        parts=parts,
        raw=text.raw,
        digest=digest({"kind": head.kind, "parts": [_tested(part) for part in parts] or dict(text.raw)}),
    )


def _refuse_kind(text: ClaimText, expansion: Expansion) -> None:
    """Refuse a comparison of times outside their own family, and one of anything else inside it."""
    kernels = expansion.arms[0].is_timed
    wrong = _NOT_OF_KERNELS if kernels else _OF_KERNELS_ONLY
    if text.head.kind in wrong:
        allowed = ", ".join(kind for kind in KINDS if kind not in wrong)
        problem = "kernels are compared in a family of their own" if kernels else "there is no kernel in this grid"
        raise GridError(problem, key=f"claims.{text.head.id}.kind", given=text.head.kind, allowed=allowed)


def _refuse_mixed_units(parts: tuple[Part, ...], text: ClaimText, expansion: Expansion) -> None:
    """Refuse a claim whose parts speak of different things: it would have no one effect and no one margin to show."""
    registry = expansion.resolver.registry
    units = {(part.as_, metric_entry(registry, part.metric).traits.unit) for part in parts}
    if len(units) > 1:
        problem = "has parts in different units: make them claims of their own"
        given = [part.metric.name for part in parts]
        raise GridError(problem, key=f"claims.{text.head.id}", given=given, allowed="parts in one unit")


def _tested(part: Part) -> dict[str, Any]:
    """Return what a part puts to the test, without the words around it: a claim told better is the same claim."""
    return {
        "metric": _spelled(part.metric),
        "statistic": [_spelled(part.statistic), part.over, part.along],
        "select": _spelled(part.select) if part.select else "",
        "margin": [part.margin, part.as_],
        "comparisons": [
            [comparison.relation, comparison.sign, comparison.first.label, _second(comparison)]
            for comparison in part.comparisons
        ],
    }


def _spelled(component: Component) -> list[Any]:
    """Return a metric or statistic without its defaults: an option that is added later changes no claim."""
    return [component.name, [[name, spelled(value)] for name, value in component.canonical]]


def _second(comparison: Comparison) -> str:
    return comparison.second.label if isinstance(comparison.second, Side) else repr(comparison.second)


def family_seeds(m: int) -> int:
    """Return how many seeds a family of ``m`` needs: the smallest p that they allow, corrected, and two to spare."""
    return math.ceil(math.log2(2 * m / ALPHA)) + SPARE_SEEDS if m else 0


def seeds_required(claims: Iterable[Claim]) -> int:
    """Return how many seeds the comparisons and equivalences that are asked need, or rounds the timings."""
    return family_seeds(sum(1 for each in claims if each.in_family))


def metrics(claims: Iterable[Claim]) -> tuple[Component, ...]:
    """Return the metrics that claims read, those that pick trials included."""
    found = [metric for each in claims for part in each.parts for metric in (part.metric, part.select) if metric]
    return tuple(dict.fromkeys(found))


def own_values(claims: Iterable[Claim]) -> frozenset[str]:
    """Return the labels of the tuned arms whose own values a claim reads, too."""
    return frozenset(
        arm.label
        for each in claims
        for comparison in each.comparisons
        for side in comparison.sides
        if side.reads_own
        for arm in side.arms
        if arm.is_tuned
    )
