"""Learning-rate schedules: each drives the framework's own scheduler; the engine reads a table off it.

A factory gets a real torch optimizer (of one parameter, at rate 1 per unit) and the number of units (epochs, or
steps where ``unit = "step"``), and returns the scheduler. Every schedule takes a linear warm-up in front, in the
same unit: ``warmup`` units from ``warmup_start`` × the rate up to the rate; the schedule itself then starts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Lt, MinLen

from d2lbench.errors import GridError
from d2lbench.registry import register

if TYPE_CHECKING:
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

    from d2lbench.spec import Config

Units = Annotated[int, Ge(0)]
Share = Annotated[float, Ge(0), Le(1)]
Factor = Annotated[float, Gt(0), Le(1)]
Unit = Literal["epoch", "step"]


def _warmup_leaves_room(config: Config) -> None:
    schedule = config.schedule
    if schedule.get("unit", "epoch") == "epoch" and schedule.get("warmup", 0) >= config.epochs:
        problem = "the warm-up takes the whole budget"
        raise GridError(
            problem, key="schedule.warmup", given=schedule.get("warmup"), allowed=f"fewer than {config.epochs} epochs"
        )


@register("schedule", "constant", check=_warmup_leaves_room)
def constant(
    optimizer: Optimizer, units: int, /, *, warmup: Units = 0, warmup_start: Share = 0.0, unit: Unit = "epoch"
) -> LRScheduler:
    """One rate from the first step to the last."""
    from torch.optim.lr_scheduler import LambdaLR

    del units, warmup, warmup_start, unit
    return LambdaLR(optimizer, lambda _: 1.0)


@register("schedule", "linear-decay", check=_warmup_leaves_room)
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


@register("schedule", "step", check=_warmup_leaves_room)
def step(
    optimizer: Optimizer,
    units: int,
    /,
    *,
    step_size: Annotated[int, Ge(1)] = 10,
    gamma: Factor = 0.1,
    warmup: Units = 0,
    warmup_start: Share = 0.0,
    unit: Unit = "epoch",
) -> LRScheduler:
    """Multiply by ``gamma`` every ``step_size`` units (Dive into Deep Learning, section 12.11)."""
    from torch.optim.lr_scheduler import StepLR

    del units, warmup, warmup_start, unit
    return StepLR(optimizer, step_size=step_size, gamma=gamma)


@register("schedule", "multi-step", check=_warmup_leaves_room)
def multi_step(
    optimizer: Optimizer,
    units: int,
    /,
    *,
    milestones: Annotated[tuple[Annotated[int, Ge(1)], ...], MinLen(1)] = (15, 25),
    gamma: Factor = 0.1,
    warmup: Units = 0,
    warmup_start: Share = 0.0,
    unit: Unit = "epoch",
) -> LRScheduler:
    """Multiply by ``gamma`` at each milestone (Dive into Deep Learning, section 12.11.3.2)."""
    from torch.optim.lr_scheduler import MultiStepLR

    del units, warmup, warmup_start, unit
    return MultiStepLR(optimizer, milestones=list(milestones), gamma=gamma)


@register("schedule", "exponential", check=_warmup_leaves_room)
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


@register("schedule", "cosine", check=_warmup_leaves_room)
def cosine(
    optimizer: Optimizer,
    units: int,
    /,
    *,
    minimum: Share = 0.0,
    warmup: Units = 0,
    warmup_start: Share = 0.0,
    unit: Unit = "epoch",
) -> LRScheduler:
    """Half a cosine down to ``minimum`` × the rate, one unit after the last (Loshchilov and Hutter 2017)."""
    from torch.optim.lr_scheduler import CosineAnnealingLR

    del warmup, warmup_start, unit
    lr = optimizer.param_groups[0]["lr"]
    return CosineAnnealingLR(optimizer, T_max=units, eta_min=minimum * lr)


def _plateau_by_epoch(config: Config) -> None:
    _warmup_leaves_room(config)
    watched = str(config.schedule.get("metric"))
    if config.eval_every != 1 and not watched.startswith("batch_"):
        problem = f"watches {watched} after every epoch"
        raise GridError(problem, key="eval_every", given=config.eval_every, allowed='1, or metric = "batch_loss"')


@register("schedule", "plateau", check=_plateau_by_epoch, watches=True)
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
