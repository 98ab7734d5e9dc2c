"""From a file's name to a grid: read, put the scale and the command line over it, expand, find the claims' arms."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from d2lbench.core.errors import GridError, UsageError
from d2lbench.core.spec import digest
from d2lbench.grid import checks
from d2lbench.grid.claims import claim as claims
from d2lbench.grid.claims.measures import Measures, measured_of
from d2lbench.grid.expand import Expansion
from d2lbench.grid.file.overrides import Scale, at_scale
from d2lbench.grid.file.shape import GridFile, parse, seed_list
from d2lbench.grid.model import Grid, Size
from d2lbench.grid.resolve import Resolver
from d2lbench.grid.sizes import counted, size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from d2lbench.core.registry import Registry
    from d2lbench.grid.arms import Arm
    from d2lbench.grid.claims.statement import Claim

#: How many seeds, or which: in place of those that the file declares.
Seeds: TypeAlias = "int | Sequence[int] | None"


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
        Something in it is not allowed; nothing has run.
    """
    text, name, file = _text(source, file)
    try:
        written = _written(text, file, scale, sets)
        return _grid(written, registry, name, scale=scale, sets=sets, seeds=seeds, only=only)
    except GridError as error:
        raise error.located(file=file) from None


def count(
    source: str | Path, registry: Registry, *, scale: Scale = "quick", sets: Sequence[str] = (), seeds: Seeds = None
) -> Size:
    """Return the size of a grid without expanding it: in time and memory of the file, not of the grid.

    Raises
    ------
    GridError
        Something in its axes is not allowed.
    """
    text, _, file = _text(source, "")
    try:
        written = _written(text, file, scale, sets)
        return size(written, Resolver(registry), len(_seeds(written, seeds)[1]))
    except GridError as error:
        raise error.located(file=file) from None


def scales(source: str | Path) -> tuple[Scale, ...]:
    """Return the scales at which the grid of a file is asked.

    Raises
    ------
    GridError
        The file's shape is not that of a grid.
    """
    text, _, file = _text(source, "")
    return parse(text, file).scales


def _text(source: str | Path, file: str) -> tuple[str, str, str]:
    """Return text, the grid's name and the file's."""
    if isinstance(source, str) and ("\n" in source or not source):
        return source, Path(file).stem, file or "<text>"
    path = Path(source)
    try:
        return path.read_bytes().decode("utf-8"), path.stem, file or str(path)
    except UnicodeDecodeError as error:
        problem = f"is not valid text: {error.reason} at byte {error.start}"
        raise GridError(problem, file=str(path), allowed="UTF-8") from None
    except OSError as error:
        problem = f"cannot read {path}: {error.strerror}"
        raise UsageError(problem) from None


def _written(text: str, file: str, scale: Scale, sets: Sequence[str]) -> GridFile:
    """Return a grid's file as scale and command line change it; refused where it is not asked at the scale."""
    parsed = parse(text, file)
    if scale not in parsed.scales:
        problem = f"the grid is not asked at the {scale} scale"
        allowed = " or ".join(f"--scale {each}" for each in parsed.scales)
        raise GridError(problem, key="scales", given=parsed.scales, allowed=allowed)
    changed = at_scale(parsed, scale, sets)
    if not changed.base and not changed.changes:
        problem = "is missing"
        allowed = "a table with dataset, model, optimizer, …, or experiment, or kernel"
        raise GridError(problem, key="base", allowed=allowed)
    return changed


def _grid(
    file: GridFile,
    registry: Registry,
    name: str,
    *,
    scale: Scale,
    sets: Sequence[str],
    seeds: Seeds,
    only: Sequence[str],
) -> Grid:
    declared, run = _seeds(file, seeds)
    resolver = Resolver(registry)
    expansion = Expansion(file, resolver, run)
    measures = Measures(resolver, measured_of(expansion.arms))
    metrics = [measures.metric(raw, f"metrics[{index}]") for index, raw in enumerate(file.metrics)]
    asked = tuple(claims.claim(text, expansion, scale) for text in file.claims)
    beside = tuple(
        claims.published(text, expansion) for text in file.published if text.is_asked(scale, has_quick=bool(file.quick))
    )
    _refuse_few(asked, len(declared), "quick.seeds" if scale == "quick" and "seeds" in file.quick else "seeds", scale)
    arms = expansion.arms
    added = checks.arms(arms, resolver) if file.checks else ()
    return Grid(
        name=name,
        file=file.file,
        title=file.title,
        question=file.question,
        scale=scale,
        seeds=tuple(run),
        declared_seeds=declared,
        seeds_required=claims.seeds_required(asked),
        axes=expansion.axes,
        arms=arms,
        checks=added,
        claims=asked,
        metrics=tuple(dict.fromkeys((*metrics, *claims.metrics(asked), *(each.metric for each in beside)))),
        table_select=checks.table_select(arms[0].config, resolver),
        keep_weights=file.keep_weights,
        size=counted(size(file, resolver, len(run)), arms, len(added), len(run)),
        digest=digest({"document": dict(file.document), "scale": scale, "sets": list(sets)}),
        document=file.document,
        own_values=claims.own_values(asked),
        published=beside,
        untested=file.untested,
        only=tuple(only),
        selected=_selected(arms, only),
    )


def _refuse_few(asked: tuple[Claim, ...], declared: int, key: str, scale: str) -> None:
    """Refuse a file whose own seeds cannot decide the claims that it asks."""
    required = claims.seeds_required(asked)
    if declared < required:
        family = sum(1 for claim in asked if claim.in_family)
        problem = f"too few seeds for a family of {family} at the {scale} scale: {required} are needed"
        raise GridError(problem, key=key, given=declared, allowed=f"{required} seeds or more")


def _seeds(file: GridFile, given: Seeds) -> tuple[Sequence[int], Sequence[int]]:
    """Return the seeds of the file and those of this run."""
    declared = file.seeds
    if declared is None:
        problem = "is missing"
        raise GridError(problem, key="seeds", allowed="how many seeds, or a list of them")
    run: Sequence[int] = file.run_seeds or declared
    if given is not None:
        run = seed_list(given, "--seeds")
    return declared, run


def _selected(arms: tuple[Arm, ...], only: Sequence[str]) -> frozenset[str]:
    """Return the labels of the arms that ``only`` names, by label or by the label of their change.

    A name that this grid does not have is no mistake here: another grid of the same command may have it.
    """
    return frozenset(
        arm.label for arm in arms if {arm.label, arm.change.label if arm.change else "baseline"} & set(only)
    )
