"""What the schedules' options may be, and the check that all of them share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge, Gt, Le

from d2lbench.core.errors import GridError

if TYPE_CHECKING:
    from d2lbench.core.spec import Config

Units = Annotated[int, Ge(0)]
Length = Annotated[int, Ge(1)]
Share = Annotated[float, Ge(0), Le(1)]
Factor = Annotated[float, Gt(0), Le(1)]
Multiple = Annotated[float, Gt(0)]
Unit = Literal["epoch", "step"]


def warmup_leaves_room(config: Config) -> None:
    """Refuse a warm-up that leaves the schedule nothing; one in steps cannot be judged before the data are known.

    Raises
    ------
    GridError
        The warm-up, in epochs, is as long as the budget or longer.
    """
    schedule = config.schedule
    if schedule.get("unit", "epoch") == "epoch" and schedule.get("warmup", 0) >= config.epochs:
        problem = "the warm-up takes the whole budget"
        raise GridError(
            problem, key="schedule.warmup", given=schedule.get("warmup"), allowed=f"fewer than {config.epochs} epochs"
        )
