"""Learning-rate schedules: each makes torch's own scheduler, from which the engine reads a table of rates.

A factory gets a real torch optimizer (of one parameter, at rate 1 per unit) and the number of units (epochs, or
steps where ``unit = "step"``), and returns the scheduler. Every schedule takes a linear warm-up in front, in the
same unit: ``warmup`` units from ``warmup_start`` × the rate up to the rate; the schedule itself then starts, and its
own options (milestones, periods, ``until``) count from there. With ``late = true`` the whole, warm-up included, comes
one unit after it is meant: the first unit has the optimizer's own rate, unit t has what was meant for t − 1.
"""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from annotated_types import Ge, Gt, Le, Lt, MinLen

from d2lbench.catalogue.stopping import refuse_nothing_to_watch
from d2lbench.core.errors import GridError
from d2lbench.core.kinds import ScheduleTraits
from d2lbench.core.registry import register

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

    from d2lbench.core.spec import Config

Build = TypeVar("Build", bound="Callable[..., LRScheduler | ReduceLROnPlateau]")
Units = Annotated[int, Ge(0)]
Length = Annotated[int, Ge(1)]
Share = Annotated[float, Ge(0), Le(1)]
Factor = Annotated[float, Gt(0), Le(1)]
Multiple = Annotated[float, Gt(0)]
Unit = Literal["epoch", "step"]


def _warmup_leaves_room(config: Config) -> None:
    """Refuse a warm-up as long as training; one in steps can only be checked when the data are known.

    Raises
    ------
    GridError
        The warm-up, in epochs, leaves the schedule no epoch.
    """
    schedule = config.schedule
    if schedule.get("unit", "epoch") == "epoch" and schedule.get("warmup", 0) >= config.epochs:
        problem = "the warm-up takes the whole budget"
        raise GridError(
            problem, key="schedule.warmup", given=schedule.get("warmup"), allowed=f"fewer than {config.epochs} epochs"
        )


def _warm_up(*, warmup: Units = 0, warmup_start: Share = 0.0, unit: Unit = "epoch") -> None:
    """Take the options that every schedule has and the engine obeys; only its signature is used."""


def _schedule(
    name: str, *, check: Callable[[Config], None] = _warmup_leaves_room, watches: bool = False
) -> Callable[[Build], Build]:
    """Register a schedule with the options of the warm-up behind its own; one that watches a metric has no ``unit``."""

    def decorate(build: Build) -> Build:
        own, warm = (inspect.signature(each).parameters for each in (build, _warm_up))

        @functools.wraps(build)
        def factory(optimizer: Optimizer, units: int, /, **options: Any) -> LRScheduler | ReduceLROnPlateau:
            return build(optimizer, units, **{name: value for name, value in options.items() if name not in warm})

        behind = [parameter for parameter in warm.values() if not (watches and parameter.name == "unit")]
        vars(factory)["__signature__"] = inspect.Signature([*own.values(), *behind])
        register(ScheduleTraits, name, check=check, watches=watches)(factory)
        return build

    return decorate


@_schedule("cosine")
def cosine(
    optimizer: Optimizer, units: int, /, *, minimum: Share = 0.0, until: Length | None = None, late: bool = False
) -> LRScheduler:
    """Half a cosine down to ``minimum`` × the rate, one unit after the last (Loshchilov and Hutter 2017).

    With ``until`` it is there after so many units, the warm-up not counted, and stays: the ``max_update`` of Dive into
    Deep Learning, section 12.11.3.3, is ``warmup + until``. ``late`` is how the book applies it: a unit after it is
    meant, warm-up included.
    """
    from torch.optim.lr_scheduler import CosineAnnealingLR

    class Held(CosineAnnealingLR):
        """Stays at its end, behind which torch's own rises again."""

        def get_lr(self) -> list[Any]:
            return super().get_lr() if self.last_epoch <= self.T_max else self.get_last_lr()

    del late
    lr = optimizer.param_groups[0]["lr"]
    return Held(optimizer, T_max=until or units, eta_min=minimum * lr)


@_schedule("cosine-restarts")
def cosine_restarts(
    optimizer: Optimizer, units: int, /, *, period: Length = 10, growth: Length = 1, minimum: Share = 0.0
) -> LRScheduler:
    """Half a cosine down to ``minimum`` × the rate, again and again from the top (Loshchilov and Hutter 2017).

    The first descent takes ``period`` units, each later one ``growth`` times the one before it.
    """
    from torch.optim.lr_scheduler import CosineAnnealingWarmRestarts

    del units
    lr = optimizer.param_groups[0]["lr"]
    return CosineAnnealingWarmRestarts(optimizer, T_0=period, T_mult=growth, eta_min=minimum * lr)


def _rise_takes_time(config: Config) -> None:
    _warmup_leaves_room(config)
    schedule = config.schedule
    epochs = config.epochs - int(schedule.get("warmup", 0))
    share = float(schedule.get("pct_start"))
    if schedule.get("unit") == "epoch" and share * epochs <= 1:
        problem = f"the rate cannot rise within one of {epochs} epochs"
        raise GridError(
            problem, key="schedule.pct_start", given=share, allowed=f'more than 1/{epochs}, or unit = "step"'
        )


@_schedule("one-cycle", check=_rise_takes_time)
def one_cycle(
    optimizer: Optimizer,
    units: int,
    /,
    *,
    peak: Multiple = 1.0,
    pct_start: Annotated[float, Gt(0), Lt(1)] = 0.3,
    div_factor: Annotated[float, Ge(1)] = 25.0,
    final_div_factor: Annotated[float, Ge(1)] = 1e4,
) -> LRScheduler:
    """Up to ``peak`` × the rate for the share ``pct_start`` of the budget, then down (Smith and Topin 2018).

    Both ways follow a cosine, from the peak over ``div_factor`` and to that over ``final_div_factor``, in the last
    unit. The momentum stays as it is.
    """
    from torch.optim.lr_scheduler import OneCycleLR

    return OneCycleLR(
        optimizer,
        max_lr=peak * optimizer.param_groups[0]["lr"],
        total_steps=units,
        pct_start=pct_start,
        div_factor=div_factor,
        final_div_factor=final_div_factor,
        cycle_momentum=False,
    )


@_schedule("constant")
def constant(optimizer: Optimizer, units: int, /) -> LRScheduler:
    """One rate from the first step to the last."""
    from torch.optim.lr_scheduler import LambdaLR

    del units
    return LambdaLR(optimizer, lambda _: 1.0)


@_schedule("linear-decay")
def linear_decay(optimizer: Optimizer, units: int, /, *, start: Annotated[float, Ge(0), Lt(1)] = 0.5) -> LRScheduler:
    """The full rate for the share ``start`` of the budget, then in a straight line; 0 one unit after the last."""
    from torch.optim.lr_scheduler import LambdaLR

    first = round(start * units)
    return LambdaLR(optimizer, lambda now: 1.0 if now < first else max(0.0, (units - now) / (units - first)))


@_schedule("square-root")
def square_root(optimizer: Optimizer, units: int, /, *, scale: Multiple = 1.0, late: bool = False) -> LRScheduler:
    """Divide by the square root of the number of units begun (Dive into Deep Learning, section 12.11.2).

    ``scale`` is the schedule's first rate over the optimizer's: the book gives 0.1 to the one and 0.3 to the other.
    ``late`` is how the book applies it: a unit after it is meant.
    """
    from torch.optim.lr_scheduler import LambdaLR

    del units, late
    return LambdaLR(optimizer, lambda now: scale / (now + 1) ** 0.5)


@_schedule("step")
def step(optimizer: Optimizer, units: int, /, *, step_size: Length = 10, gamma: Factor = 0.1) -> LRScheduler:
    """Multiply by ``gamma`` every ``step_size`` units (Dive into Deep Learning, section 12.11)."""
    from torch.optim.lr_scheduler import StepLR

    del units
    return StepLR(optimizer, step_size=step_size, gamma=gamma)


@_schedule("multi-step")
def multi_step(
    optimizer: Optimizer,
    units: int,
    /,
    *,
    milestones: Annotated[tuple[Length, ...], MinLen(1)] = (15, 25),
    gamma: Factor = 0.1,
    spent: Units = 0,
) -> LRScheduler:
    """Multiply by ``gamma`` at each milestone (Dive into Deep Learning, section 12.11.3.2).

    ``spent`` is by how many units the scheduler is stepped before training starts. The book steps it through all its
    30 epochs for a plot and then trains with it, so that its milestones at 15 and 30 lie behind it.
    """
    from torch.optim.lr_scheduler import MultiStepLR

    del units
    scheduler = MultiStepLR(optimizer, milestones=list(milestones), gamma=gamma)
    for _ in range(spent):
        optimizer.step()  # moves nothing, there being no gradients yet: torch wants it before the scheduler's
        scheduler.step()
    return scheduler


@_schedule("exponential")
def exponential(optimizer: Optimizer, units: int, /, *, gamma: Factor = 0.9) -> LRScheduler:
    """Multiply by ``gamma`` every unit."""
    from torch.optim.lr_scheduler import ExponentialLR

    del units
    return ExponentialLR(optimizer, gamma=gamma)


def _plateau_by_epoch(config: Config) -> None:
    _warmup_leaves_room(config)
    refuse_nothing_to_watch(config, "schedule")
    watched = str(config.schedule.get("metric"))
    if config.eval_every != 1 and not watched.startswith("batch_"):
        problem = f"watches {watched} after every epoch"
        raise GridError(problem, key="eval_every", given=config.eval_every, allowed='1, or metric = "batch_loss"')
    if (config.eval_train_every or 1) != 1 and watched.startswith("train_"):
        problem, given = f"watches {watched} after every epoch", config.eval_train_every
        raise GridError(problem, key="eval_train_every", given=given, allowed='1, or metric = "batch_loss"')


@_schedule("plateau", check=_plateau_by_epoch, watches=True)
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
) -> ReduceLROnPlateau:
    """Multiply by ``factor`` when the watched metric has not improved for more than ``patience`` epochs."""
    from torch.optim.lr_scheduler import ReduceLROnPlateau

    del units
    mode: Any = "max" if metric.endswith("accuracy") else "min"
    return ReduceLROnPlateau(
        optimizer, mode=mode, factor=factor, patience=patience, threshold=threshold, cooldown=cooldown, min_lr=min_lr
    )
