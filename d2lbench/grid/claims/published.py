"""Published numbers against the arms of a grid: which arm each stands beside, and what is read of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from d2lbench.core.errors import GridError, nearest_name
from d2lbench.grid.claims import sides
from d2lbench.grid.claims.measures import Measures, measured_of
from d2lbench.grid.claims.statement import Published

if TYPE_CHECKING:
    from d2lbench.grid.arms import Arm
    from d2lbench.grid.expand import Expansion
    from d2lbench.grid.file.published import PublishedText


def published(text: PublishedText, expansion: Expansion) -> Published:
    """Return a published number with its arm and its metric found.

    Raises
    ------
    GridError
        The metric is unknown or a curve; no arm or several are selected, or one whose setting the seeds pick.
    """
    arm = _arm(text, expansion)
    metric = Measures(expansion.resolver, measured_of((arm,))).metric(text.metric, f"{text.key}.metric")
    if dict(metric.options).get("at") == "each":
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


def _arm(text: PublishedText, expansion: Expansion) -> Arm:
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
