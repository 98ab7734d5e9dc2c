"""What a grid file expands to: arms in their contexts, the rungs they are tuned over, and the cells these need."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from d2lbench.core.spec import Cell
    from d2lbench.grid.arms import Arm, Setting
    from d2lbench.grid.claims.statement import Claim, Metric, Published
    from d2lbench.grid.file.claims import Untested


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
    metrics: tuple[Metric, ...]
    table_select: Metric | None
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
