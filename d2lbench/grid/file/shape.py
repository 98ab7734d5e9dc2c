"""The shape of a grid file: which keys there are and what each may hold, before any name is looked up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal

from annotated_types import Ge, Le, MinLen

from d2lbench.core.errors import GridError
from d2lbench.core.spec import COMPONENT_KEYS, SCALAR_KEYS
from d2lbench.grid.file import document, record
from d2lbench.grid.file.claims import ClaimText, Scale, parse_claims
from d2lbench.grid.file.document import tables
from d2lbench.grid.file.published import PublishedText, Untested, parse_published, parse_untested

#: The keys of ``[base]`` of which one stands instead of everything that trains, with what may stand beside it.
MEASURED_KEYS: Final[Mapping[str, tuple[str, ...]]] = {"experiment": ("replica",), "kernel": ()}
#: The keys of ``[base]`` that name a registered thing.
NAMED_KEYS: Final = (*COMPONENT_KEYS, *MEASURED_KEYS)
#: All keys of ``[base]``.
BASE_KEYS: Final = (*NAMED_KEYS, *SCALAR_KEYS)
#: The keys that ``[quick]`` may hold beside those of ``[base]``; each replaces its namesake.
QUICK_KEYS: Final = ("seeds", "vary", "product", "zip", "tune")
MOST_SEEDS: Final = 1_000_000

Text = Annotated[str, MinLen(1)]


@dataclass(frozen=True)
class TopLevel:
    """The keys at the top of a grid file."""

    format: Literal[1]
    title: Text
    question: str = ""
    seeds: Any = None
    scales: Annotated[tuple[Scale, ...], MinLen(1)] = ("quick", "full")
    metrics: Any = ()
    keep_weights: bool = False
    checks: bool = True
    base: Any = None
    vary: Any = None
    product: Any = None
    zip: Any = None
    exclude: Any = ()
    when: Any = ()
    tune: Any = ()
    quick: Any = None
    claims: Any = ()
    published: Any = ()
    untested: Any = ()


@dataclass(frozen=True)
class TuneEntry:
    """One ``[[tune]]``: which arms it is for, what each key may be, and how many trials of a drawn one."""

    space: Any
    match: Any = None
    budget: Annotated[int, Ge(1), Le(10_000)] | None = None
    key: str = field(default="tune", metadata={"derived": True})


@dataclass(frozen=True)
class WhenEntry:
    """One ``[[when]]``: arms that match take the changes in ``set``."""

    match: Any
    set: Any
    key: str = field(default="when", metadata={"derived": True})


@dataclass(frozen=True)
class GridFile:
    """A grid file as it is written; ``changes`` are what a scale or the command line puts over ``base``.

    ``seeds`` are what the file declares, ``run_seeds`` what the command line asks for instead; ``scales`` are those at
    which the question makes sense.
    """

    file: str
    document: Mapping[str, Any]
    title: str
    question: str
    seeds: Sequence[int] | None
    scales: tuple[Scale, ...]
    metrics: tuple[Any, ...]
    keep_weights: bool
    checks: bool
    base: Mapping[str, Any]
    vary: Mapping[str, Any]
    product: Mapping[str, Any]
    zip: Mapping[str, Any]
    exclude: tuple[Mapping[str, Any], ...]
    when: tuple[WhenEntry, ...]
    tune: tuple[TuneEntry, ...]
    quick: Mapping[str, Any]
    claims: tuple[ClaimText, ...]
    published: tuple[PublishedText, ...]
    untested: tuple[Untested, ...]
    changes: tuple[tuple[str, Any, str], ...] = ()
    origins: Mapping[str, str] = field(default_factory=dict)
    run_seeds: Sequence[int] | None = None

    def origin(self, key: str) -> str:
        """Return where ``vary``, ``product``, ``zip`` or ``tune`` is written, for messages."""
        return self.origins.get(key, key)


def parse(text: str, file: str = "") -> GridFile:
    """Return the grid file in ``text``, its shape checked.

    Raises
    ------
    GridError
        Names the file, the key, what was given, what is allowed and the nearest name.
    """
    plain = document.read(text, file)
    try:
        return _shaped(plain, file)
    except GridError as error:
        raise error.located(file=file) from None


def _shaped(plain: dict[str, Any], file: str) -> GridFile:
    table = document.nested(plain)
    for name in table:
        if name in BASE_KEYS:
            problem = "does not stand at the top level"
            raise GridError(problem, key=name, given=table[name], allowed=f"base.{name}")
    top = record.read(TopLevel, table)
    quick = as_table(top.quick, "quick")
    record.refuse_unknown(quick, dict.fromkeys((*BASE_KEYS, *QUICK_KEYS)), "quick")
    if quick and "quick" not in top.scales:
        problem = "changes a scale at which the grid is not asked"
        raise GridError(problem, key="quick", given=quick, allowed='scales = ["quick", "full"]')
    for key in QUICK_KEYS:
        if key in quick:
            section(key, quick[key], f"quick.{key}")
    return GridFile(
        file=file,
        document=plain,
        title=top.title,
        question=top.question,
        seeds=None if top.seeds is None else seed_list(top.seeds, "seeds"),
        scales=top.scales,
        metrics=as_list(top.metrics, "metrics"),
        keep_weights=top.keep_weights,
        checks=top.checks,
        base=base_table(top.base, "base"),
        vary=axes_table(top.vary, "vary"),
        product=axes_table(top.product, "product"),
        zip=axes_table(top.zip, "zip"),
        exclude=tables(top.exclude, "exclude"),
        when=when_entries(top.when, "when"),
        tune=tune_entries(top.tune, "tune"),
        quick=quick,
        claims=parse_claims(top.claims),
        published=parse_published(top.published),
        untested=parse_untested(top.untested),
    )


def section(key: str, value: Any, origin: str) -> Any:
    """Return one replaceable part of a file (``seeds``, ``vary``, ``tune``, …), checked."""
    if key == "seeds":
        return seed_list(value, origin)
    if key == "tune":
        return tune_entries(value, origin)
    return axes_table(value, origin)


def as_table(value: Any, key: str) -> dict[str, Any]:
    """Return a table with its dotted keys nested; nothing is an empty one."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        problem = "is not a table"
        raise GridError(problem, key=key, given=value, allowed="a table")
    return document.nested(value, key)


def as_list(value: Any, key: str) -> tuple[Any, ...]:
    """Return the items of a list."""
    if not isinstance(value, list | tuple):
        problem = "is not a list"
        raise GridError(problem, key=key, given=value, allowed="a list")
    return tuple(value)


def base_table(value: Any, key: str) -> dict[str, Any]:
    """Return the table of ``[base]``: known keys only."""
    table = as_table(value, key)
    record.refuse_unknown(table, dict.fromkeys(BASE_KEYS), key)
    measured = next((name for name in MEASURED_KEYS if name in table), None)
    if measured is not None:
        for name in table:
            if name not in (measured, *MEASURED_KEYS[measured]):
                problem = f"does not go with {with_article(measured)}, which stands instead of what trains"
                raise GridError(problem, key=f"{key}.{name}", given=table[name], allowed=measured)
    return table


def with_article(word: str) -> str:
    """Return ``an experiment``, ``a kernel``."""
    return f"{'an' if word[0] in 'aeio' else 'a'} {word}"


def axes_table(value: Any, key: str) -> dict[str, Any]:
    """Return a table of axes: keys of base only."""
    table = as_table(value, key)
    record.refuse_unknown(table, dict.fromkeys(BASE_KEYS), key)
    return table


def tune_entries(value: Any, key: str) -> tuple[TuneEntry, ...]:
    """Return the ``[[tune]]`` entries."""
    found = []
    for index, table in enumerate(tables(value, key)):
        place = f"{key}[{index}]"
        entry = record.read(TuneEntry, table, place, key=place)
        if not axes_table(entry.space, f"{place}.space"):
            problem = "names nothing to tune"
            raise GridError(problem, key=f"{place}.space", given=entry.space, allowed='space."optimizer.lr" = [...]')
        found.append(entry)
    return tuple(found)


def when_entries(value: Any, key: str) -> tuple[WhenEntry, ...]:
    """Return the ``[[when]]`` entries."""
    found = []
    for index, table in enumerate(tables(value, key)):
        place = f"{key}[{index}]"
        entry = record.read(WhenEntry, table, place, key=place)
        if not axes_table(entry.set, f"{place}.set"):
            problem = "sets nothing"
            raise GridError(problem, key=f"{place}.set", given=entry.set, allowed="a table of changes")
        found.append(entry)
    return tuple(found)


def seed_list(value: Any, key: str = "seeds") -> Sequence[int]:
    """Return the seeds that a number (0 to n − 1) or a list stands for, without making a long list of them."""
    allowed = f"how many (1 to {MOST_SEEDS}), or a list of different whole numbers ≥ 0"
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MOST_SEEDS:
        return range(value)
    whole = isinstance(value, list | tuple) and all(
        isinstance(seed, int) and not isinstance(seed, bool) and 0 <= seed <= document.LARGEST for seed in value
    )
    if not whole or not value or len(set(value)) < len(value):
        problem = "are not seeds"
        raise GridError(problem, key=key, given=value, allowed=allowed)
    return tuple(value)
