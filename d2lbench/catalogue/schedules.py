"""Learning-rate schedules: each drives the framework's own scheduler; the engine reads a table off it.

A factory gets a real torch optimizer (of one parameter, at rate 1 per unit) and the number of units (epochs, or
steps where ``unit = "step"``), and returns the scheduler. Every schedule takes a linear warm-up in front, in the
same unit: ``warmup`` units from ``warmup_start`` × the rate up to the rate; the schedule itself then starts, and its
own options (milestones, periods, ``until``) count from there. With ``late = true`` the whole, warm-up included, comes
one unit after it is meant: the first unit has the optimizer's own rate, unit t has what was meant for t − 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Lt, MinLen

from d2lbench.catalogue.stopping import refuse_nothing_to_watch
from d2lbench.core.errors import GridError
from d2lbench.core.kinds import ScheduleTraits
from d2lbench.core.registry import register

if TYPE_CHECKING:
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

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
