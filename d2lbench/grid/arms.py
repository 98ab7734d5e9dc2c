"""Arms: configurations without their seed, in their contexts, with the trials they are tuned over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from d2lbench.core.spec import Cell, Component, Config, Measurement, Value

Configuration: TypeAlias = Config | Measurement


@dataclass(frozen=True)
class Setting:
    """One key with its value: a number, a text, a list, or the component that a name stands for."""

    path: str
    value: Value | Component
    label: str

    @property
    def number(self) -> float | None:
        """The value as a position on an axis, where it is a number."""
        if isinstance(self.value, bool) or not isinstance(self.value, int | float):
            return None
        return float(self.value)


@dataclass(frozen=True)
class Rung:
    """One trial of a tuned arm: a ladder's rung, the same for every seed, or a draw that differs by seed."""

    settings: tuple[Setting, ...]
    configs: tuple[Configuration, ...]
    seeds: tuple[int, ...] = ()
    label: str = ""

    @property
    def is_drawn(self) -> bool:
        """Whether its values are drawn by the seed."""
        return bool(self.seeds)

    def config(self, seed: int) -> Configuration:
        """Return the configuration of this rung at ``seed``."""
        return self.configs[self.seeds.index(seed)] if self.seeds else self.configs[0]

    def position(self, path: str) -> float | None:
        """Return the rung's number on the axis ``path``, where it has one for all seeds."""
        return next((setting.number for setting in self.settings if setting.path == path), None)


@dataclass(frozen=True)
class Arm:
    """A configuration without its seed: a context, at most one change from the baseline, and how it is tuned."""

    label: str
    context: tuple[Setting, ...]
    change: Setting | None
    config: Configuration
    rungs: tuple[Rung, ...] = ()
    role: Literal["arm", "check"] = "arm"
    check: Literal["", "replica", "zero-rate"] = ""

    @property
    def is_baseline(self) -> bool:
        """Whether it is the baseline of its context."""
        return self.change is None and self.role == "arm"

    @property
    def is_timed(self) -> bool:
        """Whether it is a kernel."""
        return isinstance(self.config, Measurement) and self.config.is_timed

    @property
    def is_tuned(self) -> bool:
        """Whether it has trials."""
        return bool(self.rungs)

    @property
    def tuned_keys(self) -> tuple[str, ...]:
        """The keys that its trials set."""
        return tuple(setting.path for setting in self.rungs[0].settings) if self.rungs else ()

    def trials(self, seed: int) -> tuple[Cell, ...]:
        """Return the cells of its rungs, in the order of the file; none where it is not tuned."""
        return tuple(Cell(rung.config(seed), seed) for rung in self.rungs)

    def default(self, seed: int) -> Cell:
        """Return the cell of the arm's own values."""
        return Cell(self.config, seed)

    def candidates(self, seed: int) -> tuple[Cell, ...]:
        """Return the cells from which ``tuned`` picks: its trials, or the one of its own values."""
        return self.trials(seed) or (self.default(seed),)
