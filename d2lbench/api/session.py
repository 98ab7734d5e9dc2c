"""A request of the command line, and the session it opens: plugins loaded, grids expanded, the store at hand."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from d2lbench.catalogue import plugins
from d2lbench.core.environment import environment
from d2lbench.core.errors import Mistakes, UsageError, nearest_name
from d2lbench.grid import count, find_grids, load, scales
from d2lbench.store import Store
from d2lbench.store.machines import environment_of
from d2lbench.timing import cases

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from d2lbench.core.registry import Registry
    from d2lbench.grid.arms import Arm
    from d2lbench.grid.claims.statement import Claim
    from d2lbench.grid.model import Grid, Size

#: Above this many cells a run asks first.
MANY_CELLS = 10_000


@dataclass(frozen=True)
class Request:
    """What the command line asks for."""

    names: tuple[str, ...] = ()
    scale: Literal["quick", "full"] = "quick"
    store: Path = Path(".d2lbench/store.sqlite")
    output: Path = Path(".d2lbench/report")
    device: str = "cpu"
    jobs: int | None = None
    sets: tuple[str, ...] = ()
    seeds: int | None = None
    only: tuple[str, ...] = ()
    plugins: tuple[Path, ...] = ()

    @property
    def command(self) -> str:
        """The command that repeats this request, without the places that belong to one machine."""
        words = ["d2lbench run", f"--scale {self.scale}", f"--device {self.device}" if self.device != "cpu" else ""]
        words += [f"--set '{item}'" for item in self.sets] + [f"--only '{item}'" for item in self.only]
        words += [f"--seeds {self.seeds}"] if self.seeds else []
        return " ".join([*filter(None, words), *(Path(name).stem for name in self.names)])


def registered(plugin_files: Iterable[Path] = ()) -> Registry:
    """Return all that a grid can name: what is built in, the kernel cases, and what plug-ins add.

    Raises
    ------
    UsageError
        A plug-in is missing or fails.
    """
    registry = cases.load()
    plugins.load(plugin_files)
    return registry


@dataclass
class Session:
    """A request with its plugins loaded and its grids expanded; a grid's mistake ends it before anything runs.

    ``confirm`` is asked before more than 10,000 cells are run: of a grid that alone has more, the number is known
    without expanding it. Grids of more than ``most`` cells are not expanded at all. Where no grid is named, those that
    are not asked at the scale are left out; one that is named and not asked there is a mistake.
    """

    request: Request
    confirm: Callable[[str], bool] | None = None
    most: int | None = None
    grids: list[Grid] = field(default_factory=list)
    unexpanded: dict[Path, Size] = field(default_factory=dict)
    left_out: dict[Path, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Load everything."""
        request = self.request
        registry = registered(request.plugins)
        paths = find_grids(request.names)
        mistakes = Mistakes()
        if not request.names:
            asked_at = {path: scales(path) for path in paths}
            self.left_out = {path: known for path, known in asked_at.items() if request.scale not in known}
            paths = [path for path in paths if path not in self.left_out]
        asked: Any = {"scale": request.scale, "sets": request.sets, "seeds": request.seeds}
        sizes: dict[Path, Size] = {}
        small: dict[Path, Grid] = {}
        for path in paths:
            with mistakes:
                sizes[path] = count(path, registry, **asked)
                if sizes[path].total <= MANY_CELLS:
                    small[path] = load(path, registry, only=request.only, **asked)
        mistakes.refuse()
        self._ask(sum(small[path].size.total if path in small else size.total for path, size in sizes.items()))
        if self.most is not None:
            self.unexpanded = {path: size for path, size in sizes.items() if size.total > self.most}
        for path in paths:
            if path not in small and path not in self.unexpanded:
                with mistakes:
                    small[path] = load(path, registry, only=request.only, **asked)
        mistakes.refuse()
        self.grids = [small[path] for path in paths if path in small and path not in self.unexpanded]
        _refuse_unmatched(request.only, self.grids)
        if request.only:
            self.grids = [grid for grid in self.grids if grid.selected]

    def _ask(self, total: int) -> None:
        """Have a run of many cells confirmed; a grid that alone has too many is not expanded for it."""
        if self.confirm is not None and total > MANY_CELLS and not self.confirm(f"{total:,} cells. Go on?"):
            problem = f"{total:,} cells are more than {MANY_CELLS:,}; say --yes to run them"
            raise UsageError(problem)

    @property
    def environment(self) -> str:
        """The environment of the runs on the device asked for."""
        return environment(self.request.device).key

    def open_store(self, *, create: bool = False) -> Store:
        """Open the store."""
        return Store(self.request.store, create=create)


def _refuse_unmatched(only: Sequence[str], grids: Sequence[Grid]) -> None:
    """Refuse a name that no arm of any grid has."""
    arms = [arm for grid in grids for arm in grid.arms]
    changes = dict.fromkeys(map(_change, arms))
    for name in only:
        if name not in changes and all(arm.label != name for arm in arms):
            near = nearest_name(name, changes)
            hint = f'; did you mean "{near}"?' if near else ""
            problem = f'--only "{name}": no arm is called that; arms: {", ".join(changes)}{hint}'
            raise UsageError(problem)


def _change(arm: Arm) -> str:
    return arm.change.label if arm.change else "baseline"


def note_claims(grids: Sequence[Grid], store: Store, environment: str) -> None:
    """Write down the moment each claim is first seen, and whether data that answer it were there before it.

    Where both scales share their cells, what was declared before its data at one of them was so at the other.
    """
    places = {id(grid): environment_of(grid, store, environment) for grid in grids}
    finished = {place: store.finished(place) for place in set(places.values())}
    store.see_claims(
        [
            (grid.name, grid.scale, claim.id, claim.digest, has_data and not _declared_before(store, grid, claim))
            for grid in grids
            for has_data in [any(cell.id in finished[places[id(grid)]] for cell in grid.cells())]
            for claim in grid.claims
        ]
    )


def _declared_before(store: Store, grid: Grid, claim: Claim) -> bool:
    """Say whether the same claim was seen before its data, at whichever scale."""
    seen = (store.claim_seen(grid.name, scale, claim.id, claim.digest) for scale in ("quick", "full"))
    return any(each is not None and not each[1] for each in seen)


def refuse_missing_device(device: str) -> None:
    """Refuse a GPU where torch finds none.

    Raises
    ------
    UsageError
        It is asked for and not there.
    """
    if device == "cuda":
        import torch

        if not torch.cuda.is_available():
            problem = "--device cuda: torch finds no CUDA device here; use --device cpu"
            raise UsageError(problem)
