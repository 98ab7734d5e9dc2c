"""Schedules that hold a rate or bring it down for good: by a line, a root, steps, or what they watch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Ge, Gt, Lt, MinLen

from d2lbench.catalogue.schedules.options import Factor, Length, Multiple, Share, Unit, Units, warmup_leaves_room
from d2lbench.catalogue.stopping import refuse_nothing_to_watch
from d2lbench.core.errors import GridError
from d2lbench.core.kinds import ScheduleTraits
from d2lbench.core.registry import register

if TYPE_CHECKING:
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

    from d2lbench.core.spec import Config


@register(ScheduleTraits, "constant", check=warmup_leaves_room)
def constant(
    optimizer: Optimizer, units: int, /, *, warmup: Units = 0, warmup_start: Share = 0.0, unit: Unit = "epoch"
) -> LRScheduler:
    """One rate from the first step to the last."""
    from torch.optim.lr_scheduler import LambdaLR

    del units, warmup, warmup_start, unit
    return LambdaLR(optimizer, lambda _: 1.0)


@register(ScheduleTraits, "linear-decay", check=warmup_leaves_room)
def linear_decay(
    optimizer: Optimizer,
    units: int,
    /,
    *,
    start: Annotated[float, Ge(0), Lt(1)] = 0.5,
    warmup: Units = 0,
    warmup_start: Share = 0.0,
    unit: Unit = "epoch",
) -> LRScheduler:
    """The full rate for the share ``start`` of the budget, then in a straight line; 0 one unit after the last."""
    from torch.optim.lr_scheduler import LambdaLR

    del warmup, warmup_start, unit
    first = round(start * units)
    return LambdaLR(optimizer, lambda now: 1.0 if now < first else max(0.0, (units - now) / (units - first)))


@register(ScheduleTraits, "square-root", check=warmup_leaves_room)
def square_root(
    optimizer: Optimizer,
    units: int,
    /,
    *,
    scale: Multiple = 1.0,
    late: bool = False,
    warmup: Units = 0,
    warmup_start: Share = 0.0,
    unit: Unit = "epoch",
) -> LRScheduler:
    """Divide by the square root of the number of units begun (Dive into Deep Learning, section 12.11.2).

    ``scale`` is the schedule's first rate over the optimizer's: the book gives 0.1 to the one and 0.3 to the other.
    ``late`` is how the book applies it: a unit after it is meant.
    """
    from torch.optim.lr_scheduler import LambdaLR

    del units, late, warmup, warmup_start, unit
    return LambdaLR(optimizer, lambda now: scale / (now + 1) ** 0.5)


@register(ScheduleTraits, "step", check=warmup_leaves_room)
def step(
    optimizer: Optimizer,
    units: int,
    /,
    *,
    step_size: Length = 10,
    gamma: Factor = 0.1,
    warmup: Units = 0,
    warmup_start: Share = 0.0,
    unit: Unit = "epoch",
) -> LRScheduler:
    """Multiply by ``gamma`` every ``step_size`` units (Dive into Deep Learning, section 12.11)."""
    from torch.optim.lr_scheduler import StepLR

    del units, warmup, warmup_start, unit
    return StepLR(optimizer, step_size=step_size, gamma=gamma)


@register(ScheduleTraits, "multi-step", check=warmup_leaves_room)
def multi_step(
    optimizer: Optimizer,
    units: int,
    /,
    *,
    milestones: Annotated[tuple[Length, ...], MinLen(1)] = (15, 25),
    gamma: Factor = 0.1,
    spent: Units = 0,
    warmup: Units = 0,
    warmup_start: Share = 0.0,
    unit: Unit = "epoch",
) -> LRScheduler:
    """Multiply by ``gamma`` at each milestone (Dive into Deep Learning, section 12.11.3.2).

    ``spent`` is by how many units the scheduler is stepped before training starts. The book steps it through all its
    30 epochs for a plot and then trains with it, so that its milestones at 15 and 30 lie behind it.
    """
    from torch.optim.lr_scheduler import MultiStepLR

    del units, warmup, warmup_start, unit
    scheduler = MultiStepLR(optimizer, milestones=list(milestones), gamma=gamma)
    for _ in range(spent):
        optimizer.step()  # moves nothing, there being no gradients yet: torch wants it before the scheduler's
        scheduler.step()
    return scheduler


@register(ScheduleTraits, "exponential", check=warmup_leaves_room)
def exponential(
    optimizer: Optimizer,
    units: int,
    /,
    *,
    gamma: Factor = 0.9,
    warmup: Units = 0,
    warmup_start: Share = 0.0,
    unit: Unit = "epoch",
) -> LRScheduler:
    """Multiply by ``gamma`` every unit."""
    from torch.optim.lr_scheduler import ExponentialLR

    del units, warmup, warmup_start, unit
    return ExponentialLR(optimizer, gamma=gamma)


def _plateau_by_epoch(config: Config) -> None:
    warmup_leaves_room(config)
    refuse_nothing_to_watch(config, "schedule")
    watched = str(config.schedule.get("metric"))
    if config.eval_every != 1 and not watched.startswith("batch_"):
        problem = f"watches {watched} after every epoch"
        raise GridError(problem, key="eval_every", given=config.eval_every, allowed='1, or metric = "batch_loss"')
    if (config.eval_train_every or 1) != 1 and watched.startswith("train_"):
        problem, given = f"watches {watched} after every epoch", config.eval_train_every
        raise GridError(problem, key="eval_train_every", given=given, allowed='1, or metric = "batch_loss"')


@register(ScheduleTraits, "plateau", check=_plateau_by_epoch, watches=True)
def plateau(
    optimizer: Optimizer,
    units: int,
    /,
    *,
    metric: Literal["batch_loss", "train_loss", "validation_loss", "validation_accuracy"] = "batch_loss",
    factor: Annotated[float, Gt(0), Lt(1)] = 0.1,
    patience: Units = 2,
    threshold: Annotated[float, Ge(0)] = 1e-4,
    cooldown: Units = 0,
    min_lr: Annotated[float, Ge(0)] = 0.0,
    warmup: Units = 0,
    warmup_start: Share = 0.0,
) -> ReduceLROnPlateau:
    """Multiply by ``factor`` when the watched metric has not improved for more than ``patience`` epochs."""
    from torch.optim.lr_scheduler import ReduceLROnPlateau

    del units, warmup, warmup_start
    mode: Any = "max" if metric.endswith("accuracy") else "min"
    return ReduceLROnPlateau(
        optimizer, mode=mode, factor=factor, patience=patience, threshold=threshold, cooldown=cooldown, min_lr=min_lr
    )
