"""From a file's name to a grid: read, put the scale and the command line over it, expand, find the claims' arms."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from d2lbench.errors import GridError, UsageError, nearest_name
from d2lbench.grid import axes, changes, checks, claims, document, record
from d2lbench.grid.expand import Expansion
from d2lbench.grid.file import (
    BASE_KEYS,
    NAMED_KEYS,
    QUICK_KEYS,
    GridFile,
    TopLevel,
    axes_table,
    parse,
    section,
    seed_list,
)
from d2lbench.grid.measures import looked_up
from d2lbench.grid.model import Factor, Grid, Size
from d2lbench.grid.resolve import Resolver
from d2lbench.grid.tune import entry, refuse_unequal
from d2lbench.spec import digest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from d2lbench.grid.model import Arm
    from d2lbench.registry import Registry

Scale: TypeAlias = Literal["quick", "full"]
Seeds: TypeAlias = int | Sequence[int] | None


def load(  # noqa: PLR0913  (what a person may say on the command line)
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
        written = _at_scale(parse(text, file), scale, sets)
        return _grid(written, registry, scale, name, (tuple(sets), seeds, tuple(only)))
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
        return _size(_at_scale(parse(text, file), scale, sets), Resolver(registry), seeds)
    except GridError as error:
        raise error.located(file=file) from None


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


def _at_scale(file: GridFile, scale: Scale, sets: Sequence[str]) -> GridFile:
    """Return the file as the scale and the command line change it."""
    if scale == "quick":
        replaced = {key: section(key, file.quick[key], f"quick.{key}") for key in QUICK_KEYS if key in file.quick}
        base = {key: value for key, value in file.quick.items() if key in BASE_KEYS}
        origins = {key: f"quick.{key}" for key in replaced}
        over = tuple((key, value, f"quick.{key}") for key, value in base.items())
        file = replace(file, **replaced, changes=over, origins=origins)
    for text in sets:
        file = _set(file, text)
    return file


def _set(file: GridFile, text: str) -> GridFile:
    key, equals, raw = text.partition("=")
    key = ".".join(part.strip().strip('"') for part in key.split("."))
    if not equals or not all(key.split(".")):
        problem = f'--set "{text}": expected key=value, as in --set optimizer.lr=0.1'
        raise UsageError(problem)
    value, origin = _value(raw.strip()), f"--set {key}"
    document.check(value, origin)
    head, _, rest = key.removeprefix("base.").partition(".")
    if head in BASE_KEYS:
        return replace(file, changes=(*file.changes, (key.removeprefix("base."), value, origin)))
    if head in ("vary", "product", "zip") and rest:
        table = {name: item for name, item in getattr(file, head).items() if name != rest.partition(".")[0]}
        merged: Any = {**table, **section(head, {rest: value}, origin)}
        return replace(file, **{head: merged}, origins={**file.origins, head: file.origin(head)})
    if rest or head not in (*QUICK_KEYS, "title", "question", "metrics", "keep_weights", "checks"):
        names = (*BASE_KEYS, *QUICK_KEYS, "title", "question", "metrics", "keep_weights", "checks")
        problem = "cannot be set"
        raise GridError(problem, key=origin, allowed=", ".join(names), nearest=nearest_name(key, names))
    if head in QUICK_KEYS:
        return replace(file, **{head: section(head, value, origin)}, origins={**file.origins, head: origin})
    cast = record.cast(record.shape(TopLevel)[head], value, "--set")
    if head == "metrics":
        cast = tuple(value) if isinstance(value, list) else (value,)
    return replace(file, **{head: cast})


def _value(raw: str) -> Any:
    """Return what follows ``key=``: a TOML value, else the text itself."""
    try:
        table = tomllib.loads(f"value = {raw}")
    except (ValueError, RecursionError):
        return raw
    return table["value"] if len(table) == 1 else raw


def _grid(file: GridFile, registry: Registry, scale: Scale, name: str, asked: tuple[Any, Any, Any]) -> Grid:
    sets, given_seeds, only = asked
    resolver = Resolver(registry)
    declared, seeds = _seeds(file, scale, given_seeds)
    metrics = tuple(
        looked_up("metric", raw, f"metrics[{index}]", resolver) for index, raw in enumerate(file.metrics)
    )
    if not file.base and not file.changes:
        return _without_runs(file, resolver, scale, name)
    expansion = Expansion(file, resolver, seeds)
    asked_claims = tuple(claims.claim(text, expansion, scale) for text in file.claims)
    required = claims.seeds_required(asked_claims)
    if len(declared) < required:
        family = sum(1 for claim in asked_claims if claim.in_family)
        problem = f"too few seeds for a family of {family} claims at the {scale} scale: {required} are needed"
        key = "quick.seeds" if scale == "quick" and "seeds" in file.quick else "seeds"
        raise GridError(problem, key=key, given=len(declared), allowed=f"{required} seeds or more")
    arms = expansion.arms
    added = checks.arms(arms, resolver) if file.checks else ()
    return Grid(
        name=name,
        file=file.file,
        title=file.title,
        question=file.question,
        scale=scale,
        seeds=tuple(seeds),
        declared_seeds=declared,
        seeds_required=required,
        axes=expansion.axes,
        arms=arms,
        checks=added,
        claims=asked_claims,
        metrics=tuple(dict.fromkeys((*metrics, *claims.metrics(asked_claims)))),
        table_select=checks.table_select(arms[0].config, resolver),
        keep_weights=file.keep_weights,
        size=_counted(_size(file, resolver, given_seeds), arms, len(added), len(seeds)),
        digest=digest({"document": dict(file.document), "scale": scale, "sets": list(sets)}),
        document=file.document,
        own_values=claims.own_values(asked_claims),
        only=only,
        selected=_selected(arms, only),
    )


def _without_runs(file: GridFile, resolver: Resolver, scale: Scale, name: str) -> Grid:
    """Return a grid whose claims are answered by measured kernels: it has no arms and trains nothing."""
    if not file.claims or any(text.head.kind != "timing" for text in file.claims):
        problem = "is missing"
        raise GridError(problem, key="base", allowed="a table with dataset, model, optimizer, …, or experiment")
    found = tuple(claims.claim(text, None, scale) for text in file.claims)
    del resolver
    return Grid(
        name, file.file, file.title, file.question, scale, (), (), 0, (), (), (), found, (), None,
        file.keep_weights, Size(()), digest({"document": dict(file.document), "scale": scale}), file.document,
    )  # fmt: skip


def _seeds(file: GridFile, scale: Scale, given: Seeds) -> tuple[Sequence[int], Sequence[int]]:
    """Return the seeds of the file and those of this run."""
    del scale
    declared = file.seeds
    if declared is None and file.base:
        problem = "is missing"
        raise GridError(problem, key="seeds", allowed="how many seeds, or a list of them")
    run = declared if given is None else seed_list(given, "--seeds")
    return declared or (), run or ()


def _selected(arms: tuple[Arm, ...], only: Sequence[str]) -> frozenset[str]:
    """Return the labels of the arms that ``only`` names, by label or by the label of their change.

    A name that this grid does not have is no mistake here: another grid of the same command may have it.
    """
    return frozenset(
        arm.label for arm in arms if {arm.label, arm.change.label if arm.change else "baseline"} & set(only)
    )


def _size(file: GridFile, resolver: Resolver, seeds: Seeds) -> Size:
    draft = changes.base_draft(file.base, file.changes, resolver) if file.base or file.changes else {}
    names = {key: written.value["name"] for key, written in draft.items() if key in NAMED_KEYS}
    entries = [entry(text, names, resolver) for text in file.tune]
    refuse_unequal(entries)
    factors = []
    if entries:
        tuned = dict.fromkeys(path for text in file.tune for path in _paths(text.space))
        factors.append(Factor(entries[0].count(), " & ".join(tuned)))
    product, zipped, varied = (
        axes.axes(getattr(file, kind), file.origin(kind), names, resolver.is_sequence)
        for kind in ("product", "zip", "vary")
    )
    factors += [Factor(axis.count(), axis.path) for axis in product]
    if zipped:
        factors.append(Factor(axes.zipped(zipped), " & ".join(axis.path for axis in zipped)))
    factors += [Factor(axis.count(), axis.path, plus_one=True) for axis in varied]
    _, run = _seeds(file, "quick", seeds)
    factors.append(Factor(len(run), "seed"))
    exact = not file.exclude and not any(text.match is not None for text in file.tune)
    trains = "experiment" not in draft and bool(draft)
    kinds = (3 if entries else 2) if trains and file.checks else 0
    return Size(tuple(factors), kinds * len(run), exact)


def _counted(size: Size, arms: tuple[Arm, ...], checked: int, seeds: int) -> Size:
    """Return the size with what exclusions and matches have left of the product."""
    cells = sum(len(arm.rungs) or 1 for arm in arms) * seeds
    return replace(size, checks=checked * seeds, counted=cells)


def _paths(space: Mapping[str, Any]) -> Iterator[str]:
    for path, _, _ in changes.flat(axes_table(space, ""), ""):
        yield path


