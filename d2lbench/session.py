"""A request of the command line, and the session it opens: plugins loaded, grids expanded, the store at hand."""

from __future__ import annotations

import json
import math
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from d2lbench import plugins
from d2lbench.environment import environment
from d2lbench.errors import StoreError, UsageError, nearest_name
from d2lbench.grid import count, find_grids, load, scales
from d2lbench.store import Store
from d2lbench.timing import cases

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from d2lbench.grid.model import Arm, Grid, Size

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
        registry = cases.load()
        plugins.load(request.plugins)
        paths = find_grids(request.names)
        if not request.names:
            asked_at = {path: scales(path) for path in paths}
            self.left_out = {path: known for path, known in asked_at.items() if request.scale not in known}
            paths = [path for path in paths if path not in self.left_out]
        asked: Any = {"scale": request.scale, "sets": request.sets, "seeds": request.seeds}
        sizes = {path: count(path, registry, **asked) for path in paths}
        small = {
            path: load(path, registry, only=request.only, **asked)
            for path, size in sizes.items()
            if size.total <= MANY_CELLS
        }
        self._ask(sum(small[path].size.total if path in small else size.total for path, size in sizes.items()))
        if self.most is not None:
            self.unexpanded = {path: size for path, size in sizes.items() if size.total > self.most}
        self.grids = [
            small[path] if path in small else load(path, registry, only=request.only, **asked)
            for path in paths
            if path not in self.unexpanded
        ]
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


def json_text(content: Any) -> str:
    """Return JSON that every reader takes: what is not a finite number is null."""
    return json.dumps(_finite(content), indent=2, ensure_ascii=False, allow_nan=False)


def _finite(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


def write_file(path: Path, content: str) -> None:
    """Write a text file as a whole or not at all.

    Raises
    ------
    StoreError
        It cannot be written; says why.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, encoding="utf-8", newline="\n", delete=False) as draft:
            draft.write(content)
        Path(draft.name).replace(path)
    except OSError as error:
        problem = f"{path} could not be written: {error.strerror or error}; choose another place with -o"
        raise StoreError(problem) from error
