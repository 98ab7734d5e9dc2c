"""From a file's name to a grid: found, read, changed by scale and command line, expanded, its claims' arms found."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from d2lbench.core.errors import GridError, Mistakes, UsageError, nearest_name, together
from d2lbench.core.kinds import DatasetTraits
from d2lbench.core.spec import Config, digest
from d2lbench.grid.arms import Arm
from d2lbench.grid.claims import claim as claims
from d2lbench.grid.claims.measures import Measures, measured_of, metric_of
from d2lbench.grid.expand import Expansion, Plan
from d2lbench.grid.file import document, reading
from d2lbench.grid.file.shape import seed_list
from d2lbench.grid.model import Grid
from d2lbench.grid.resolve import Resolver, Written, described
from d2lbench.grid.survey import survey

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from d2lbench.core.registry import Registry
    from d2lbench.grid.arms import Configuration
    from d2lbench.grid.claims.statement import Claim, Metric
    from d2lbench.grid.file.claims import Scale
    from d2lbench.grid.file.shape import GridFile
    from d2lbench.grid.model import Size

#: How many seeds, or which: in place of those that the file declares.
Seeds: TypeAlias = "int | Sequence[int] | None"
Result = TypeVar("Result")
FOLDER = "ablations"


def packaged_folder() -> Path:
    """Return where the questions of the package lie: within it, or beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    inside = package / FOLDER
    return inside if inside.is_dir() else package.parent / FOLDER


def find_grids(names: Sequence[str | Path] = ()) -> list[Path]:
    """Return the files of grids named by name or path; of no names, all that travel with the package.

    Raises
    ------
    UsageError
        There is no such grid; says where it was looked for, and the nearest name.
    """
    return list(dict.fromkeys(_find(name) for name in names)) if names else _in(packaged_folder())


def _in(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.toml"), key=lambda path: path.stem) if folder.is_dir() else []


def _find(name: str | Path) -> Path:
    path, folders = Path(name), (Path(FOLDER), packaged_folder())
    if path.suffix == ".toml" or len(path.parts) > 1:
        if path.is_file():
            return path
        problem = f"there is no grid file {path}"
        raise UsageError(problem)
    for folder in folders:
        found = folder / f"{name}.toml"
        if found.is_file():
            return found
    known = dict.fromkeys(found.stem for folder in folders for found in _in(folder))
    nearest = nearest_name(str(name), known)
    problem = f'there is no grid "{name}" in {" or ".join(str(folder) for folder in folders)}'
    problem += f"; there are: {', '.join(known)}" if known else "; there are none"
    raise UsageError(problem + (f'; did you mean "{nearest}"?' if nearest else ""))


def load(
    source: str | Path,
    registry: Registry,
    *,
    scale: Scale = "quick",
    sets: Sequence[str] = (),
    seeds: Seeds = None,
    only: Sequence[str] = (),
    file: str = "",
) -> Grid:
    """Return the grid of a file (or of a text with at least one line break) at a scale, everything looked up.

    Raises
    ------
    GridError
        Everything in it that is not allowed, as far as one mistake does not hide another; nothing has run.
    """
    text, name, file = _text(source, file)
    resolver = Resolver(registry)

    def grid(written: GridFile, mistakes: Mistakes) -> Grid:
        return _grid(written, resolver, mistakes, name=name, path=file, scale=scale, sets=sets, seeds=seeds, only=only)

    return _all_or_every_mistake(text, file, resolver, scale, sets, grid)


def count(
    source: str | Path, registry: Registry, *, scale: Scale = "quick", sets: Sequence[str] = (), seeds: Seeds = None
) -> Size:
    """Return the size of a grid without expanding it: in time and memory of the file, not of the grid.

    Raises
    ------
    GridError
        Something in the file is not allowed: everything that can be told before it is expanded.
    """
    text, _, file = _text(source, "")
    resolver = Resolver(registry)

    def size(written: GridFile, mistakes: Mistakes) -> Size:
        return Plan(written, resolver).size(len(_seeds(written, seeds, mistakes)[1]))

    return _all_or_every_mistake(text, file, resolver, scale, sets, size)


def scales(source: str | Path) -> tuple[Scale, ...]:
    """Return the scales at which the grid of a file is asked.

    Raises
    ------
    GridError
        The file's shape is not that of a grid.
    """
    text, _, file = _text(source, "")
    return parse(text, file).scales


def parse(text: str, file: str = "") -> GridFile:
    """Return the grid file in ``text``, its shape checked and nothing looked up.

    Raises
    ------
    GridError
        Every mistake of its shape: the file, the key, what was given, what is allowed and the nearest name.
    """
    mistakes, found = Mistakes(), None
    with mistakes:
        found = reading.parse(text, mistakes)
    if found is None or mistakes:
        raise _ordered(mistakes, text, file)
    return found


def _all_or_every_mistake(
    text: str,
    file: str,
    resolver: Resolver,
    scale: Scale,
    sets: Sequence[str],
    step: Callable[[GridFile, Mistakes], Result],
) -> Result:
    """Return what ``step`` makes of a grid's file as scale and command line change it, or raise every mistake in it.

    Where there is one, the step is taken only if no arm depends on it, and everything is looked at on its own, too.
    """
    mistakes, written, result = Mistakes(), None, None
    with mistakes:
        written = reading.at_scale(reading.parse(text, mistakes), scale, sets, mistakes)
        _refuse_other_scale(written, scale)
        if written.is_whole:
            result = step(written, mistakes)
    if written is not None and mistakes:
        survey(written, resolver, mistakes)
    if result is None or mistakes:
        raise _ordered(mistakes, text, file)
    return result


def _ordered(mistakes: Mistakes, text: str, file: str) -> GridError:
    """Return all mistakes in the file's order, without those that follow from another.

    These are a key that is missing because it is misspelt, a list of which an item is told, a table that is empty
    because its keys are told, and an option that is unknown for each value of a list anew.
    """
    keys = [each.key for each in mistakes]
    misspelt = {(each.key.rpartition(".")[0], each.nearest) for each in mistakes if each.nearest}
    found: dict[tuple[str, str, str], GridError] = {}
    for each in mistakes:
        inner = f"{each.key}{'.' if each.given == {} else '['}"
        is_told = (each.given == {} or isinstance(each.given, list | tuple)) and any(k.startswith(inner) for k in keys)
        if not is_told and each.key.rpartition(".")[::2] not in misspelt:
            key = each.key if each.given is not None else re.sub(r"\[\d+\]$", "", each.key)
            found.setdefault((key, each.problem, str(each.given)), each)
    errors = list(found.values())
    if len(errors) > 1:
        errors.sort(key=document.order(text))
    return together(each.located(file=file) for each in errors)


def _refuse_other_scale(file: GridFile, scale: Scale) -> None:
    """Refuse a grid that is not asked at the scale, and one without a baseline."""
    if scale not in file.scales and not (scale == "quick" and file.quick):
        problem = f"the grid is not asked at the {scale} scale"
        allowed = " or ".join(f"--scale {each}" for each in file.scales)
        raise GridError(problem, key="scales", given=file.scales, allowed=allowed)
    if not file.base and not file.changes and file.is_whole:
        problem = "is missing"
        allowed = "a table with dataset, model, optimizer, …, or experiment, or kernel"
        raise GridError(problem, key="base", allowed=allowed)


def _text(source: str | Path, file: str) -> tuple[str, str, str]:
    """Return text, the grid's name and the file's."""
    if isinstance(source, str) and ("\n" in source or not source):
        return source, Path(file).stem, file or "<text>"
    path = Path(source)
    try:
        return path.read_bytes().decode("utf-8"), path.stem, file or str(path)
    except UnicodeDecodeError as error:
        problem = f"is not valid text: byte {error.start} is not UTF-8"
        raise GridError(problem, file=str(path), allowed="UTF-8") from None
    except OSError as error:
        problem = f"cannot read {path}: {error.strerror}"
        raise UsageError(problem) from None


def _grid(
    file: GridFile,
    resolver: Resolver,
    mistakes: Mistakes,
    *,
    name: str,
    path: str,
    scale: Scale,
    sets: Sequence[str],
    seeds: Seeds,
    only: Sequence[str],
) -> Grid:
    declared, run = _seeds(file, seeds, mistakes)
    expansion = Expansion(file, resolver, run)
    arms = expansion.arms
    measures = Measures(resolver, measured_of(arms))
    metrics, asked, beside = [], [], []
    for index, raw in enumerate(file.metrics):
        with mistakes:
            metrics.append(measures.metric(raw, f"metrics[{index}]"))
    for text in file.claims:
        with mistakes:
            asked.append(claims.claim(text, expansion, scale))
    for entry in file.published:
        if entry.is_asked(scale, has_quick=bool(file.quick)):
            with mistakes:
                beside.append(claims.published(entry, expansion))
    with mistakes:
        _refuse_few(
            asked, len(declared), "quick.seeds" if scale == "quick" and "seeds" in file.quick else "seeds", scale
        )
    mistakes.refuse()
    added = _check_arms(arms, resolver) if file.checks else ()
    cells = sum(len(arm.rungs) or 1 for arm in arms) * len(run)
    return Grid(
        name=name,
        file=path,
        title=file.title,
        question=file.question,
        scale=scale,
        seeds=tuple(run),
        declared_seeds=declared,
        seeds_required=claims.seeds_required(asked),
        axes=expansion.axes,
        arms=arms,
        checks=added,
        claims=tuple(asked),
        metrics=tuple(dict.fromkeys((*metrics, *claims.metrics(asked), *(each.metric for each in beside)))),
        table_select=_table_select(arms[0].config, resolver),
        keep_weights=file.keep_weights,
        size=replace(expansion.size(len(run)), checks=len(added) * len(run), counted=cells),
        digest=digest({"document": dict(file.document), "scale": scale, "sets": list(sets)}),
        document=file.document,
        own_values=claims.own_values(asked),
        published=tuple(beside),
        untested=file.untested,
        only=tuple(only),
        selected=_selected(arms, only),
    )


def _refuse_few(asked: Sequence[Claim], declared: int, key: str, scale: str) -> None:
    """Refuse a file whose own seeds cannot decide the claims that it asks."""
    required = claims.seeds_required(asked)
    if declared < required:
        family = sum(1 for claim in asked if claim.in_family)
        problem = f"too few seeds for a family of {family} at the {scale} scale: {required} are needed"
        raise GridError(problem, key=key, given=declared, allowed=f"{required} seeds or more")


def _seeds(file: GridFile, given: Seeds, mistakes: Mistakes) -> tuple[Sequence[int], Sequence[int]]:
    """Return the seeds of the file and those of this run."""
    if file.seeds is None:
        mistakes.note(GridError("is missing", key="seeds", allowed="how many seeds, or a list of them"))
    declared: Sequence[int] = file.seeds or range(1)
    if given is None:
        return declared, file.run_seeds or declared
    try:
        return declared, seed_list(given)
    except GridError as error:
        raise error.located(key="--seeds") from None


def _selected(arms: tuple[Arm, ...], only: Sequence[str]) -> frozenset[str]:
    """Return the labels of the arms that ``only`` names, by label or by the label of their change.

    A name that this grid does not have is no mistake here: another grid of the same command may have it.
    """
    return frozenset(
        arm.label for arm in arms if {arm.label, arm.change.label if arm.change else "baseline"} & set(only)
    )


def _check_arms(of: Sequence[Arm], resolver: Resolver) -> tuple[Arm, ...]:
    """Return the checks of a grid: in its first context, untuned, the baseline, its replica, and it at rate 0."""
    baseline = next((arm for arm in of if arm.is_baseline), None)
    if baseline is None or not isinstance(baseline.config, Config):
        return ()
    config, context = baseline.config, baseline.context
    found = []
    if baseline.is_tuned:
        found.append(Arm("check: own values", context, None, config, role="check"))
    again = replace(config, replica=config.replica + 1)
    found.append(Arm("check: replica", context, None, again, role="check", check="replica"))
    entry = resolver.registry.get("optimizer", config.optimizer.name)
    if "lr" in entry.options:
        still = described(entry, {**dict(config.optimizer.options), "lr": 0.0})
        frozen = replace(config, optimizer=still)
        found.append(Arm("check: rate 0", context, None, frozen, role="check", check="zero-rate"))
    return tuple(found)


def _table_select(config: Configuration, resolver: Resolver) -> Metric | None:
    """Return what picks trials for tables: validation accuracy, or loss where nothing is classified."""
    if not isinstance(config, Config):
        return None
    task = resolver.registry.get(DatasetTraits, config.dataset.name).traits.task
    name = "validation_accuracy" if task == "classification" else "validation_loss"
    if name not in resolver.registry.names("metric"):
        return None
    return metric_of(resolver.registry, resolver.component("metric", Written({"name": name}, "metrics")))
