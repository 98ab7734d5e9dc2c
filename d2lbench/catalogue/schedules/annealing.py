"""Schedules on a cosine: one descent, one that starts over, and a rise before the descent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge, Gt, Lt

from d2lbench.catalogue.schedules.options import Length, Multiple, Share, Unit, Units, warmup_leaves_room
from d2lbench.core.errors import GridError
from d2lbench.core.kinds import ScheduleTraits
from d2lbench.core.registry import register

if TYPE_CHECKING:
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler

    from d2lbench.core.spec import Config


@register(ScheduleTraits, "cosine", check=warmup_leaves_room)
def cosine(
    optimizer: Optimizer,
    units: int,
    /,
    *,
    minimum: Share = 0.0,
    until: Length | None = None,
    late: bool = False,
    warmup: Units = 0,
    warmup_start: Share = 0.0,
    unit: Unit = "epoch",
) -> LRScheduler:
    """Half a cosine down to ``minimum`` × the rate, one unit after the last (Loshchilov and Hutter 2017).

    With ``until`` it is there after so many units, the warm-up not counted, and stays: the ``max_update`` of Dive into
    Deep Learning, section 12.11.3.3, is ``warmup + until``. ``late`` is how the book applies it: a unit after it is
    meant, warm-up included.
    """
    from torch.optim.lr_scheduler import CosineAnnealingLR

    class Held(CosineAnnealingLR):
        """Torch's own goes up again behind its end; this one stays there."""

        def get_lr(self) -> list[Any]:
            return super().get_lr() if self.last_epoch <= self.T_max else self.get_last_lr()

    del late, warmup, warmup_start, unit
    lr = optimizer.param_groups[0]["lr"]
    return Held(optimizer, T_max=until or units, eta_min=minimum * lr)


@register(ScheduleTraits, "cosine-restarts", check=warmup_leaves_room)
def cosine_restarts(
    optimizer: Optimizer,
    units: int,
    /,
    *,
    period: Length = 10,
    growth: Length = 1,
    minimum: Share = 0.0,
    warmup: Units = 0,
    warmup_start: Share = 0.0,
    unit: Unit = "epoch",
) -> LRScheduler:
    """Half a cosine down to ``minimum`` × the rate, again and again from the top (Loshchilov and Hutter 2017).

    The first descent takes ``period`` units, each later one ``growth`` times the one before it.
    """
    from torch.optim.lr_scheduler import CosineAnnealingWarmRestarts

    del units, warmup, warmup_start, unit
    lr = optimizer.param_groups[0]["lr"]
    return CosineAnnealingWarmRestarts(optimizer, T_0=period, T_mult=growth, eta_min=minimum * lr)


def _rise_takes_time(config: Config) -> None:
    warmup_leaves_room(config)
    schedule = config.schedule
    epochs = config.epochs - int(schedule.get("warmup", 0))
    share = float(schedule.get("pct_start"))
    if schedule.get("unit") == "epoch" and share * epochs <= 1:
        problem = f"the rate cannot rise within one of {epochs} epochs"
        raise GridError(
            problem, key="schedule.pct_start", given=share, allowed=f'more than 1/{epochs}, or unit = "step"'
        )


@register(ScheduleTraits, "one-cycle", check=_rise_takes_time)
def one_cycle(
    optimizer: Optimizer,
    units: int,
    /,
    *,
    peak: Multiple = 1.0,
    pct_start: Annotated[float, Gt(0), Lt(1)] = 0.3,
    div_factor: Annotated[float, Ge(1)] = 25.0,
    final_div_factor: Annotated[float, Ge(1)] = 1e4,
    warmup: Units = 0,
    warmup_start: Share = 0.0,
    unit: Unit = "epoch",
) -> LRScheduler:
    """Up to ``peak`` × the rate for the share ``pct_start`` of the budget, then down (Smith and Topin 2018).

    Both ways follow a cosine, from the peak over ``div_factor`` and to that over ``final_div_factor``, in the last
    unit. The momentum stays as it is.
    """
    from torch.optim.lr_scheduler import OneCycleLR

    del warmup, warmup_start, unit
    return OneCycleLR(
        optimizer,
        max_lr=peak * optimizer.param_groups[0]["lr"],
        total_steps=units,
        pct_start=pct_start,
        div_factor=div_factor,
        final_div_factor=final_div_factor,
        cycle_momentum=False,
    )
