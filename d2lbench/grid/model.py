"""What a grid file expands to: arms in their contexts, the rungs they are tuned over, and the cells these need."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from d2lbench.spec import Cell, Component, Config, Measurement, Value

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from d2lbench.grid.statement import Claim, Published
    from d2lbench.grid.untested import Untested

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


@dataclass(frozen=True)
class Factor:
    """One factor of a grid's size; ``plus_one`` where the baseline stands beside the values of ``vary``."""

    count: int
    name: str
    plus_one: bool = False


@dataclass(frozen=True)
class Size:
    """How many cells a grid asks for, as a product; ``exact`` unless conditions or matches take cells away.

    ``counted`` is what they leave, once the grid is expanded.
    """

    factors: tuple[Factor, ...]
    checks: int = 0
    exact: bool = True
    counted: int | None = None

    @property
    def product(self) -> int:
        """The cells of the arms."""
        varied = 1 + sum(factor.count for factor in self.factors if factor.plus_one)
        return varied * math.prod(factor.count for factor in self.factors if not factor.plus_one)

    @property
    def total(self) -> int:
        """The cells of the arms and of the checks, or before expansion a bound on them."""
        return (self.product if self.counted is None else self.counted) + self.checks

    def text(self) -> str:
        """Return the product in words: ``72 cells = 3 [optimizer.lr] × 8 [init] × 3 [seed]``."""
        spelled = []
        varied = [factor for factor in self.factors if factor.plus_one]
        for factor in self.factors:
            if not factor.plus_one:
                spelled.append(f"{factor.count:,} [{factor.name}]")
            elif factor is varied[0]:
                inner = " + ".join(f"{each.count:,} [{each.name}]" for each in varied)
                spelled.append(f"(1 + {inner})")
        bound = "" if self.exact else "at most "
        if self.counted is not None and self.counted != self.product:
            bound = f"{self.counted:,} of "
        text = f"{bound}{self.product:,} cell{'' if self.product == 1 else 's'} = {' × '.join(spelled)}"
        return f"{text}, and {self.checks:,} of checks" if self.checks else text


@dataclass(frozen=True)
class Axis:
    """One thing that differs between arms: the paths it sets (several in ``zip``) and their values."""

    kind: Literal["product", "zip", "vary", "tune"]
    paths: tuple[str, ...]
    values: tuple[tuple[Setting, ...], ...]

    @property
    def name(self) -> str:
        """The paths joined."""
        return " & ".join(self.paths)

    def __len__(self) -> int:
        """Return the number of its values."""
        return len(self.values)


@dataclass(frozen=True)
class Grid:
    """One question, expanded: everything that is run and everything that is asked.

    ``seeds`` are those of this run, ``declared_seeds`` those of the file, of which ``seeds_required`` are the fewest
    that can decide its claims at this scale. ``selected`` holds the labels of the arms that ``only`` leaves,
    ``own_values`` those of tuned arms whose own values a claim reads, too.
    """

    name: str
    file: str
    title: str
    question: str
    scale: Literal["quick", "full"]
    seeds: tuple[int, ...]
    declared_seeds: Sequence[int]
    seeds_required: int
    axes: tuple[Axis, ...]
    arms: tuple[Arm, ...]
    checks: tuple[Arm, ...]
    claims: tuple[Claim, ...]
    metrics: tuple[Component, ...]
    table_select: Component | None
    keep_weights: bool
    size: Size
    digest: str
    document: Mapping[str, Any]
    own_values: frozenset[str] = field(default_factory=frozenset)
    published: tuple[Published, ...] = ()
    untested: tuple[Untested, ...] = ()
    only: tuple[str, ...] = ()
    selected: frozenset[str] = field(default_factory=frozenset)

    @property
    def is_timed(self) -> bool:
        """Whether its arms are kernels, which fresh processes time round by round: the seeds are then the rounds."""
        return any(arm.is_timed for arm in self.arms)

    @property
    def size_text(self) -> str:
        """The size as a product, factor by factor."""
        return self.size.text()

    @property
    def exploratory_seeds(self) -> tuple[int, ...]:
        """The seeds of this run that the file does not declare."""
        return tuple(seed for seed in self.seeds if seed not in self.declared_seeds)

    @property
    def contexts(self) -> tuple[tuple[Setting, ...], ...]:
        """The contexts that have arms, in order."""
        return tuple(dict.fromkeys(arm.context for arm in self.arms))

    def chosen(self) -> tuple[Arm, ...]:
        """Return the arms that are run, checks included."""
        if not self.only:
            return (*self.arms, *self.checks)
        return tuple(arm for arm in self.arms if arm.label in self.selected)

    def cells(self) -> Iterator[Cell]:
        """Iterate over the distinct cells that the run needs, arm by arm and seed by seed."""
        seen: set[str] = set()
        for arm in self.chosen():
            for seed in self.seeds:
                cells = arm.candidates(seed)
                if arm.label in self.own_values:
                    cells = (*cells, arm.default(seed))
                for cell in cells:
                    if cell.id not in seen:
                        seen.add(cell.id)
                        yield cell

    def arm(self, label: str) -> Arm:
        """Return the arm, or the check, of that label.

        Raises
        ------
        KeyError
            There is none.
        """
        for arm in (*self.arms, *self.checks):
            if arm.label == label:
                return arm
        raise KeyError(label)
