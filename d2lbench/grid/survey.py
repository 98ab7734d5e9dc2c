"""Every mistake of a grid that can be found on its own, for a file of which one is known already."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from d2lbench.core.errors import Mistakes
from d2lbench.grid import axes, changes, selectors, tune
from d2lbench.grid.claims.measures import Measures, statistic
from d2lbench.grid.file.shape import MEASURED_KEYS, NAMED_KEYS

if TYPE_CHECKING:
    from d2lbench.grid.file.claims import PartText
    from d2lbench.grid.file.shape import GridFile
    from d2lbench.grid.resolve import Draft, Resolver


def survey(file: GridFile, resolver: Resolver, mistakes: Mistakes) -> None:
    """Look at each key of the baseline, each value of an axis, each selector, entry and claim, and note what is wrong.

    Nothing is expanded, so that arms play no part: what is said of them can be checked once all of this is right.
    """
    draft = changes.base_draft(file.base, file.changes, resolver, mistakes if file.base else Mistakes())
    _hint(draft, resolver, mistakes)
    names = {key: written.value["name"] for key, written in draft.items() if key in NAMED_KEYS}
    for key in draft.keys() - names.keys():
        with mistakes:
            resolver.scalar(key, draft[key])
    product, zipped, varied = (axes.axes(file, kind, names, resolver) for kind in ("product", "zip", "vary"))
    with mistakes:
        axes.refuse_conflicts([*product, *zipped], varied)
    with mistakes:
        axes.zipped(zipped)
    tuned = tune.entries(file, names, resolver, mistakes)
    for axis in (*product, *zipped, *varied, *(axis for entry in tuned for axis in entry.ladders)):
        axis.survey(draft, mistakes)
    matches = [(f"exclude[{index}]", raw) for index, raw in enumerate(file.exclude)]
    matches += [(f"when[{index}].match", entry.match) for index, entry in file.numbered("when")]
    for key, raw in matches:
        with mistakes:
            selectors.parse(raw, key, resolver)
    steps = (step for index, entry in file.numbered("when") for step in changes.flat(entry.set, f"when[{index}].set"))
    for path, raw, origin in steps:
        with mistakes:
            changes.tried(draft, path, raw, origin, resolver)
    trains = not any(key in draft for key in MEASURED_KEYS)
    metric = Measures(resolver).metric
    for index, raw in enumerate(file.metrics if trains else ()):
        with mistakes:
            metric(raw, f"metrics[{index}]")
    for part in (part for claim in file.claims for part in claim.parts):
        _part(part, resolver, mistakes, trains=trains)

    for text in file.published if trains else ():
        with mistakes:
            metric(text.metric, f"{text.key}.metric")
        if isinstance(text.arm, Mapping) and "stage" not in text.arm:
            with mistakes:
                selectors.parse(text.arm, f"{text.key}.arm", resolver)


def _hint(draft: Draft, resolver: Resolver, mistakes: Mistakes) -> None:
    """Lead from a key that there is not, ``base.lr``, to the component of the baseline that has it as an option."""
    for each in tuple(mistakes):
        parent, _, key = each.key.rpartition(".")
        if each.problem == "is not a key of a grid" and parent in ("", "base", "quick", "product", "zip", "vary"):
            named = ((kind, draft[kind].value["name"]) for kind in NAMED_KEYS if kind in draft)
            kind = next((kind for kind, name in named if key in resolver.registry.get(kind, name).options), None)
            if kind is not None:
                mistakes.reword(each, nearest=f"{'' if parent else 'base.'}{kind}.{key}")


def _part(part: PartText, resolver: Resolver, mistakes: Mistakes, *, trains: bool) -> None:
    pair = enumerate(part.same if isinstance(part.same, list | tuple) else ())
    written = {name: getattr(part, name) for name in ("where", "higher", "lower", "no_worse", "than")}
    for name, raw in {**written, **{f"same[{index}]": side for index, side in pair}}.items():
        if isinstance(raw, Mapping) and raw.keys() - {"stage"}:
            selector = {key: value for key, value in raw.items() if key != "stage"}
            with mistakes:
                selectors.parse(selector, f"{part.key}.{name}", resolver)
    for name in ("metric", "select") if trains else ():
        if getattr(part, name) is not None:
            with mistakes:
                Measures(resolver).metric(getattr(part, name), f"{part.key}.{name}")
    if part.statistic is not None:
        with mistakes:
            statistic(part.statistic, f"{part.key}.statistic", resolver)
